"""Somebody whose browser sends everything through a recorder: a secret is in one answer, and in no other."""

from .walk import Walk


class Recorded(Walk):
    """The steps, in order; each goes on from those before."""

    is_recorded = True
    secrets = ()

    def who_makes_secrets_comes(self):
        self.administrator("uta")
        self.secrets = []

    def revealed(self):
        """Takes note of the secret on the page, and leaves it as a person would."""
        self.says("never again")
        self.secrets.append(self.browser.text("#secret"))
        self.shows_no_more(self.secrets[-1])

    def a_key_is_made(self):
        self.open("/console/keys/new")
        self.browser.fill("#label", "recorded")
        self.browser.press("Create key")
        self.revealed()

    def it_is_rotated(self):
        self.open("/console/me/keys")
        self.browser.press("recorded")
        self.browser.press("Rotate")
        self.browser.press("Make the new secret")
        self.revealed()

    def a_webhook_gets_its_secret(self):
        self.open("/console/webhooks/new")
        self.browser.click("input[value='key.*']")
        self.browser.fill("#url", "https://hooks.example.com/recorded")
        self.browser.press("Add the webhook")
        self.revealed()

    def every_place_is_looked_at_that_could_tell(self):
        for page in ("/console", "/console/keys", "/console/me/keys?q=recorded", "/console/audit", "/console/webhooks",
                     "/console/notifications", "/console/audit/export.jsonl"):
            if page.endswith("jsonl"):
                self.browser.eval("return fetch(arguments[0]).then(answer => answer.text())", page)
            else:
                self.open(page)
        assert self.secrets[1] != self.secrets[0]

    def each_secret_is_in_one_answer_to_a_form(self):
        """WEB-4: no address gives out a secret."""
        answers = self.recorder.answers
        assert len(answers) > 20, "the recorder saw nothing"
        for secret in self.secrets:
            where = [(method, path) for method, path, _, text in answers if secret in text]
            assert len(where) == 1 and where[0][0] == "POST", where
