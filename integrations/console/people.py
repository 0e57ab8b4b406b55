"""An administrator: users, groups, roles and approvals; and what a member sees of them."""

import time

from check.client import send

from .walk import PASSWORD, Walk


class People(Walk):
    """The steps, in order; each goes on from those before."""

    ada = ada_id = secret = group = role = None

    def an_administrator_logs_in(self):
        self.administrator("petra")

    def a_user_is_added(self):
        self.open("/console/users")
        self.says("petra")
        self.look("users")
        self.browser.press("Add user")
        self.look("user-new")
        self.browser.fill("#username", "petra")
        self.browser.press("Add user")
        self.says("This needs another look", "already taken")
        self.look("user-new-refused")
        self.browser.fill("#username", "ada")
        self.browser.fill("#email", "ada@example.org")
        self.browser.press("Add user")
        self.says("The user is added.", "member", "(the rule of the tenant)")
        self.ada = self.browser.path().split("?")[0]
        self.ada_id = self.ada.rsplit("/", 1)[1]
        self.look("user")

    def the_rights_of_a_user_can_be_viewed(self):
        self.browser.press("View permissions")
        self.says("me/keys:*")
        self.look("user-permissions")

    def a_link_for_the_first_password_is_shown_once(self):
        self.browser.press("Password link")
        self.look("user-link-new")
        self.browser.press("Make the link")
        self.says("never again", "sets the first password")
        link = self.browser.text("#password-link")
        assert link.startswith(f"{self.url}/console/password#kwl_"), link
        assert "kwl_" not in self.browser.path()
        self.look("user-link")
        body = {"token": link.split("#")[1], "password": PASSWORD}
        self.keyward.post("/v1/auth/password-reset", body)
        self.browser.press("I have passed it on")
        self.at(self.ada)
        assert "kwl_" not in self.source()

    def a_user_is_edited_and_a_taken_name_is_refused(self):
        self.open(self.ada)
        self.browser.press("Edit")
        self.says("Empty or -1")
        self.look("user-edit")
        self.browser.fill("#username", "petra")
        self.browser.press("Save")
        self.says("This needs another look")
        self.look("user-edit-refused")
        self.browser.fill("#username", "ada")
        self.browser.fill("#display_name", "Ada Lovelace")
        self.browser.press("Save")
        self.says("Saved.", "Ada Lovelace")

    def the_validity_of_keys_is_set_for_one_user(self):
        self.window("0")
        self.says("Saved.", "never: the keys do not work (set for this user)")
        self.window("10080")
        self.says("for 7 days after each login (set for this user)")
        self.window("-1")
        self.says("(the rule of the tenant)")

    def window(self, minutes):
        """Sets the window of the user."""
        self.open(f"{self.ada}/edit")
        self.browser.fill("#owner_login_window_minutes", minutes)
        self.browser.press("Save")

    def a_key_of_the_user_is_listed(self):
        body = {"username": "ada", "password": PASSWORD}
        self.keyward.post("/v1/auth/login", body)
        self.secret = self.key("ada nightly")["secret"]
        assert self.api(self.secret, "/v1/me").status == 200
        self.used("ada nightly")
        self.open(self.ada)
        self.says("ada nightly", "1 key that is not revoked.")
        self.look("user-with-key")

    def key(self, label):
        """A key of the user, made by root."""
        body = {"label": label, "class": "member", "owner_id": self.ada_id, "ttl_seconds": 86400}
        return self.keyward.post("/v1/keys", body)

    def used(self, label):
        """Waits until the use of the key is told."""
        for _ in range(200):
            found = self.keyward.call("GET", f"/v1/keys?owner_id={self.ada_id}", None)["data"]
            if any(key["label"] == label and key["last_used_at"] for key in found):
                return
            time.sleep(0.1)
        raise AssertionError(f"no use of {label} is told")

    def a_user_is_suspended_and_resumed(self):
        self.browser.press("Suspend")
        self.says("1 key stops working at once.")
        self.look("user-suspend")
        self.browser.fill("#reason", "on leave")
        self.browser.press("Suspend")
        self.says("The user is suspended.", "Reason: on leave")
        self.look("user-suspended")
        assert self.api(self.secret, "/v1/me").status == 401
        self.open("/console/users?state=suspended")
        self.says("ada")
        self.open(self.ada)
        self.browser.press("Resume")
        self.says("The user may act again.")
        assert self.api(self.secret, "/v1/me").status == 200

    def a_user_is_unlocked(self):
        self.browser.press("Unlock")
        self.says("Failed logins are forgotten.")

    def sessions_of_a_user_are_ended(self):
        self.keyward.post("/v1/auth/login", {"username": "ada", "password": PASSWORD})
        self.open(self.ada)
        self.browser.press("End 1 session")
        self.says("The sessions are ended.", "The user is logged in nowhere.")

    def second_factors_are_reset(self):
        self.open(f"{self.ada}/reset-factors")
        self.says("0 second factors are taken away.")
        self.look("user-factors")
        self.browser.press("Reset second factors")
        self.says("The second factors are taken away.")

    def keys_in_use_ask_for_the_name_before_they_end(self):
        self.browser.press("Delete all API keys")
        self.says("1 key ends for good.", "1 of them was used in the last 24 hours.", "ada nightly")
        self.look("user-revoke-keys")
        self.browser.press("Delete all API keys")
        self.says("That is not the user name: ada")
        self.look("user-revoke-keys-refused")
        assert self.api(self.secret, "/v1/me").status == 200
        self.browser.fill("#username", "ada")
        self.browser.press("Delete all API keys")
        self.says("The keys of the user are revoked for good.", "0 keys that are not revoked.")
        assert self.api(self.secret, "/v1/me").status == 401

    def a_search_without_a_match_says_so(self):
        self.open("/console/users?q=nobody-at-all")
        self.says("No user matches.")
        self.look("users-no-match")
        self.browser.press("Clear the filters")
        self.says("ada")

    def a_group_is_added(self):
        self.open("/console/groups")
        self.look("groups")
        self.browser.press("Add group")
        self.look("group-new")
        self.browser.fill("#name", "bad/name")
        self.browser.press("Add group")
        self.says("This needs another look")
        self.look("group-new-refused")
        self.browser.fill("#name", "Analysts")
        self.browser.fill("#description", "Read the models")
        self.browser.press("Add group")
        self.says("The group is added.", "No user is in this group.")
        self.group = self.browser.path().split("?")[0]
        self.look("group-empty")

    def a_member_is_added_by_name_and_taken_out(self):
        self.browser.press("Add member")
        self.look("group-add")
        self.browser.fill("#member", "nobody-at-all")
        self.browser.press("Add member")
        self.says("There is no such user or key in this tenant.")
        self.look("group-add-refused")
        self.browser.fill("#member", "ada")
        self.browser.press("Add member")
        self.says("The member is added.", "Ada Lovelace")
        self.look("group")
        self.browser.press("Take out")
        self.says("The member is taken out.", "No user is in this group.")

    def a_workspace_key_is_added_and_taken_out(self):
        roles = [role["id"] for role in self.keyward.call("GET", "/v1/roles", None)["data"] if role["name"] == "member"]
        wish = {"class": "workspace", "label": "analysts probe", "ttl_seconds": 86400, "role_ids": roles}
        self.browser.press("Add member")
        self.browser.fill("#member", self.keyward.post("/v1/keys", wish)["id"])
        self.browser.press("Add member")
        self.says("The member is added.", "analysts probe", "1 of them is a workspace key.")
        self.look("group-with-key")
        self.browser.press("Take out")
        self.says("The member is taken out.")
        assert "analysts probe" not in self.browser.text("main")

    def a_search_for_groups_without_a_match_says_so(self):
        self.open("/console/groups?q=nothing-at-all")
        self.says("No group matches.")
        self.look("groups-no-match")

    def a_role_is_added(self):
        self.open("/console/roles")
        self.says("admin", "member")
        self.look("roles")
        self.browser.press("Add role")
        self.look("role-new")
        self.browser.fill("#name", "analyst")
        self.browser.fill("#rights", "not a right")
        self.browser.press("Add role")
        self.says("This needs another look")
        self.look("role-new-refused")
        self.browser.fill("#rights", "models/emea/**:read\nmodels/*/reports:read")
        self.browser.press("Add role")
        self.says("The role is added.", "models/emea/**:read", "No group gives this role.")
        self.role = self.browser.path().split("?")[0]
        self.look("role")

    def a_role_is_given_to_a_group_and_to_a_user(self):
        tick = f"input[name=role_ids][value={self.role.rsplit('/', 1)[1]}]"
        self.open(f"{self.group}/edit")
        self.look("group-edit")
        self.browser.click(tick)
        self.browser.press("Save")
        self.says("Saved.", "analyst")
        self.open(f"{self.ada}/edit")
        self.browser.click(tick)
        self.browser.press("Save")
        self.says("Saved.", "analyst")
        self.browser.press("View permissions")
        self.says("models/emea/**:read")

    def who_has_a_role_is_told(self):
        self.open(self.role)
        self.says("Analysts", "ada")
        self.look("role-held")

    def a_role_is_edited(self):
        self.browser.press("Edit")
        self.says("A change reaches 1 user at once.")
        self.look("role-edit")
        self.browser.fill("#rights", "models/**:read")
        self.browser.press("Save")
        self.says("Saved.", "models/**:read")

    def a_built_in_role_stays(self):
        self.open("/console/roles")
        self.browser.press("admin")
        self.says("This role is built in")
        self.look("role-built-in")

    def a_role_is_deleted(self):
        self.open(self.role)
        self.browser.press("Delete role")
        self.says("1 user loses the role at once.", "groups 1")
        self.look("role-delete")
        self.browser.press("Delete role")
        self.says("The role is deleted.")
        assert "analyst" not in self.browser.text("main")

    def a_group_is_deleted(self):
        self.open(self.group)
        self.browser.press("Delete group")
        self.says("0 members lose at once what the group gives.")
        self.look("group-delete")
        self.browser.press("Delete group")
        self.says("The group is deleted.")

    def keys_that_wait_are_approved_or_rejected(self):
        self.open("/console/approvals")
        self.says("No key waits for an approval.")
        self.look("approvals-empty")
        self.keyward.call("PATCH", "/v1/policies", {"member": {"approval": True}})
        good = self.key("good one")["secret"]
        bad = self.key("bad one")["secret"]
        self.keyward.call("PATCH", "/v1/policies", {"member": {"approval": False}})
        self.open("/console/approvals")
        self.says("good one", "bad one")
        self.look("approvals")
        self.browser.press("Decide")
        self.says("Decide about good one", "me/keys:*")
        self.look("approval")
        self.browser.press("Approve")
        self.says("The key is approved.")
        assert self.api(good, "/v1/me").status == 200
        self.browser.press("Decide")
        self.says("Decide about bad one")
        self.browser.fill("#reason", "not needed")
        self.browser.press("Reject")
        self.says("The key is rejected.", "No key waits for an approval.")
        assert self.api(bad, "/v1/me").status == 401

    def nobody_decides_about_what_they_own(self):
        self.keyward.call("PATCH", "/v1/policies", {"member": {"approval": True}})
        self.open("/console/keys/new")
        self.browser.fill("#label", "my own")
        self.browser.press("Create key")
        self.says("never again")
        self.keyward.call("PATCH", "/v1/policies", {"member": {"approval": False}})
        self.open("/console/approvals")
        self.says("my own", "somebody else decides")
        self.look("approvals-own")

    def a_user_is_deleted_with_all_keys(self):
        self.used("good one")
        self.open(f"{self.ada}/delete")
        self.says("1 key ends for good.", "good one")
        self.look("user-delete")
        self.browser.fill("#username", "ada")
        self.browser.press("Delete user")
        self.says("The user is deleted.")
        self.open(self.ada)
        self.says("There is nothing here")

    def a_form_without_its_mark_changes_nothing(self):
        kept = self.browser.call("GET", f"{self.browser.session}/cookie")
        cookie = "; ".join(f"{one['name']}={one['value']}" for one in kept)
        headers = [("Cookie", cookie), ("Content-Type", "application/x-www-form-urlencoded"), ("Origin", self.url)]
        answer = send(self.keyward.port, "POST", "/console/users/new", headers, b"username=eve")
        assert answer.status == 403, answer
        names = [user["username"] for user in self.keyward.call("GET", "/v1/users", None)["data"]]
        assert "eve" not in names, names

    def a_member_sees_but_the_own_page(self):
        member, link = self.user("mia")
        self.keyward.post("/v1/auth/password-reset", {"token": link["token"], "password": PASSWORD})
        self.browser.press("Log out")
        self.at("/console/login")
        self.log_in("mia")
        for path, right in (("users", "users:read"), ("groups", "groups:read"), ("roles", "roles:read"),
                            ("approvals", "keys:approve"), (f"users/{member}/edit", "users:write")):
            self.open(f"/console/{path}")
            self.says("You may not do that", right)
        self.look("users-refused")
        self.open(f"/console/users/{member}")
        self.says("mia", "View permissions")
        assert "Suspend" not in self.browser.text("main"), self.browser.text("main")
        self.look("user-own")
