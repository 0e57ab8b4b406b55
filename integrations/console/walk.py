"""What a person does at the console, and what is looked at on each page."""

import json
import time

from check.client import send
from check.process import StartError

WIDE, NARROW = (1280, 900), (360, 740)
PASSWORD = "nine warm stones by the door"


class Walk:
    """One person at one browser."""

    # The name that the browser knows the server by.
    host = "localhost"
    # Whether everything goes through a recorder.
    is_recorded = False

    def __init__(self, keyward, browser, axe, pictures, recorder=None):
        self.recorder = recorder
        self.keyward, self.browser, self.axe, self.pictures = keyward, browser, axe, pictures
        self.url = f"http://{self.host}:{keyward.port}"
        self.seen = set()

    def open(self, path):
        """Goes to a page of the console."""
        self.browser.open(self.url + path)

    def says(self, *texts, seconds=10):
        """All of this stands on the page, or will within this time."""
        for _ in range(seconds * 10):
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

    def reaches(self, part):
        """The address comes to hold this."""
        for _ in range(100):
            if part in self.browser.path():
                return
            time.sleep(0.1)
        raise AssertionError(f"{part} is not in {self.browser.path()}")

    def look(self, name):
        """No fault for axe in light, in dark and in colours of the system, nothing that runs out of a small window; a
        picture of each."""
        if name in self.seen:
            return
        self.seen.add(name)
        for theme in ("light", "dark", "forced"):
            self.theme(theme)
            for size, width in ((WIDE, "wide"), (NARROW, "narrow")):
                if (theme, width) == ("forced", "narrow"):
                    continue  # Colours move nothing.
                self.browser.resize(*size)
                self.picture(f"{name}-{theme}-{width}")
                faults = self.faults()
                assert not faults, f"{name}, {theme}, {width}: {json.dumps(faults, indent=1)[:3000]}"
                overflow = self.browser.eval("return document.documentElement.scrollWidth - innerWidth")
                assert overflow <= 0, f"{name} is {overflow} pixels wider than a {width} window"
        self.theme("light")
        self.browser.resize(*WIDE)

    def theme(self, name):
        """What the system asks for: light, dark, or a few colours of its own, here on dark ground."""
        forced = name == "forced"
        features = {"prefers-color-scheme": "dark" if forced else name, "forced-colors": "active" if forced else "none"}
        listed = [{"name": feature, "value": value} for feature, value in features.items()]
        self.browser.cdp("Emulation.setEmulatedMedia", features=listed)

    def picture(self, name):
        """Keeps what the window shows, if pictures are wanted."""
        if self.pictures:
            self.browser.screenshot(self.pictures / f"{name}.png")

    def faults(self):
        """What axe finds against WCAG 2.2 AA (WEB-7); of an open dialog, what stands in it."""
        found = self.browser.eval(self.axe + """;
            return axe.run(document.querySelector("dialog[open]") ?? document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
                .then(told => told.violations.map(one => [one.id, one.help, one.nodes.slice(0, 3).map(node => node.html)]));
        """)
        return found

    def choose(self, css, value):
        """Another entry of a list."""
        self.browser.eval("document.querySelector(arguments[0]).value = arguments[1]", css, value)

    def shows_no_more(self, secret):
        """Neither Back nor Reload nor anything that the browser keeps shows a secret again."""
        address = self.browser.path()
        self.browser.back()
        time.sleep(0.5)
        assert secret not in self.browser.text(), "Back shows the secret"
        self.browser.eval("location.reload()")
        time.sleep(0.5)
        assert secret not in self.browser.text(), "Reload shows the secret"
        self.open(address)
        kept = "return JSON.stringify([{...localStorage}, {...sessionStorage}, history.state, document.title])"
        assert secret not in self.browser.eval(kept), "the browser keeps the secret"

    def user(self, username, **more):
        """A user with a password."""
        user = self.keyward.post("/v1/users", {"username": username, **more})
        link = self.keyward.post(f"/v1/users/{user['id']}/password-reset", {})
        return user["id"], link

    def log_in(self, username):
        """Opens the console as somebody who needs no second factor."""
        self.open("/console/login")
        self.browser.fill("#username", username)
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Log in")
        self.at("/console")

    def administrator(self, username):
        """Somebody who may do everything in the tenant, logged in; no second factor is asked for."""
        patch = {"login": {"require_second_factor": "nobody"}}
        self.keyward.call("PATCH", "/v1/policies", patch)
        roles = self.keyward.call("GET", "/v1/roles", None)["data"]
        admin = next(role["id"] for role in roles if role["name"] == "admin")
        _, link = self.user(username, role_ids=[admin])
        body = {"token": link["token"], "password": PASSWORD}
        self.keyward.post("/v1/auth/password-reset", body)
        self.log_in(username)

    def api(self, secret, path):
        """A call with a key."""
        return send(self.keyward.port, "GET", path, [("Authorization", f"Bearer {secret}")])

    def source(self):
        """The page as it was sent."""
        root = self.browser.cdp("DOM.getDocument")["root"]
        return self.browser.cdp("DOM.getOuterHTML", nodeId=root["nodeId"])["outerHTML"]

    def sees(self, *texts):
        """All of this stands in the page as it was sent, or will soon."""
        page = ""
        for _ in range(100):
            try:
                page = self.source()
            except StartError:
                pass  # One page goes, and another comes.
            if all(text in page for text in texts):
                return page
            time.sleep(0.1)
        raise AssertionError(f"{texts} is not there:\n{page[:3000]}")

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
