"""Over plain http, at a name that is not this machine's own: no clipboard, no word of the browser on where a
request comes from, no cookie that needs encryption."""

from check.browser import CONTROL

from .walk import PASSWORD, Walk


class Plain(Walk):
    """The steps, in order; each goes on from those before."""

    host = "console.test"
    secret = None

    def somebody_logs_in_without_encryption(self):
        _, link = self.user("paul")
        self.keyward.post("/v1/auth/password-reset", {"token": link["token"], "password": PASSWORD})
        self.log_in("paul")
        assert not self.browser.eval("return isSecureContext"), "this proves nothing"
        assert not self.browser.eval("return Boolean(navigator.clipboard)"), "this proves nothing"

    def a_key_is_made(self):
        self.open("/console/keys/new")
        self.browser.fill("#label", "on a plain network")
        self.browser.press("Create key")
        self.says("never again")
        self.secret = self.browser.text("#secret")

    def the_copy_button_copies(self):
        self.browser.press("Copy secret")
        self.says("Copied")
        self.browser.press("Copy access key")
        access_key = self.browser.text("#access-key")
        self.open("/console/me/keys")
        assert self.pasted() == access_key, self.pasted()

    def what_cannot_be_copied_is_selected(self):
        self.open("/console/keys/new")
        self.browser.fill("#label", "without a clipboard")
        self.browser.press("Create key")
        self.says("never again")
        self.browser.eval("document.execCommand = () => false")
        self.browser.press("Copy secret")
        self.says("Press Ctrl+C to copy")
        chosen = self.browser.eval("return getSelection().toString().trim()")
        assert chosen == self.browser.text("#secret"), "Ctrl+C would copy something else"
        self.browser.keys(CONTROL + "c")
        self.open("/console/me/keys")
        assert self.pasted() == chosen

    def pasted(self):
        """What the clipboard holds."""
        self.browser.fill("#q", "")
        self.browser.click("#q")
        self.browser.keys(CONTROL + "v")
        return self.browser.eval("return document.querySelector('#q').value")

    def the_session_ends(self):
        self.browser.press("Log out")
        self.at("/console/login")
        self.open("/console/me/keys")
        self.at("/console/login")
