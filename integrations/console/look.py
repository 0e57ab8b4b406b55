"""How the console is shown, and what the keyboard does: theme, zone, palette, shortcuts."""

import time

from check.browser import CONTROL, ENTER, ESCAPE

from .walk import Walk

IS_OPEN = "return document.querySelector('dialog[open]')?.id ?? ''"


class Look(Walk):
    """The steps, in order; each goes on from those before."""

    key = None

    def an_administrator_comes(self):
        self.administrator("lena")
        self.key = self.keyward.post("/v1/keys", {"class": "ingest", "label": "palette probe"})

    def the_theme_stays(self):
        self.open("/console/me/preferences")
        self.choose("#theme", "dark")
        self.choose("#zone", "Europe/Berlin")
        self.browser.press("Keep this look")
        self.says("The console looks so from now on, wherever you log in.")
        self.theme("light")
        self.open("/console")
        scheme = self.browser.eval("return getComputedStyle(document.documentElement).colorScheme")
        assert scheme == "dark", scheme
        self.look("overview-dark")

    def times_are_told_in_the_zone_with_utc_beside(self):
        self.open("/console/me/sessions")
        title = self.browser.eval("return document.querySelector('time').title")
        assert ("CET" in title or "CEST" in title) and title.endswith(" UTC"), title

    def another_browser_shows_it_so_too(self):
        self.browser.cdp("Network.clearBrowserCookies")
        self.open("/console/login")
        assert self.browser.eval("return document.documentElement.dataset.theme ?? ''") == ""
        self.log_in("lena")
        assert self.browser.eval("return document.documentElement.dataset.theme") == "dark"
        self.times_are_told_in_the_zone_with_utc_beside()

    def this_browser_goes_on_so_before_the_login(self):
        self.browser.press("Log out")
        self.at("/console/login")
        assert self.browser.eval("return document.documentElement.dataset.theme") == "dark"
        self.log_in("lena")
        self.open("/console/me/preferences")
        self.choose("#theme", "system")
        self.choose("#zone", "UTC")
        self.browser.press("Keep this look")
        self.says("The console looks so from now on, wherever you log in.")

    def palette(self, text):
        """Opens the palette and types."""
        self.browser.keys(CONTROL + "k")
        self.says("A page, the id of a key")
        self.browser.fill("#palette-text", text)

    def the_palette_goes_to_a_page(self):
        self.open("/console")
        self.palette("polic")
        self.says("Settings › Policy")
        self.look("palette")
        self.browser.keys(ENTER)
        self.at("/console/settings/policy")

    def the_palette_finds_keys_and_users(self):
        self.palette(self.key["id"])
        self.browser.keys(ENTER)
        self.at(f"/console/keys/{self.key['id']}")
        self.palette(self.key["access_key"])
        self.browser.keys(ENTER)
        self.at(f"/console/keys?q={self.key['access_key']}")
        self.says("palette probe")
        self.browser.press("Go to…")
        self.browser.fill("#palette-text", "lena")
        self.browser.press("Users with lena")
        self.at("/console/users?q=lena")

    def opens(self, dialog):
        """This dialog is open soon, or none."""
        for _ in range(50):
            if self.browser.eval(IS_OPEN) == dialog:
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.browser.eval(IS_OPEN)!r} is open in place of {dialog!r}")

    def single_keys_do_what_the_list_says(self):
        self.open("/console")
        self.browser.keys("?")
        self.says("Shortcuts", "This list")
        self.look("shortcuts")
        self.browser.keys(ESCAPE)
        self.opens("")
        self.browser.keys("/")
        self.opens("palette")
        self.browser.keys(ESCAPE)
        self.opens("")
        time.sleep(0.5)
        self.browser.keys("gk")
        self.at("/console/keys")

    def keys_in_a_field_are_text(self):
        self.browser.fill("#q", "?gk/")
        assert self.browser.eval(IS_OPEN) == ""
        assert self.browser.path() == "/console/keys"

    def single_keys_can_be_switched_off(self):
        self.open("/console/me/preferences")
        self.browser.click("input[name=single_keys]")
        self.browser.press("Keep this look")
        self.says("The console looks so from now on, wherever you log in.")
        self.open("/console")
        self.browser.keys("?")
        self.browser.keys("gk")
        assert self.browser.eval(IS_OPEN) == "" and self.browser.path() == "/console"
        self.browser.keys(CONTROL + "k")
        assert self.browser.eval(IS_OPEN) == "palette", "a key with Ctrl goes on working"
