"""Who makes the rules: features, policy, trusted authentication, webhooks, imports."""

import http.server
import json
import threading
import time

from check.client import send

from .walk import PASSWORD, Walk

HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"


class Taker(http.server.BaseHTTPRequestHandler):
    """Takes every message of a webhook."""

    def do_POST(self):  # pylint: disable=invalid-name
        """Says that it was taken."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Says nothing."""


class Rules(Walk):
    """The steps, in order; each goes on from those before."""

    secret = fresh = page = taker = None

    def asks(self, secret):
        """The status of a request for a token."""
        headers = [("Authorization", f"Bearer {secret}"), ("Content-Type", "application/json")]
        return send(self.keyward.port, "POST", "/v1/trusted/tokens", headers, b'{"username": "tess"}').status

    def grant(self, username, *names):
        """Gives somebody these roles; their id."""
        roles = self.keyward.call("GET", "/v1/roles", None)["data"]
        ids = [role["id"] for role in roles if role["name"] in names]
        user = self.keyward.call("GET", f"/v1/users?username={username}", None)["data"][0]["id"]
        self.keyward.call("PATCH", f"/v1/users/{user}", {"role_ids": ids})
        return user

    def draft(self, rule, value):
        """A draft of one rule."""
        self.open("/console/settings/policy/edit")
        self.browser.fill(f"[name='{rule}']", value)
        self.browser.press("Make the draft")

    def who_makes_the_rules_logs_in(self):
        self.administrator("rhea")
        user = self.grant("rhea", "admin", "operator")
        self.open("/console")
        if self.browser.path().startswith("/console/login"):
            self.log_in("rhea")
        self.user("tess")
        self.keyward.post("/v1/keys", {"class": "member", "owner_id": user, "label": "rheas export"})
        self.keyward.post("/v1/keys", {"class": "ingest", "label": "collector"})

    def a_class_is_switched_off_and_on(self):
        self.open("/console/settings/features")
        self.says("Features: API keys", "Member key", "Ingest key")
        self.look("features")
        self.browser.press("Switch off…", "#ingest")
        self.says("would stop at once.")
        self.look("features-switch")
        self.browser.press("Switch off")
        self.says("Keys of this class are switched off.")
        self.browser.press("Switch on…", "#ingest")
        self.browser.press("Switch on")
        self.says("Keys of this class work again.")

    def the_ends_of_a_class_are_changed(self):
        self.browser.press("Change the ends", "#ingest")
        self.look("features-ends")
        self.browser.fill("#default_ttl_days", "60")
        self.browser.fill("#max_ttl_days", "30")
        self.browser.press("Save")
        self.says("This needs another look", "must not exceed")
        self.look("features-ends-refused")
        self.browser.fill("#max_ttl_days", "90")
        self.browser.press("Save")
        self.says("Saved.")

    def all_keys_of_a_class_end_behind_a_phrase(self):
        self.browser.press("Revoke all tokens…")
        self.says("Revoke all tokens")
        self.open("/console/settings/features/revoke?class=ingest")
        self.says("would end for good.", "It cannot be undone.")
        self.look("revoke-all")
        phrase = self.browser.text("label[for=confirm]").split(": ")[1].strip()
        self.browser.fill("#reason", "collectors are retired")
        self.browser.fill("#confirm", "revoke 0")
        self.browser.press("Revoke them all")
        self.says("That is not what was to be typed.")
        self.look("revoke-all-refused")
        self.browser.fill("#confirm", phrase)
        self.browser.press("Revoke them all")
        self.says("The keys are revoked for good.")
        self.open("/console/settings/features/revoke?class=ingest")
        self.says("There is no key to revoke.")
        self.look("revoke-all-empty")

    def the_rules_stand_in_plain_words(self):
        self.open("/console/settings/policy")
        self.says("A key lives 90 days unless another end is asked for.", "logged in within 14 days", "No draft waits.")
        self.look("policy")

    def a_draft_with_a_wrong_rule_is_refused(self):
        self.browser.press("Change the rules")
        self.look("policy-edit")
        self.browser.fill("[name='member.max_age_days']", "soon")
        self.browser.press("Make the draft")
        self.says("This needs another look")
        self.look("policy-edit-refused")

    def a_draft_tells_the_keys_that_would_stop(self):
        self.draft("owner_login_window_minutes", "0")
        self.says("The draft is kept.", "would stop.", "rheas export", "All of them as CSV")
        self.look("policy-draft")
        self.browser.press("Discard the draft")
        self.says("The draft is discarded.")

    def a_draft_is_applied(self):
        self.draft("member.max_age_days", "365")
        self.says("No key would stop.", "Oldest secret in days")
        self.browser.press("Apply…")
        self.look("policy-apply")
        self.browser.press("Apply the draft")
        self.says("The rules are changed", "A secret older than 365 days is refused until its key is rotated.")

    def limits_of_one_person_are_drafted(self):
        self.draft("owner_limits", "as many as you like")
        self.says("This needs another look")
        self.look("policy-edit-limits-refused")
        self.browser.fill("[name='owner_limits']", "minute 600/60\nday 10000/86400 burst 50")
        self.browser.press("Make the draft")
        self.says("The draft is kept.", "minute 600/60, day 10000/86400 burst 50")
        self.browser.press("Discard the draft")
        self.says("The draft is discarded.")

    def a_draft_waits_for_its_time_and_is_renewed(self):
        self.draft("member.idle_days", "300")
        self.says("The draft is kept.")
        self.page = self.browser.path().split("?")[0]
        self.keyward.call("PATCH", "/v1/policies", {"max_keys_per_user": 4})
        self.open(self.page)
        self.says("The rules have changed since this draft was made.")
        self.look("policy-draft-stale")
        self.browser.press("Renew the draft")
        self.says("The draft is renewed.")
        self.browser.press("Apply…")
        self.browser.click("input[value=later]")
        self.browser.press("Apply the draft")
        self.says("This needs another look")
        self.look("policy-apply-refused")
        moment = time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() + 7 * 86_400))
        self.browser.eval("document.querySelector('#starts_at').value = arguments[0]", moment)
        self.browser.press("Apply the draft")
        self.says("The draft is applied when its time has come.", "Waits for its time")
        self.look("policy-draft-scheduled")
        self.open("/console/settings/policy")
        self.says("Waits for its time")
        self.look("policy-drafts")
        self.open(self.page)
        self.browser.press("Discard the draft")
        self.says("The draft is discarded.")

    def the_rules_are_rolled_back(self):
        self.open("/console/settings/policy")
        self.browser.click("#versions + .scroll tbody tr:nth-child(2) a")
        self.says("What it changed")
        self.look("policy-version")
        self.browser.press("Roll back to this version…")
        self.says("What it would do")
        self.look("policy-rollback")
        self.browser.fill("#note", "too many keys")
        self.browser.press("Roll back")
        self.says("The rules of the earlier version stand again.", "One person may own 2 keys.")

    def trusted_authentication_is_switched_on(self):
        self.open("/console/develop/security")
        self.says("There is no trusted secret yet.")
        self.look("trusted-empty")
        self.browser.press("Switch on trusted authentication")
        self.look("trusted-new")
        self.browser.fill("#name", "portal")
        self.browser.fill("#users", "nobody-here")
        self.browser.press("Switch on and show the secret")
        self.says("There is no user nobody-here.")
        self.look("trusted-new-refused")
        self.browser.fill("#users", "tess")
        self.browser.press("Switch on and show the secret")
        self.says("It must never reach a browser or a repository.")
        self.secret = self.browser.text("#secret")
        self.look("trusted-secret")
        assert self.asks(self.secret) == 200

    def a_trusted_secret_is_copied_again(self):
        self.browser.press("I have stored it")
        self.says("portal", "tess")
        self.look("trusted")
        self.browser.press("Copy the secret…")
        self.look("trusted-copy")
        self.browser.press("Show the secret")
        assert self.browser.text("#secret") == self.secret
        self.browser.press("Copy secret")
        self.says("Copied")
        self.browser.press("I have stored it")
        self.shows_no_more(self.secret)

    def a_trusted_secret_is_rotated(self):
        self.browser.press("Rotate")
        self.look("trusted-rotate")
        self.browser.press("Make the new secret")
        self.fresh = self.browser.text("#secret")
        assert self.fresh != self.secret and self.asks(self.fresh) == 200
        assert self.asks(self.secret) == 200, "the old one works on"
        self.browser.press("I have stored it")
        self.says("Two secrets work now.")
        self.look("trusted-rotating")
        self.browser.press("Finish now")
        self.says("The older secret is retired, and its tokens have ended.")
        assert self.asks(self.secret) == 401

    def a_trusted_secret_is_edited(self):
        self.browser.press("Edit")
        self.look("trusted-edit")
        self.browser.fill("#cidrs", "not a network")
        self.browser.press("Save")
        self.says("This needs another look")
        self.look("trusted-edit-refused")
        self.browser.fill("#cidrs", "127.0.0.0/8")
        self.browser.fill("#per_minute", "0")
        self.browser.press("Save")
        self.says("must be from 1 to 100000000")
        self.browser.fill("#per_minute", "5000")
        self.browser.fill("#per_user_per_minute", "77")
        self.browser.press("Save")
        self.says("Saved.", "127.0.0.0/8", "5000", "77")

    def disabling_asks_for_a_confirmation(self):
        self.browser.press("Disable…")
        self.says("Every token that it has asked for ends at once.")
        self.look("trusted-disable")
        self.browser.press("Disable")
        self.says("Tick the box to confirm.")
        self.look("trusted-disable-refused")
        assert self.asks(self.fresh) == 200, "it works until it is confirmed"
        self.browser.click("#confirm")
        self.browser.press("Disable")
        self.says("The secret is disabled for good", "Switched off for good")
        self.look("trusted-list")
        assert self.asks(self.fresh) in (401, 403)

    def a_webhook_is_made_and_its_secret_shown_once(self):
        self.taker = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        threading.Thread(target=self.taker.serve_forever, daemon=True).start()
        self.open("/console/webhooks")
        self.says("There is no webhook yet.")
        self.look("webhooks-empty")
        self.browser.press("Add a webhook")
        self.look("webhook-new")
        self.browser.click("input[value='key.*']")
        self.browser.fill("#url", "https://10.0.0.1/hook")
        self.browser.press("Add the webhook")
        self.says("This needs another look", "not on the public internet")
        self.look("webhook-new-refused")
        self.browser.fill("#url", f"http://127.0.0.1:{self.taker.server_port}/hook")
        self.browser.press("Add the webhook")
        self.says("never again")
        secret = self.browser.text("#secret")
        assert secret.startswith("whsec_")
        self.look("webhook-secret")
        self.browser.press("I have stored it")
        self.says("Nothing was sent yet.")
        self.page = self.browser.path().split("?")[0]
        self.shows_no_more(secret)
        self.look("webhook-empty")

    def a_webhook_is_tested_and_a_message_sent_again(self):
        self.browser.press("Send a test")
        self.says("A test is on its way.")
        for _ in range(50):
            self.open(self.page)
            if "Delivered" in self.browser.text("tbody"):
                break
            time.sleep(0.2)
        self.look("webhook")
        self.browser.press("Send again")
        self.says("The message is on its way again.")
        self.open(f"{self.page}?state=failed")
        self.says("No delivery matches.")
        self.look("webhook-no-match")

    def a_webhook_is_rotated_and_edited(self):
        self.open(self.page)
        self.browser.press("Rotate the secret")
        self.look("webhook-rotate")
        self.browser.press("Make the new secret")
        self.says("never again")
        self.browser.press("I have stored it")
        self.browser.press("Edit")
        self.look("webhook-edit")
        self.browser.fill("#events", "user.gone")
        self.browser.press("Save")
        self.says("there is no event user.gone")
        self.look("webhook-edit-refused")
        self.browser.fill("#events", "user.delete")
        self.browser.press("Save")
        self.says("Saved.", "key.*, user.delete")

    def a_webhook_is_deleted(self):
        self.open("/console/webhooks")
        self.look("webhooks")
        self.open(self.page)
        self.browser.press("Delete…")
        self.says("Its log goes with it")
        self.look("webhook-delete")
        self.browser.press("Delete")
        self.says("The webhook is deleted.")
        self.taker.shutdown()

    def keys_of_another_system_are_checked_and_taken(self):
        self.open("/console/import")
        self.look("import")
        self.browser.fill("#source", "old-gateway")
        self.browser.fill("#rows", "no row at all")
        self.browser.press("Check the rows")
        self.says("This needs another look", "line 1")
        self.look("import-refused")
        good = {"external_id": "k1", "hash": HASH, "class": "ingest", "label": "old collector"}
        bad = {"external_id": "k2", "hash": "short", "class": "ingest"}
        self.browser.fill("#rows", f"{json.dumps(good)}\n{json.dumps(bad)}")
        self.browser.press("Check the rows")
        self.says("1 key would be taken.", "1 row is refused.", "k2")
        self.look("import-report")
        self.browser.press("Import 1 key")
        self.says("1 key was taken.", "1 row is refused.")
        self.look("import-done")
        self.open("/console/keys?q=old+collector")
        self.says("old collector")

    def who_may_not_is_told_so(self):
        self.keyward.call("PATCH", "/v1/policies", {"ingest": None})
        self.browser.press("Log out")
        _, link = self.user("tom")
        self.keyward.post("/v1/auth/password-reset", {"token": link["token"], "password": PASSWORD})
        self.log_in("tom")
        pages = {
            "/console/settings/features": "policies:read",
            "/console/settings/features/revoke": "keys:revoke",
            "/console/settings/policy": "policies:read",
            "/console/settings/policy/edit": "policies:write",
            "/console/develop/security": "trusted:read",
            "/console/develop/security/enable": "trusted:write",
            "/console/webhooks": "webhooks:read",
            "/console/import": "keys:import",
        }
        for page, right in pages.items():
            self.open(page)
            self.says("You may not do that", right)
        self.look("rules-refused")
