"""A client of one address, with one credential."""

import http.client
import json
import time

from check.client import Answer
from check.report import Failure, expect


class Caller:
    """Calls over a connection of its own each time; `address` is host and port."""

    def __init__(self, address, secret, timeout=20):
        self.address, self.secret, self.timeout = address, secret, timeout

    def send(self, method, path, body=None, headers=()):
        """Whatever is answered; OSError or HTTPException when nothing is."""
        connection = http.client.HTTPConnection(*self.address, timeout=self.timeout)
        try:
            return exchange(connection, self.secret, method, path, body, headers)
        finally:
            connection.close()

    def call(self, method, path, body=None, headers=()):
        """The content of an answer that must be a 2xx."""
        answer = self.send(method, path, body, headers)
        if answer.status not in range(200, 300):
            raise Failure(f"{method} {path}: {answer}")
        return answer.json() if answer.body else None

    def key(self, label, **more):
        """A new key: id and secret among what was answered."""
        return self.call("POST", "/v1/keys", {"class": "workspace", "label": label, **more})

    def revoke(self, key):
        """Ends a key. A node that went in the midst of a write holds others up for `database.timeout`: a 503 is for
        asking again."""
        until = time.monotonic() + 10
        while (answer := self.send("POST", f"/v1/keys/{key['id']}/revoke", {"reason": "check"})).status == 503:
            expect(time.monotonic() < until, answer)
            time.sleep(0.1)
        expect(answer.status in range(200, 300), answer)

    def verify(self, secret):
        """The answer about a credential."""
        return self.send("POST", "/v1/verify", {"credential": secret})

    def code(self, secret):
        """What is said of a credential: `ok` or why not; `503` when it cannot be known."""
        answer = self.verify(secret)
        if answer.status == 503:
            expect(int(answer.header("retry-after") or 0) > 0, f"503 without Retry-After: {answer}")
            return "503"
        expect(answer.status == 200, answer)
        return answer.json()["code"]

    def ready(self):
        """Whether /readyz says yes; no answer is a no."""
        try:
            return self.send("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False


def exchange(connection, secret, method, path, body, headers=()):
    """One request over this connection."""
    sent = {"Content-Type": "application/json", **dict(headers)}
    if secret:
        sent["Authorization"] = f"Bearer {secret}"
    connection.request(method, path, None if body is None else json.dumps(body), sent)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())
