"""The first administrator of a new server: from the setup token to the first login."""

from .walk import PASSWORD, Walk


class First(Walk):
    """The steps, in order; each goes on from those before."""

    secret = link = None

    def every_way_leads_to_the_setup(self):
        self.open("/console/keys")
        self.at("/console/setup")
        self.says("This instance has no administrator yet.", "setup-token")
        self.look("setup")

    def a_wrong_token_is_told(self):
        self.browser.fill("#token", "kwb_not-the-token")
        self.browser.fill("#username", "ruth")
        self.browser.press("Make the first administrator")
        self.says("This needs another look", "This token is wrong or too old.")
        self.look("setup-refused")

    def the_token_makes_the_first_administrator(self):
        token = (self.keyward.data / "setup-token").read_text().strip()
        self.browser.fill("#token", token)
        self.browser.press("Make the first administrator")
        self.says("Keyward is set up", "never again", "The administrator ruth")
        self.secret = self.browser.text("#secret")
        self.link = self.browser.eval("return document.querySelector('a[href*=kwl_]').hash.slice(1)")
        assert self.api(self.secret, "/v1/me").status == 200
        assert token not in self.source() and "kwl_" not in self.browser.path()
        self.look("setup-done")
        self.browser.press("Copy secret")
        self.says("Copied")

    def the_password_is_set_by_the_link(self):
        self.browser.press("Set my password")
        self.at("/console/password")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Set the password")
        self.at("/console/login")
        self.says("The password is set.")
        self.shows_no_more(self.secret)

    def there_is_no_second_setup(self):
        self.open("/console/setup")
        self.says("There is nothing here")
        assert self.secret not in self.browser.text()

    def the_administrator_comes_in_and_adds_a_second_factor_first(self):
        self.open("/console/login")
        self.browser.fill("#username", "ruth")
        self.browser.fill("#password", PASSWORD)
        self.browser.press("Log in")
        self.says("Add an authenticator app")
        self.look("setup-security")
