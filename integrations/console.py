#!/usr/bin/env python3
"""Walks the console with Chromium, as a person would, against a running Keyward.

    integrations/console.py --keyward target/debug/keyward --axe node_modules/axe-core/axe.min.js

Each step goes on from those before. Every page that is looked at is checked by axe in light and dark, at two
widths; afterwards the browser's own log must hold no breach of the content policy, no error, and no
request to another host. Prints one line for each step; ends with 1 if any failed.
"""

import argparse
import base64
import hashlib
import hmac
import json
import struct
import sys
import tempfile
import time
from pathlib import Path

from check.browser import Browser
from check.client import send
from check.keyward import Keyward

PASSWORD = "nine warm stones by the door"
WIDE, NARROW = (1280, 900), (360, 740)
SETTINGS = """\
server:
  public_url: "http://localhost:{port}"
"""


def totp(secret):
    """What an authenticator shows now (RFC 6238)."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    at = mac[-1] & 15
    return f"{(struct.unpack('>I', mac[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


class Walk:
    """One person at one browser."""

    def __init__(self, keyward, browser, axe, pictures):
        self.keyward, self.browser, self.axe, self.pictures = keyward, browser, axe, pictures
        self.url = f"http://localhost:{keyward.port}"
        self.secret = self.key = None
        self.seen = set()

    # What steps are made of.

    def open(self, path):
        """Goes to a page of the console."""
        self.browser.open(self.url + path)

    def says(self, *texts):
        """All of this stands on the page."""
        for _ in range(100):
            shown = self.browser.text()
            if all(text in shown for text in texts):
                return
            time.sleep(0.1)
        raise AssertionError(f"{texts} is not on {self.browser.path()}:\n{shown[:2000]}")

    def at(self, path):
        """The page becomes this one."""
        for _ in range(100):
            if path in (self.browser.path(), self.browser.path().split("?")[0]):
                return
            time.sleep(0.1)
        raise AssertionError(f"on {self.browser.path()} in place of {path}")

    def look(self, name):
        """No fault for axe in light and dark, nothing that runs out of a small window; a picture of it."""
        if name in self.seen:
            return
        self.seen.add(name)
        for theme in ("light", "dark"):
            self.browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
            for size, width in ((WIDE, "wide"), (NARROW, "narrow")):
                self.browser.resize(*size)
                self.picture(f"{name}-{theme}-{width}")
                faults = self.faults()
                assert not faults, f"{name}, {theme}, {width}: {json.dumps(faults, indent=1)[:3000]}"
                overflow = self.browser.eval("return document.documentElement.scrollWidth - innerWidth")
                assert overflow <= 0, f"{name} is {overflow} pixels wider than a {width} window"
        self.browser.resize(*WIDE)

    def picture(self, name):
        """Keeps what the window shows, if pictures are wanted."""
        if self.pictures:
            self.browser.screenshot(self.pictures / f"{name}.png")

    def faults(self):
        """What axe finds against WCAG 2.2 AA (WEB-7)."""
        if not self.axe:
            return []
        found = self.browser.eval(self.axe + """;
            return axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
                .then(told => told.violations.map(one => [one.id, one.help, one.nodes.slice(0, 3).map(node => node.html)]));
        """)
        return found

    def user(self, username, **more):
        """A user with a password."""
        user = self.keyward.post("/v1/users", {"username": username, **more})
        link = self.keyward.post(f"/v1/users/{user['id']}/password-reset", {})
        return user["id"], link

    def api(self, secret, path):
        """A call with a key."""
        return send(self.keyward.port, "GET", path, [("Authorization", f"Bearer {secret}")])

    # The steps.

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
        self.key = self.browser.path().split("?")[0]
        self.look("key")
        self.browser.press("Switch off")
        self.says("The key is switched off.")
        assert self.api(self.secret, "/v1/me").status == 401
        self.browser.press("Switch on")
        self.says("The key works again.")
        assert self.api(self.secret, "/v1/me").status == 200

    def a_key_is_rotated_with_an_overlap(self):
        self.browser.press("Rotate")
        self.look("key-rotate")
        self.browser.press("Make the new secret")
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

    def source(self):
        """The page as it was sent."""
        root = self.browser.cdp("DOM.getDocument")["root"]
        return self.browser.cdp("DOM.getOuterHTML", nodeId=root["nodeId"])["outerHTML"]

    def the_browser_had_nothing_to_complain_about(self):
        expected = ("status of 401", "status of 403", "status of 404", "status of 422")
        for line in self.browser.log():
            text = line["message"]
            assert any(word in text for word in expected), text

    def nobody_else_was_asked_for_anything(self):
        for line in self.browser.log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                assert url.startswith((self.url, "blob:", "data:", "chrome")), url


STEPS = [value for name, value in vars(Walk).items() if "_" in name and not name.startswith("_")]


def run(walk):
    """How many steps passed and failed."""
    passed = failed = 0
    for step in STEPS:
        title = step.__name__.replace("_", " ")
        try:
            step(walk)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {title}: {error}")
            walk.picture(f"failed-{step.__name__}")
        else:
            passed += 1
            print(f"ok     {title}")
    return passed, failed


def main():
    """Starts all of it, walks, and stops it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keyward", required=True, type=Path)
    options.add_argument("--axe", type=Path, help="axe.min.js; without it no page is checked for accessibility")
    options.add_argument("--pictures", type=Path, help="a folder for pictures of every page")
    asked = options.parse_args()
    if asked.pictures:
        asked.pictures.mkdir(parents=True, exist_ok=True)
    axe = asked.axe.read_text() if asked.axe else ""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        keyward = Keyward(asked.keyward.resolve(), folder, SETTINGS)
        browser = Browser(folder, ["--lang=en"])
        try:
            keyward.start()
            browser.start()
            passed, failed = run(Walk(keyward, browser, axe, asked.pictures))
        finally:
            browser.stop()
            keyward.stop()
    print(f"console: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
