"""A session that grows old: the proof before what is dangerous (SES-6), and its end (WCAG 2.2.1)."""

import sqlite3

from .walk import PASSWORD, Walk

SECURITY = "/console/develop/security"


class Session(Walk):
    """The steps, in order; each goes on from those before."""

    def an_administrator_comes(self):
        self.administrator("sam")

    def age(self):
        """The last proof was an hour ago."""
        self.keyward.stop()
        with sqlite3.connect(self.keyward.data / "keyward.db") as store:
            store.execute("UPDATE sessions SET stepped_up_at = stepped_up_at - 3600000")
        store.close()
        self.keyward.start()

    def what_is_dangerous_asks_for_a_proof_first(self):
        self.open(f"{SECURITY}/enable")
        self.says("Switch on and show the secret")
        self.age()
        self.open(SECURITY)
        self.browser.press("Switch on trusted authentication")
        self.at("/console/step-up")
        self.says("Confirm that it is you")
        self.look("step-up")

    def a_wrong_proof_goes_nowhere(self):
        self.browser.fill("#password", "ten cold stones by the door")
        self.browser.press("Confirm")
        self.says("That was not right. Try again.")
        self.look("step-up-refused")
        self.open(f"{SECURITY}/enable")
        self.at("/console/step-up")

    def the_proof_goes_on_to_where_one_wanted_to_go(self):
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Confirm")
        self.at(f"{SECURITY}/enable")
        self.says("Switch on and show the secret")

    def a_form_that_was_open_too_long_asks_too(self):
        self.open("/console/webhooks/new")
        self.browser.click("input[value='key.*']")
        self.browser.fill("#url", "https://hooks.example.com/late")
        self.age()
        self.browser.press("Add the webhook")
        self.at("/console/step-up")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Confirm")
        self.at("/console/webhooks/new")
        self.open("/console/webhooks")
        assert "late" not in self.browser.text("main"), "it was made without a proof"

    def what_was_typed_is_there_again_after_the_proof(self):
        self.open("/console/keys/new")
        self.browser.fill("#label", "typed before & after")
        self.browser.fill("#scopes", "me/keys:*")
        self.age()
        self.browser.press("Create key")
        self.at("/console/step-up")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Confirm")
        self.at("/console/keys/new")
        typed = "return [document.querySelector('#label').value, document.querySelector('#scopes').value]"
        assert self.browser.eval(typed) == ["typed before & after", "me/keys:*"], self.browser.eval(typed)
        self.age()
        self.open("/console/keys/new")
        self.at("/console/step-up")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Confirm")
        self.at("/console/keys/new")

    def a_warning_comes_before_the_session_ends(self):
        self.lasts(1)
        self.open("/console/keys/new")
        self.browser.fill("#label", "half typed")
        self.says("Your login is about to end", "You are logged out soon", seconds=45)
        self.look("session-idle")
        self.browser.press("Stay logged in")
        self.intact()

    def the_end_loses_nothing_that_was_typed(self):
        self.says("You are logged out.", seconds=120)
        self.look("session-over")
        self.browser.press("I have logged in again")
        self.says("That did not work.")
        self.look("session-failed")
        self.lasts(15)
        self.beside()
        self.browser.press("I have logged in again")
        self.intact()
        self.browser.press("Create key")
        self.says("never again", "half typed")

    def waiting_for_a_first_call_keeps_no_session_alive(self):
        self.lasts(1)
        self.open("/console/keys/new")
        self.browser.fill("#label", "never called")
        self.browser.press("Create key")
        self.says("Waiting for the first call…")
        self.says("Your login is about to end", "You are logged out soon", seconds=45)
        self.browser.press("Stay logged in")
        self.lasts(15)

    def lasts(self, minutes):
        """From now on a session ends after so long without use."""
        patch = {"login": {"idle_minutes": minutes, "admin_idle_minutes": minutes}}
        self.keyward.call("PATCH", "/v1/policies", patch)

    def intact(self):
        """The dialog is gone and the form as it was."""
        for _ in range(50):
            if not self.browser.eval("return document.querySelector('dialog[open]') !== null"):
                break
        assert not self.browser.eval("return document.querySelector('dialog[open]') !== null")
        assert self.browser.eval("return document.querySelector('#label').value") == "half typed"

    def beside(self):
        """Somebody logs in beside, and comes back."""
        session = self.browser.session
        first = self.browser.call("GET", f"{session}/window")
        other = self.browser.call("POST", f"{session}/window/new", {"type": "tab"})
        self.browser.call("POST", f"{session}/window", {"handle": other["handle"]})
        self.log_in("sam")
        self.browser.call("DELETE", f"{session}/window")
        self.browser.call("POST", f"{session}/window", {"handle": first})
