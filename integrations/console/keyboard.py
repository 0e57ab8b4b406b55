"""Somebody without a mouse: a key from its making to its end, with the keyboard alone."""

from .walk import PASSWORD, Walk

TAB, ENTER = "\ue004", "\ue007"
FOCUSED = """
    const at = document.activeElement, style = getComputedStyle(at);
    const text = (at.innerText || at.value || "").trim();
    const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
    return [at.id, at.tagName, text, seen];
"""


class Keyboard(Walk):
    """The steps, in order; each goes on from those before."""

    secret = None

    def reach(self, wanted):
        """Goes on by Tab to what has this id or says this, and sees where the focus is on the way."""
        for _ in range(150):
            self.browser.keys(TAB)
            name, tag, text, seen = self.browser.eval(FOCUSED)
            if tag == "BODY":
                continue
            assert seen, f"nothing shows that {tag} {name} {text[:40]!r} has the focus"
            if wanted in (name, text):
                return
        raise AssertionError(f"no Tab leads to {wanted!r} on {self.browser.path()}")

    def one_logs_in(self):
        _, link = self.user("kim")
        self.keyward.post("/v1/auth/password-reset", {"token": link["token"], "password": PASSWORD})
        self.open("/console/login")
        self.browser.eval("document.activeElement.blur()")
        self.reach("username")
        self.browser.keys("kim")
        self.reach("password")
        self.browser.keys(PASSWORD + ENTER)
        self.at("/console")

    def one_skips_to_the_content(self):
        self.open("/console/me/keys")
        self.browser.keys(TAB)
        assert self.browser.eval(FOCUSED)[2] == "Skip to content"
        self.browser.keys(ENTER)
        self.reach("Create key")
        self.browser.keys(ENTER)
        self.at("/console/keys/new")

    def a_key_is_made_and_copied(self):
        self.reach("label")
        self.browser.keys("by hand")
        self.reach("Create key")
        self.browser.keys(ENTER)
        self.says("never again")
        self.secret = self.browser.text("#secret")
        self.reach("Copy secret")
        self.browser.keys(ENTER)
        self.says("Copied")
        assert self.api(self.secret, "/v1/me").status == 200

    def it_is_rotated(self):
        self.open("/console/me/keys")
        self.reach("by hand")
        self.browser.keys(ENTER)
        self.says("Permissions")
        self.reach("Rotate")
        self.browser.keys(ENTER)
        self.says("Make the new secret")
        self.reach("Make the new secret")
        self.browser.keys(ENTER)
        self.says("never again")
        fresh = self.browser.text("#secret")
        assert fresh != self.secret
        self.secret = fresh

    def it_is_ended(self):
        self.open("/console/me/keys")
        self.reach("by hand")
        self.browser.keys(ENTER)
        self.says("Permissions")
        self.reach("Revoke")
        self.browser.keys(ENTER)
        self.says("What would stop")
        for _ in range(60):
            self.browser.keys(TAB)
            if self.browser.eval("return document.activeElement.name === 'how'"):
                break
        # The arrows choose among the radio buttons of a group.
        self.browser.keys("\ue015")
        assert self.browser.eval("return document.activeElement.value") == "revoke"
        # Its name is asked for only where it is in use, and that is told some seconds late.
        if self.browser.eval("return !!document.querySelector('#label')"):
            self.reach("label")
            self.browser.keys("by hand")
        self.reach("Do it")
        self.browser.keys(ENTER)
        self.says("The key is revoked for good.")
        assert self.api(self.secret, "/v1/me").status == 401
