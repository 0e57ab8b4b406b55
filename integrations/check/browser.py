"""Chromium by WebDriver, with authenticators in software (WebAuthn §11)."""

import base64
import json
import time
import urllib.error
import urllib.request

from .process import Program, StartError, free_port

# Keys as WebDriver writes them.
CONTROL, ENTER, ESCAPE = "\ue009", "\ue007", "\ue00c"
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


class PageError(Exception):
    """What a page threw."""


class Browser:
    """One window, whose scripts are functions of the page."""

    def __init__(self, folder, flags=()):
        self.flags = flags
        self.port = free_port()
        self.driver = Program(["chromedriver", f"--port={self.port}"], self.port, folder / "chromedriver.log")
        self.session = None

    def start(self):
        """Starts driver and browser."""
        self.driver.start()
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": [*FLAGS, *self.flags]},
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"

    def stop(self):
        """Ends both."""
        if self.session:
            self.call("DELETE", self.session)
        self.driver.stop()

    def call(self, method, path, body=None):
        """One command of WebDriver."""
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise StartError(f"{method} {path}: {error.read().decode()[:500]}") from error

    def open(self, url):
        """Goes to a page."""
        self.call("POST", f"{self.session}/url", {"url": url})

    def run(self, name, *arguments):
        """Calls `keyward.name` of the page and waits for what it promises."""
        script = """
            const [name, args, done] = arguments;
            keyward[name](...args).then(value => done({value}), error => done({error: String(error)}));
        """
        body = {"script": script, "args": [name, list(arguments)]}
        told = self.call("POST", f"{self.session}/execute/async", body)
        if "error" in told:
            raise PageError(told["error"])
        return told["value"]

    def plug_in(self, **more):
        """A new authenticator, which says yes to everything; its id."""
        device = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                  "hasUserVerification": True, "isUserVerified": True, **more}
        return self.call("POST", f"{self.session}/webauthn/authenticator", device)

    def unplug(self, device):
        """Takes it away."""
        self.call("DELETE", f"{self.session}/webauthn/authenticator/{device}")

    def verify_nobody(self, device):
        """From now on it does not know who holds it."""
        path = f"{self.session}/webauthn/authenticator/{device}/uv"
        self.call("POST", path, {"isUserVerified": False})

    def copy(self, device, count):
        """The same passkeys in another device, which has counted so far."""
        kept = self.call("GET", f"{self.session}/webauthn/authenticator/{device}/credentials")
        self.unplug(device)
        other = self.plug_in()
        for passkey in kept:
            path = f"{self.session}/webauthn/authenticator/{other}/credential"
            self.call("POST", path, {**passkey, "signCount": count})
        return other

    def eval(self, script, *arguments):
        """What a piece of script returns."""
        return self.call("POST", f"{self.session}/execute/sync", {"script": script, "args": list(arguments)})

    def elements(self, css):
        """The elements that a selector finds."""
        found = self.call("POST", f"{self.session}/elements", {"using": "css selector", "value": css})
        return [next(iter(element.values())) for element in found]

    def element(self, css):
        """The one that it finds first, once it is there."""
        for _ in range(50):
            found = self.elements(css)
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(f"there is no {css} on {self.path()}:\n{self.text()[:1500]}")

    def click(self, css):
        """A click, as a person makes one."""
        self.call("POST", f"{self.session}/element/{self.element(css)}/click", {})

    def press(self, text, within=""):
        """Clicks the button or link that says so."""
        for _ in range(50):
            found = self.eval("""
                const [text, within] = arguments;
                const all = [...document.querySelectorAll(`${within} button, ${within} a, ${within} summary`)];
                return all.find(one => one.textContent.trim() === text && one.checkVisibility()) ?? null;
            """, text, within)
            if found:
                break
            time.sleep(0.1)
        assert found, f"nothing says {text!r} on {self.path()}:\n{self.text()[:1500]}"
        self.call("POST", f"{self.session}/element/{next(iter(found.values()))}/click", {})

    def fill(self, css, text):
        """Types into a field what stands there from then on."""
        field = self.element(css)
        self.call("POST", f"{self.session}/element/{field}/clear", {})
        self.call("POST", f"{self.session}/element/{field}/value", {"text": text})

    def keys(self, text):
        """Presses keys where the focus is; all are let go at the end."""
        held = [key for key in text if key in "\ue008\ue009\ue00a\ue03d"]
        presses = []
        for key in text:
            presses.append({"type": "keyDown", "value": key})
            if key not in held:
                presses.append({"type": "keyUp", "value": key})
        presses += [{"type": "keyUp", "value": key} for key in held]
        body = {"actions": [{"type": "key", "id": "keyboard", "actions": presses}]}
        self.call("POST", f"{self.session}/actions", body)

    def back(self):
        """One page back, as with the button of the browser."""
        self.call("POST", f"{self.session}/back", {})

    def text(self, css="body"):
        """What stands there for people, once something does."""
        for _ in range(50):
            text = self.eval("return document.querySelector(arguments[0])?.innerText ?? ''", css)
            if text:
                return text
            time.sleep(0.1)
        return ""

    def path(self):
        """The address without the host."""
        url = self.call("GET", f"{self.session}/url")
        return "/" + url.split("/", 3)[3] if url.count("/") >= 3 else url

    def screenshot(self, file):
        """A picture of the window."""
        data = self.call("GET", f"{self.session}/screenshot")
        file.write_bytes(base64.b64decode(data))

    def resize(self, width, height):
        """Another size of the window."""
        self.call("POST", f"{self.session}/window/rect", {"width": width, "height": height})

    def cdp(self, command, **parameters):
        """A command of the DevTools protocol, for what WebDriver has not."""
        body = {"cmd": command, "params": parameters}
        return self.call("POST", f"{self.session}/goog/cdp/execute", body)

    def log(self, kind="browser"):
        """What the browser has logged since last asked."""
        return self.call("POST", f"{self.session}/se/log", {"type": kind})
