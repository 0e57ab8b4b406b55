"""Who looks after all keys of the tenant: many at once, and what they are told before they end one."""

import time

from .walk import PASSWORD, Walk

LIST = "/console/keys?q=fleet"


class Fleet(Walk):
    """The steps, in order; each goes on from those before."""

    keys = ()

    def used(self, key):
        """Uses a key, and waits until that is told."""
        assert self.api(key["secret"], "/v1/me").status == 200
        for _ in range(200):
            if self.keyward.call("GET", f"/v1/keys/{key['id']}/usage", None)["total"]["allowed"]:
                return
            time.sleep(0.1)
        raise AssertionError("no use is told")

    def tick(self, *keys):
        """Ticks keys in the list."""
        self.open(LIST)
        for key in keys:
            self.browser.click(f"input[value='{key['id']}']")

    def who_looks_after_keys_comes(self):
        self.administrator("fleur")
        roles = self.keyward.call("GET", "/v1/roles", None)["data"]
        member = [role["id"] for role in roles if role["name"] == "member"]
        wish = {"class": "workspace", "ttl_seconds": 86400, "role_ids": member}
        self.keys = [self.keyward.post("/v1/keys", {**wish, "label": f"fleet {name}"}) for name in ("one", "two", "three")]

    def nothing_ticked_is_told(self):
        self.open(LIST)
        self.look("keys-choose")
        self.browser.press("Revoke…")
        self.says("No key is selected.")
        self.look("key-choice-empty")
        self.browser.press("Back to the list")
        self.says("fleet one", "fleet three")

    def two_keys_are_switched_off_together(self):
        self.tick(*self.keys[:2])
        self.browser.press("Switch off…")
        self.says("Switch 2 keys off?", "2 keys stop working at once.", "None of them was used in the last 24 hours.")
        assert "fleet three" not in self.browser.text("main")
        self.look("key-choice")
        assert self.api(self.keys[0]["secret"], "/v1/me").status == 200, "nothing happens before the button"
        self.browser.fill("#reason", "looked odd")
        self.browser.press("Switch off")
        self.says("The selected keys are switched off.")
        self.at(LIST + "&done=chosen-off")
        assert [self.api(key["secret"], "/v1/me").status for key in self.keys] == [401, 401, 200]

    def a_whole_page_is_ticked_without_scripts(self):
        self.browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self.open(LIST)
            self.browser.click("a[data-pick=all]")
            assert self.sees('name="id"', "checked").count("checked") == 3
            self.browser.click("button[value=activate]")
            self.sees("Switch 2 keys on?", "fleet three")
        finally:
            self.browser.cdp("Emulation.setScriptExecutionDisabled", value=False)

    def what_cannot_be_done_is_told_with_its_reason(self):
        self.open(LIST)
        self.browser.press("Select none")
        self.browser.press("Select all on this page")
        self.browser.press("Switch on…")
        self.says("2 keys work again at once.", "1 key stays as it is", "the key is active already")
        self.look("key-choice-mixed")
        self.browser.press("Switch on")
        self.says("The selected keys are switched on.")
        assert [self.api(key["secret"], "/v1/me").status for key in self.keys] == [200, 200, 200]
        self.tick(self.keys[2])
        self.browser.press("Switch on…")
        self.says("None of the selected keys can be changed so.")
        self.look("key-choice-none")

    def keys_are_extended_together(self):
        self.tick(*self.keys[:2])
        self.browser.press("Extend…")
        self.says("Extend 2 keys", "From now on they work for")
        self.look("key-choice-end")
        self.browser.click("input[value=date]")
        self.browser.press("Go on")
        self.says("This needs another look", "choose the day on which the key ends")
        self.look("key-choice-end-refused")
        self.browser.click("input[value='30']")
        self.browser.press("Go on")
        self.says("Extend 2 keys?", "2 keys get another end.", "Ends then")
        self.look("key-choice-extend")
        ends = self.ends()
        self.browser.press("Extend")
        self.says("The ends of the selected keys were moved.")
        assert all(after > before for after, before in zip(self.ends(), ends)), "both end later"

    def ends(self):
        """When the first two keys end."""
        return [self.keyward.call("GET", f"/v1/keys/{key['id']}", None)["expires_at"] for key in self.keys[:2]]

    def what_the_rules_forbid_stays_and_is_told(self):
        self.keyward.call("PATCH", "/v1/policies", {"workspace": {"max_ttl_days": 60, "default_ttl_days": 30}})
        self.tick(*self.keys[:2])
        self.browser.press("Extend…")
        self.says("Extend 2 keys")
        self.browser.press("Go on")
        self.says("None of the selected keys can be changed so.", "policy allows an end up to")
        self.look("key-choice-extend-refused")
        self.keyward.call("PATCH", "/v1/policies", {"workspace": {"max_ttl_days": None, "default_ttl_days": 90}})

    def keys_in_use_end_behind_a_phrase(self):
        self.used(self.keys[0])
        self.tick(*self.keys)
        self.browser.press("Revoke…")
        self.says("End 3 keys for good?", "This cannot be undone.", "To go on, type: revoke 3")
        self.look("key-choice-revoke")
        self.browser.fill("#confirm", "revoke 2")
        self.browser.press("Revoke")
        self.says("This needs another look", "That is not what was to be typed.")
        self.look("key-choice-refused")
        assert self.api(self.keys[0]["secret"], "/v1/me").status == 200
        self.browser.fill("#confirm", "revoke 3")
        self.browser.press("Revoke")
        self.says("The selected keys are revoked for good.")
        assert [self.api(key["secret"], "/v1/me").status for key in self.keys] == [401, 401, 401]

    def a_page_of_many_keys_stays_small(self):
        roles = [role["id"] for role in self.keyward.call("GET", "/v1/roles", None)["data"] if role["name"] == "member"]
        for number in range(60):
            label = f"{'<&>' * 30} many{number}"
            self.keyward.post("/v1/keys", {"class": "workspace", "label": label, "ttl_seconds": 86400, "role_ids": roles})
        for query in ("?q=many", "?q=many&limit=200"):
            self.open(f"/console/keys{query}")
            self.says("Further keys")
            assert len(self.browser.elements("input[name=id]")) == 50, "50 keys on a page"
            size = self.browser.eval("return fetch(location.href).then(answer => answer.text()).then(text => text.length)")
            assert size < 120_000, size
        self.browser.press("Further keys")
        self.says("many0")
        assert len(self.browser.elements("input[name=id]")) == 10

    def all_that_match_are_changed_without_scripts(self):
        self.browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self.open("/console/keys?q=many")
            self.browser.click("a[href$='chosen=matching']")
            self.sees("All 60 keys that match are selected")
            self.browser.click("button[value=deactivate]")
            self.sees("Switch 60 keys off?", "To go on, type: deactivate 60")
            self.browser.fill("#confirm", "deactivate 60")
            self.browser.click("main form button.danger")
            self.sees("The selected keys are switched off.")
        finally:
            self.browser.cdp("Emulation.setScriptExecutionDisabled", value=False)
        off = self.keyward.call("GET", "/v1/keys?q=many&status=inactive&limit=200", None)["data"]
        assert len(off) == 60, len(off)

    def the_choice_of_all_looks_as_it_is(self):
        self.open("/console/keys?q=many")
        self.browser.press("Select all that match")
        self.says("All 60 keys that match are selected, on other pages too.")
        self.look("keys-choose-matching")
        self.browser.press("Switch on…")
        self.says("Switch 60 keys on?", "60 keys work again at once.")
        self.look("key-choice-matching")
        self.keyward.call("POST", "/v1/keys/revoke", {"filter": {"label_contains": "many59"}, "confirm": "revoke 1"})
        self.browser.press("Switch on")
        self.says("By now other keys match.", "Switch 59 keys on?")
        self.look("key-choice-matching-refused")
        self.browser.press("Switch on")
        self.says("The selected keys are switched on.")

    def what_needs_a_hand_is_named_with_what_helps(self):
        self.open("/console")
        self.says("Needs attention")
        self.look("overview-attention")
        self.browser.press("are stopped")
        self.at("/console/keys?status=expired,suspended,inactive,pending")

    def a_member_without_keys_is_told_how_to_begin(self):
        _, link = self.user("quinn")
        self.keyward.post("/v1/auth/password-reset", {"token": link["token"], "password": PASSWORD})
        self.browser.press("Log out")
        self.at("/console/login")
        self.log_in("quinn")
        self.says("There is no key yet.")
        self.look("overview-empty")

    def all_is_quiet_when_every_key_is_well(self):
        self.browser.press("Create key")
        self.browser.fill("#label", "quinns export")
        self.browser.press("Create key")
        self.says("never again")
        self.keys = [{"secret": self.browser.text("#secret")}]
        self.browser.press("I have stored it")
        self.says("Permissions")
        self.keys[0]["id"] = self.browser.path().split("?")[0].rsplit("/", 1)[1]
        self.open("/console")
        self.says("All quiet", "No key needs your attention.")
        self.look("overview-quiet")

    def only_the_new_secret_ends_the_waiting_after_a_rotation(self):
        key = self.keys[0]
        self.used(key)
        self.open(f"/console/keys/{key['id']}/rotate")
        self.browser.press("Make the new secret")
        self.says("never again", "Waiting for the first call…")
        fresh = self.browser.text("#secret")
        assert self.api(key["secret"], "/v1/me").status == 200, "the old one works on"
        time.sleep(7)
        assert "Waiting for the first call…" in self.browser.text(), "a call with the old secret proves nothing"
        assert self.api(fresh, "/v1/me").status == 200
        self.says("It works: first call")
        self.look("key-secret-rotated")

    def what_would_stop_is_told_in_numbers(self):
        page = f"/console/keys/{self.keys[0]['id']}"
        self.open(f"{page}/revoke")
        self.says("The key was used", "calls accepted", "Sessions that began with it", "Secrets that work", "quinn")
        self.look("key-revoke-facts")
        ticked = "return document.querySelector(`input[value=${arguments[0]}]`).checked"
        assert self.browser.eval(ticked, "deactivate"), "what can be undone comes first"
        self.open(f"{page}/revoke?how=revoke")
        assert self.browser.eval(ticked, "revoke")
        self.browser.fill("#label", "quinns export")
        self.browser.press("Do it")
        self.says("The key is revoked for good.")
        self.look("key-revoked")

    def a_key_is_made_like_one_that_is_over(self):
        self.browser.press("Create a key like this one")
        self.says("Create key")
        assert self.browser.eval("return document.querySelector('#label').value") == "quinns export"
