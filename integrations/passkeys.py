#!/usr/bin/env python3
"""Proves passkeys with Chromium and its virtual authenticators, against a running Keyward (AUT-4).

    integrations/passkeys.py --keyward target/debug/keyward

Starts a Keyward of its own and a page in front of it, which hands everything below /v1 on, and lets the
browser add passkeys and log in with them. Prints one line for each check; ends with 1 if any failed.
"""

import argparse
import http.client
import http.server
import sys
import tempfile
import threading
from pathlib import Path

from check.browser import Browser, PageError
from check.keyward import Keyward
from check.process import free_port

PAGE = Path(__file__).resolve().parent / "passkeys" / "page.html"
PASSWORD = "nine warm stones by the door"


def site(port, keyward_port):
    """A server of the page, in front of Keyward."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """The page, and what is handed on."""

        def do_GET(self):
            """The page for every path that is not of the API."""
            if self.path.startswith("/v1/"):
                self.hand_on()
            else:
                self.tell(200, [("Content-Type", "text/html")], PAGE.read_bytes())

        def hand_on(self):
            """Sends the request to Keyward with the headers that the browser gave it."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            upstream = http.client.HTTPConnection("127.0.0.1", keyward_port, timeout=30)
            upstream.request(self.command, self.path, body, {
                name: value for name, value in self.headers.items() if name not in ("Connection", "Host")
            })
            answer = upstream.getresponse()
            kept = [(name, value) for name, value in answer.getheaders()
                    if name.lower() in ("content-type", "set-cookie")]
            self.tell(answer.status, kept, answer.read())

        do_POST = do_DELETE = hand_on

        def tell(self, status, headers, body):
            """Answers the browser."""
            self.send_response(status)
            for name, value in [*headers, ("Content-Length", str(len(body)))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """The checks say what happens."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Checks:
    """What a user does, in order; each step goes on from those before."""

    def __init__(self, keyward, browser, url):
        self.keyward, self.browser, self.url = keyward, browser, url
        self.device = self.token = None

    def prepare(self):
        """A user with a password."""
        user = self.keyward.post("/v1/users", {"username": "grace"})["id"]
        link = self.keyward.post(f"/v1/users/{user}/password-reset", {})["token"]
        self.browser.open(self.url)
        body = {"token": link, "password": PASSWORD}
        self.good(self.browser.run("send", "POST", "/v1/auth/password-reset", body), 204)
        login = {"username": "grace", "password": PASSWORD}
        self.token = self.good(self.browser.run("send", "POST", "/v1/auth/login", login))["token"]

    @staticmethod
    def good(answer, status=200):
        """The body, if the status is this one."""
        assert answer["status"] == status, answer
        return answer["body"]

    def a_passkey_is_added(self):
        self.device = self.browser.plug_in()
        added = self.good(self.browser.run("enrol", self.token, "laptop"))
        assert added["factor"]["kind"] == "passkey" and len(added["recovery_codes"]) == 10, added
        self.token = added["token"]

    def the_same_device_is_not_added_twice(self):
        try:
            told = self.browser.run("enrol", self.token, "again")
        except PageError as error:
            assert "InvalidStateError" in str(error), error
        else:
            raise AssertionError(told)

    def it_logs_in_alone_without_a_name(self):
        opened = self.good(self.browser.run("enter", False))
        session = opened["session"]
        assert session["method"] == "passkey" and not session["enrolment_only"], opened
        self.token = opened["token"]

    def it_logs_in_with_a_cookie(self):
        opened = self.good(self.browser.run("enter", True))
        assert opened["token"] is None and opened["secret_state"] == "in_cookie", opened
        me = self.good(self.browser.run("send", "GET", "/v1/auth/session"))
        assert me["in_cookie"] and me["method"] == "passkey", me

    def it_is_the_second_factor_of_the_password(self):
        opened = self.good(self.browser.run("enterBeside", "grace", PASSWORD))
        assert opened["session"]["second_factor"] == "passkey", opened

    def it_makes_a_session_fresh(self):
        renewed = self.good(self.browser.run("stepUp", self.token))
        self.good(self.browser.run("send", "GET", "/v1/auth/session", None, self.token), 401)
        self.token = renewed["token"]

    def an_answer_works_once(self):
        assert self.browser.run("enterTwice") == [200, 401, "invalid_passkey"]

    def a_page_of_another_origin_is_refused_by_the_browser(self):
        self.browser.open(self.url.replace("localhost", "127.0.0.1"))
        try:
            told = self.browser.run("enter", False)
        except PageError as error:
            assert "SecurityError" in str(error), error
        else:
            raise AssertionError(told)
        finally:
            self.browser.open(self.url)

    def a_copy_that_counts_from_before_is_refused_and_told(self):
        self.device = self.browser.copy(self.device, 1)
        self.good(self.browser.run("enter", False), 401)
        path = "/v1/audit-events?action=factor.clone_warning"
        events = self.browser.run("send", "GET", path, None, self.keyward.root_secret)
        assert len(self.good(events)["data"]) == 1, events
        self.device = self.browser.copy(self.device, 1_000)
        self.good(self.browser.run("enter", False))

    def a_device_that_verifies_nobody_does_not_log_in_alone(self):
        self.browser.verify_nobody(self.device)
        try:
            told = self.browser.run("enter", False)
        except PageError as error:
            assert "NotAllowedError" in str(error), error
        else:
            raise AssertionError(told)

    def a_plain_security_key_is_a_second_factor(self):
        self.browser.unplug(self.device)
        self.device = self.browser.plug_in(
            protocol="ctap1/u2f", transport="usb", hasResidentKey=False,
            hasUserVerification=False, isUserVerified=False,
        )
        self.token = self.good(self.browser.run("enrol", self.token, "key ring"))["token"]
        opened = self.good(self.browser.run("enterBeside", "grace", PASSWORD))
        assert opened["session"]["second_factor"] == "passkey", opened

    def what_is_removed_is_dead(self):
        listed = self.good(self.browser.run("send", "GET", "/v1/auth/factors", None, self.token))
        assert [one["name"] for one in listed["factors"]] == ["laptop", "key ring"], listed
        for one in listed["factors"]:
            path = f"/v1/auth/factors/{one['id']}"
            self.good(self.browser.run("send", "DELETE", path, None, self.token), 204)
        login = {"username": "grace", "password": PASSWORD}
        self.good(self.browser.run("send", "POST", "/v1/auth/login", login))


STEPS = [
    Checks.a_passkey_is_added,
    Checks.the_same_device_is_not_added_twice,
    Checks.it_logs_in_alone_without_a_name,
    Checks.it_logs_in_with_a_cookie,
    Checks.it_is_the_second_factor_of_the_password,
    Checks.it_makes_a_session_fresh,
    Checks.an_answer_works_once,
    Checks.a_page_of_another_origin_is_refused_by_the_browser,
    Checks.a_copy_that_counts_from_before_is_refused_and_told,
    Checks.a_device_that_verifies_nobody_does_not_log_in_alone,
    Checks.a_plain_security_key_is_a_second_factor,
    Checks.what_is_removed_is_dead,
]


def run(checks):
    """How many steps passed and failed."""
    passed = failed = 0
    for step in STEPS:
        title = step.__name__.replace("_", " ")
        try:
            step(checks)
            passed += 1
            print(f"ok      {title}", flush=True)
        # Whatever goes wrong is a line and no traceback.
        except Exception as error:
            failed += 1
            print(f"FAILED  {title}: {type(error).__name__}: {error}", flush=True)
    return passed, failed


def main():
    """Ends with 1 when any check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keyward-passkeys-") as name:
        folder, port = Path(name), free_port()
        url = f"http://localhost:{port}"
        keyward = Keyward(options.keyward.resolve(), folder, f"server: {{public_url: '{url}'}}\n")
        browser = Browser(folder)
        keyward.start()
        page = site(port, keyward.port)
        try:
            browser.start()
            checks = Checks(keyward, browser, url)
            checks.prepare()
            passed, failed = run(checks)
        finally:
            browser.stop()
            page.shutdown()
            keyward.stop()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
