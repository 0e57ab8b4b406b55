"""What a client finds: a Keyward with every dialect on, and the key of an operator."""

import importlib
import json
import os
import sys
import traceback
import urllib.error
import urllib.request


class World:
    """The server of this run."""

    def __init__(self):
        self.url, self.token = os.environ["KEYWARD_URL"], os.environ["KEYWARD_TOKEN"]

    def api(self, method, path, body=None, token=None):
        """A management call; what the answer holds. It must be a 2xx."""
        request = urllib.request.Request(
            self.url + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text else {}

    @staticmethod
    def ok(text, condition):
        """One check."""
        print(f"{'ok     ' if condition else 'FAILED '} {text}", flush=True)


if __name__ == "__main__":
    try:
        importlib.import_module(f"dialects.{sys.argv[1]}").check(World())
    except Exception:  # pylint: disable=broad-except
        traceback.print_exc()
        sys.exit(1)
