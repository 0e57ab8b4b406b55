"""An administrator whose browser runs no scripts: links and forms do everything."""

import re
import time

from .walk import PASSWORD, Walk


class Scriptless(Walk):
    """The steps, in order; each goes on from those before."""

    key = None

    def goes(self, path, *texts):
        """Opens a page that says this."""
        self.open(path)
        return self.sees("<h1", *texts)

    def somebody_logs_in(self):
        self.administrator("nora")
        self.browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
        self.goes("/console", "Log out")
        self.browser.click("form[action='/console/logout'] button")
        self.sees('id="password"')
        self.browser.fill("#username", "nora")
        self.browser.fill("#password", PASSWORD)
        self.browser.click("form[action='/console/login'] button.primary")
        self.sees("Overview", "Log out")

    def every_page_of_the_menu_is_there(self):
        menu = re.search(r'<nav class="side".*?</nav>', self.goes("/console"), re.DOTALL).group()
        pages = re.findall(r'href="(/console[^"]*)"', menu)
        assert len(pages) > 15, pages
        for page in pages:
            self.goes(page, 'aria-current="page"')

    def a_key_is_made(self):
        self.goes("/console/keys/new")
        self.browser.fill("#label", "no scripts")
        self.browser.click("#key-form button.primary")
        page = self.sees("never again", 'id="secret"')
        self.key = re.search(r'href="(/console/keys/key_[^"/]+)"', page).group(1)
        secret = re.search(r'id="secret"[^>]*>([^<]+)<', page).group(1)
        assert self.api(secret, "/v1/me").status == 200
        self.used()

    def used(self):
        """A use is told some seconds late; from then on its name is asked for before it ends."""
        usage = self.key.replace("/console/", "/v1/") + "/usage"
        for _ in range(200):
            if self.keyward.call("GET", usage, None)["total"]["allowed"]:
                return
            time.sleep(0.1)
        raise AssertionError("no use is told")

    def it_is_switched_off_and_on(self):
        self.goes(self.key)
        self.browser.click("form[action$='/deactivate'] button")
        self.sees("The key is switched off.")
        self.browser.click("form[action$='/activate'] button")
        self.sees("The key works again.")

    def it_is_edited_extended_and_rotated(self):
        self.goes(f"{self.key}/edit")
        self.browser.fill("#label", "no scripts at all")
        self.browser.click("main form button.primary")
        self.sees("Saved.", "no scripts at all")
        self.goes(f"{self.key}/extend")
        self.browser.click("main form button.primary")
        self.sees("The end of the key was moved.")
        self.goes(f"{self.key}/rotate")
        self.browser.click("main form button.primary")
        self.sees("never again")

    def it_is_ended(self):
        self.goes(f"{self.key}/revoke", "What would stop")
        self.browser.click("input[value=revoke]")
        self.browser.fill("#label", "no scripts at all")
        self.browser.click("main form button.danger")
        self.sees("The key is revoked for good.")

    def people_and_rights_are_added(self):
        self.goes("/console/users/new")
        self.browser.fill("#username", "unscripted")
        self.browser.click("main form button.primary")
        self.sees("The user is added.")
        self.goes("/console/groups/new")
        self.browser.fill("#name", "Unscripted")
        self.browser.click("main form button.primary")
        self.sees("The group is added.")
        self.goes("/console/roles/new")
        self.browser.fill("#name", "Unscripted")
        self.browser.fill("#rights", "models:read")
        self.browser.click("main form button.primary")
        self.sees("The role is added.")

    def rules_are_drafted(self):
        self.goes("/console/settings/policy/edit")
        self.browser.fill("#note", "without scripts")
        self.browser.fill("input[name='max_keys_per_user']", "7")
        self.browser.click("main form button.primary")
        self.sees("The draft is kept. Nothing has changed yet.")
        self.browser.click("form[action$='/discard'] button")
        self.sees("The draft is discarded.")

    def a_webhook_is_added(self):
        self.goes("/console/webhooks/new")
        self.browser.click("input[value='key.*']")
        self.browser.fill("#url", "https://hooks.example.com/unscripted")
        self.browser.click("main form button.primary")
        self.sees("never again")

    def keys_are_stopped_in_an_incident_and_come_back(self):
        self.keyward.post("/v1/keys", {"class": "ingest", "label": "unscripted collector"})
        self.goes("/console/incidents/new")
        self.browser.fill("#label_contains", "unscripted collector")
        self.browser.click("main form button.primary")
        self.sees("To go on, type: deactivate 1")
        self.browser.fill("#confirm", "deactivate 1")
        self.browser.click("main form button.danger")
        self.sees("Done. The keys are listed below.")
        self.browser.click("form[action$='/undo'] button")
        self.sees("Undone.")

    def the_look_is_kept(self):
        self.goes("/console/me/preferences")
        self.browser.click("form[action$='/look'] button")
        self.sees("The console looks so from now on, wherever you log in.")
