"""A member: from the link of the invitation to the end of a key."""

import base64
import hashlib
import hmac
import struct
import time

from .walk import PASSWORD, Walk


def totp(secret):
    """What an authenticator shows now (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Member(Walk):
    """The steps, in order; each goes on from those before."""

    secret = key = codes = None

    def a_link_sets_a_password(self):
        _, link = self.user("grace", email="grace@example.org")
        self.open(f"/console/password#{link['token']}")
        assert "kwl_" not in self.browser.path(), "the token leaves the address"
        self.look("password-link")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Set the password")
        self.at("/console/login")
        self.says("The password is set.")

    def a_wrong_password_is_told_and_nothing_more(self):
        self.open("/console/keys?status=active")
        self.at("/console/login")
        self.browser.fill("#username", "grace")
        self.browser.fill("#password", "ten cold stones by the door")
        self.browser.press("Log in")
        self.says("That did not work.")
        self.look("login-refused")

    def the_login_goes_on_where_one_wanted_to_go(self):
        self.open("/console/me/keys?sort=label")
        self.look("login")
        self.browser.fill("#username", "grace")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Log in")
        self.at("/console/me/keys?sort=label")
        self.says("There is no key yet.")
        self.look("my-keys-empty")

    def a_key_is_made_and_shown_once(self):
        self.browser.press("Create key")
        self.look("key-new")
        self.browser.fill("#label", "nightly export")
        self.browser.fill("#scopes", "me:read")
        self.says("It may do this and nothing else: me:read.", "Safer: name the networks")
        self.browser.fill("#scopes", "")
        self.says("It may do everything that they may.")
        self.browser.press("Create key")
        self.says("never again", "nightly export")
        self.secret = self.browser.text("#secret")
        assert self.secret.startswith("kwm_"), self.secret
        copy, access = self.browser.text("#both"), self.browser.text("#access-key")
        assert copy.startswith(f"key:{access}::{self.secret},tenant id: tenant_"), "BM11"
        self.look("key-secret")

    def what_was_copied_is_the_secret(self):
        self.browser.press("Copy secret")
        self.says("Copied")

    def the_page_tells_the_first_call(self):
        assert self.api(self.secret, "/v1/me").status == 200
        self.says("It works: first call")

    def reloading_shows_the_secret_no_more_and_makes_no_second_key(self):
        self.browser.eval("location.reload()")
        time.sleep(0.5)
        self.browser.press("I have stored it") if "I have stored it" in self.browser.text() else None
        assert self.secret not in self.browser.text(), "the secret is shown twice"
        self.open("/console/me/keys")
        assert self.browser.text().count("nightly export") == 1, self.browser.text()
        self.look("my-keys")
        self.browser.call("POST", f"{self.browser.session}/back", {})
        assert self.secret not in self.browser.text(), "Back shows the secret"
        kept = self.browser.eval("return JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, document.title])")
        assert self.secret not in kept, kept

    def a_key_is_switched_off_and_on(self):
        self.open("/console/me/keys")
        self.browser.press("nightly export")
        self.says("Permissions")
        self.key = self.browser.path().split("?")[0]
        self.look("key")
        self.browser.press("Switch off")
        self.says("The key is switched off.")
        assert self.api(self.secret, "/v1/me").status == 401
        self.browser.press("Switch on")
        self.says("The key works again.")
        assert self.api(self.secret, "/v1/me").status == 200

    def a_key_says_why_a_request_would_be_refused(self):
        self.browser.press("Why?")
        self.says("The request would be accepted.")
        self.browser.fill("#rights", "users:write")
        self.browser.press("Explain")
        self.says("The request would be refused: insufficient_rights.")
        self.look("key-explain")
        self.browser.fill("#client_ip", "nowhere")
        self.browser.press("Explain")
        self.says("This needs another look")
        self.look("key-explain-refused")
        self.browser.press("Back")

    def a_key_is_rotated_with_an_overlap(self):
        self.browser.press("Rotate")
        self.look("key-rotate")
        self.browser.press("Make the new secret")
        self.says("never again")
        fresh = self.browser.text("#secret")
        assert fresh != self.secret and self.api(fresh, "/v1/me").status == 200
        assert self.api(self.secret, "/v1/me").status == 200, "the old one works on"
        self.open(self.key)
        self.browser.press("Finish now")
        self.says("The older secrets are retired.")
        assert self.api(self.secret, "/v1/me").status == 401
        self.secret = fresh

    def a_key_is_edited_and_extended(self):
        self.browser.press("Edit")
        self.look("key-edit")
        self.browser.fill("#cidrs", "not a network")
        self.browser.press("Save")
        self.says("This needs another look")
        self.look("key-edit-refused")
        self.browser.fill("#cidrs", "127.0.0.0/8\n::1/128")
        self.browser.press("Save")
        self.says("Saved.", "127.0.0.0/8")
        self.browser.press("Extend")
        self.look("key-extend")
        self.browser.press("Extend")
        self.says("The end of the key was moved.")

    def a_key_in_use_asks_for_its_name_before_it_ends(self):
        self.browser.press("Revoke")
        self.says("What would stop")
        self.look("key-revoke")
        self.browser.click("input[value=revoke]")
        self.browser.press("Do it")
        self.says("That is not its name")
        self.look("key-revoke-refused")
        assert self.api(self.secret, "/v1/me").status == 200
        self.browser.fill("#label", "nightly export")
        self.browser.press("Do it")
        self.says("The key is revoked for good.", "Revoked")
        assert self.api(self.secret, "/v1/me").status == 401

    def a_member_sees_what_members_may(self):
        self.open("/console")
        self.look("overview")
        assert "Access keys" not in self.browser.text("nav.side")
        self.open("/console/keys")
        self.says("You may not do that", "keys:read")
        self.look("refused")
        self.open("/console/nothing-here")
        self.says("There is nothing here")

    def a_second_factor_is_added(self):
        self.open("/console/me/security")
        self.look("security")
        self.browser.press("Add an authenticator app")
        self.look("security-totp")
        secret = self.browser.text("#totp-secret")
        self.browser.fill("#code", "000000")
        self.browser.press("Confirm")
        self.says("That was not the code")
        self.browser.fill("#code", totp(secret))
        self.browser.press("Confirm")
        self.says("Recovery codes")
        self.codes = self.browser.text("#recovery-codes").split()
        assert len(self.codes) >= 8, self.codes
        self.look("security-codes")
        self.browser.press("I have stored them")

    def it_is_asked_for_with_the_next_login(self):
        self.browser.press("Log out")
        self.at("/console/login")
        self.browser.fill("#username", "grace")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Log in")
        self.says("Second factor")
        self.look("login-factor")
        self.browser.fill("#code", self.codes[0])
        self.browser.press("Go on")
        self.at("/console")

    def a_passkey_is_added_and_logs_in_alone(self):
        self.browser.plug_in()
        self.open("/console/me/security")
        self.browser.press("Add a passkey")
        self.says("(passkey)")
        self.look("security-passkey")
        self.browser.press("Log out")
        self.browser.press("Log in with a passkey")
        self.at("/console")

    def a_page_without_scripts_does_all_this_too(self):
        self.browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
        try:
            self.open("/console/keys/new")
            self.browser.fill("#label", "without scripts")
            self.browser.click("main form button.primary")
            time.sleep(1)
            page = self.source()
            assert "kwm_" in page and "never again" in page
            self.open("/console/me/keys")
            assert "without scripts" in self.source()
        finally:
            self.browser.cdp("Emulation.setScriptExecutionDisabled", value=False)
