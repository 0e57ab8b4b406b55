"""What is recorded and told, leaks and incidents; and an operator with tenants and configuration."""

import json
import time

from check.client import send

from .walk import PASSWORD, Walk


class Records(Walk):
    """The steps, in order; each goes on from those before."""

    key = secret = None

    def roles(self, *names):
        """The ids of roles."""
        known = self.keyward.call("GET", "/v1/roles", None)["data"]
        return [role["id"] for role in known if role["name"] in names]

    def elsewhere(self):
        """The administrator logs in on another device."""
        body = json.dumps({"username": "rita", "password": PASSWORD}).encode()
        answer = send(self.keyward.port, "POST", "/v1/auth/login", [("Content-Type", "application/json")], body)
        assert answer.status in (200, 201), answer

    def an_administrator_comes(self):
        self.administrator("rita")
        wish = {"class": "workspace", "label": "records probe", "ttl_seconds": 86400}
        self.key = self.keyward.post("/v1/keys", {**wish, "role_ids": self.roles("member")})
        self.secret = self.key["secret"]

    def the_audit_log_tells_who_came_in_how(self):
        self.open("/console/audit")
        self.says("session.start", "Password login", "rita", "records probe")
        self.look("audit")

    def events_are_narrowed(self):
        self.browser.fill("#action", "session.start")
        self.browser.press("Show")
        self.reaches("action=session.start")
        self.says("Password login")
        assert "records probe" not in self.browser.text("main")
        self.browser.fill("#since", "yesterday")
        self.browser.press("Show")
        self.says("This needs another look")
        self.look("audit-refused")
        self.open("/console/audit?action=no.such")
        self.says("No event matches.")
        self.look("audit-empty")

    def an_event_shows_what_changed(self):
        self.open("/console/audit?action=key.create")
        self.browser.click("tbody th a")
        self.says("Before and after", "As it is kept", "key.create")
        self.look("audit-event")

    def the_chain_is_checked(self):
        self.open("/console/audit")
        self.browser.press("Check the whole chain")
        self.says("Verified up to event")
        self.look("audit-chain")
        self.browser.fill("#checkpoint_seq", "1")
        self.browser.press("Compare")
        self.says("This needs another look")
        self.look("audit-chain-refused")
        self.browser.fill("#checkpoint_hash", "00")
        self.browser.press("Compare")
        self.says("The chain is broken at event 1.")
        self.look("audit-chain-broken")

    def the_log_is_exported(self):
        self.open("/console/audit")
        self.browser.press("Export")
        self.says("Download JSONL")
        self.look("audit-export")
        file = self.browser.eval("return fetch('/console/audit/export.jsonl').then(answer => answer.text())")
        actions = [json.loads(line)["event"]["action"] for line in file.splitlines()]
        assert "audit.export" in actions and "key.create" in actions, actions

    def a_notification_is_read(self):
        for _ in range(50):
            self.open("/console/notifications")
            if "Unread" in self.browser.text("main"):
                break
            time.sleep(0.2)
        self.says("Unread")
        self.look("notifications")
        self.browser.press("Mark as read")
        self.says("Marked as read.", "Read")
        if "Mark all as read" in self.browser.text("main"):
            self.browser.press("Mark all as read")
            self.says("Marked as read.")
        assert "unread" not in self.browser.text("header")
        self.look("notifications-read")
        self.open("/console/notifications?kind=webhook")
        self.says("No notification matches.")
        self.look("notifications-empty")

    def preferences_are_kept(self):
        self.open("/console/me/preferences")
        self.look("preferences")
        self.browser.click("input[name=mail][value=key_expired]")
        self.browser.press("Save")
        self.says("Your preferences are saved.")
        ticked = "return document.querySelector('input[name=mail][value=key_expired]').checked"
        assert not self.browser.eval(ticked), "the wish is forgotten"
        self.choose("#language", "de")
        self.browser.press("Save")
        self.says("Ihre Einstellungen sind gespeichert.")
        self.look("preferences-german")
        self.choose("#language", "en")
        self.browser.press("Speichern")
        self.says("Your preferences are saved.")

    def a_session_is_ended_and_all_others(self):
        self.elsewhere()
        self.open("/console/me/sessions")
        self.says("This one")
        self.look("sessions")
        self.browser.press("End")
        self.says("The session has ended.")
        self.elsewhere()
        self.elsewhere()
        self.open("/console/me/sessions")
        self.browser.press("End all others")
        self.says("Every other session of yours has ended.", "You are logged in nowhere else.")
        self.look("sessions-alone")

    def a_found_key_is_told_and_not_shown_again(self):
        self.open("/console/identify")
        self.look("identify")
        self.browser.fill("#text", f"token {self.secret} and {'ghp_' + 'a' * 36}")
        self.browser.press("What is it?")
        self.says("records probe", "It works", "GitHub personal access token")
        assert self.secret not in self.source(), "the answer holds the secret"
        self.look("identify-found")
        self.browser.fill("#text", "nothing at all")
        self.browser.press("What is it?")
        self.says("Nothing in it is written like a credential")
        self.look("identify-nothing")

    def an_incident_is_looked_at_before_it_happens(self):
        self.open("/console/incidents")
        self.says("There was no incident yet.")
        self.look("incidents-empty")
        self.browser.press("Stop many keys")
        self.look("incident-new")
        self.browser.press("Show which keys")
        self.says("This needs another look")
        self.look("incident-new-refused")
        self.browser.fill("#label_contains", "records probe")
        self.browser.press("Show which keys")
        self.says("Switch 1 key off?", "records probe")
        self.look("incident-preview")
        self.browser.fill("#confirm", "deactivate 2")
        self.browser.press("Do it")
        self.says("This needs another look")
        self.look("incident-preview-refused")
        assert self.api(self.secret, "/v1/me").status == 200

    def an_incident_happens_and_is_undone(self):
        self.browser.fill("#confirm", "deactivate 1")
        self.browser.press("Do it")
        self.says("Done. The keys are listed below.", "records probe")
        self.look("incident")
        assert self.api(self.secret, "/v1/me").status == 401
        self.browser.press("Undo: switch them on again")
        self.says("Undone: 1 key works again.")
        self.look("incident-undone")
        assert self.api(self.secret, "/v1/me").status == 200
        self.open("/console/incidents")
        self.look("incidents")

    def an_administrator_is_no_operator(self):
        assert "Tenants" not in self.browser.text("nav.side")
        self.open("/console/tenants")
        self.says("You may not do that", "instance/tenants:read")
        self.look("tenants-refused")
        self.open("/console/configuration")
        self.says("You may not do that")
        self.open("/console/setup")
        self.says("There is nothing here")
        self.look("setup-over")

    def an_operator_makes_a_tenant(self):
        _, link = self.user("olga", role_ids=self.roles("admin", "operator", "member"))
        self.keyward.post("/v1/auth/password-reset", {"token": link["token"], "password": PASSWORD})
        self.open("/console")
        self.browser.press("Log out")
        self.log_in("olga")
        self.open("/console/tenants")
        self.says("Primary", "Your own")
        self.browser.press("Make a tenant")
        self.look("tenant-new")
        self.browser.fill("#slug", "A B")
        self.browser.press("Make it")
        self.says("This needs another look")
        self.look("tenant-new-refused")
        self.browser.fill("#slug", "acme-records")
        self.browser.fill("#name", "Acme Records")
        self.browser.press("Make it")
        self.says("The tenant is made.", "Acme Records")
        self.look("tenant")
        self.open("/console/tenants")
        self.look("tenants")
        self.open("/console/tenants?q=nobody-has-this-name")
        self.says("No tenant matches.")
        self.look("tenants-empty")

    def an_operator_switches_into_it_and_back(self):
        self.open("/console/tenants")
        self.browser.press("Acme Records")
        self.browser.press("Switch into")
        self.says("You are in the tenant Acme Records as an operator.")
        self.look("tenant-entered")
        self.open("/console/keys")
        self.says("There is no key yet.", "Back to my tenant")
        self.open("/console/me/sessions")
        self.says("This one")
        assert "Back to my tenant" not in self.browser.text(), "one's own sessions are at home"
        self.open("/console")
        self.browser.press("Back to my tenant")
        self.says("You are back in your own tenant.")
        self.open("/console/keys")
        self.says("records probe")

    def a_tenant_is_edited_suspended_and_resumed(self):
        self.open("/console/tenants")
        self.browser.press("Acme Records")
        self.browser.click("input[name=workspace_keys]")
        self.browser.press("Save")
        self.says("Saved.")
        self.browser.press("Suspend")
        self.says("What would stop", "0 users, 0 keys")
        self.look("tenant-suspend")
        self.browser.press("Suspend")
        self.says("The tenant is suspended.")
        self.look("tenant-suspended")
        self.browser.press("Resume")
        self.says("The tenant works again.")

    def a_tenant_is_deleted_by_its_short_name(self):
        self.browser.press("Delete")
        self.look("tenant-delete")
        self.browser.fill("#confirm", "acme")
        self.browser.press("Delete for good")
        self.says("That is not its short name.")
        self.look("tenant-delete-refused")
        self.browser.fill("#confirm", "acme-records")
        self.browser.press("Delete for good")
        self.says("The tenant is deleted for good.")
        assert "Acme Records" not in self.browser.text("main")

    def the_configuration_tells_where_it_comes_from(self):
        self.open("/console/configuration")
        self.says("Settings in effect", "server.public_url", "File ")
        self.look("configuration")

    def the_level_of_one_module_is_raised(self):
        self.browser.fill("#module", "keyward::verify")
        self.browser.press("Set the level")
        self.says("The levels of the logs are set", "keyward::verify=debug")
        self.browser.fill("#module", "not a module")
        self.browser.press("Set the level")
        self.says("This needs another look")
        self.look("configuration-refused")
        self.browser.fill("#module", "keyward::verify")
        self.choose("#level", "")
        self.browser.press("Set the level")
        self.says("The levels of the logs are set")
        assert "keyward::verify=debug" not in self.browser.text("#filter-now")
