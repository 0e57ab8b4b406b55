"""The snippet of the how-to page, by the library of PyPI. One line for each check."""

import datetime
import json
import os
import re
from pathlib import Path

from standardwebhooks import webhooks

DELIVERIES = json.loads(Path(os.environ["DELIVERIES"]).read_text())
SNIPPET = re.search(r"```python\n(.*?)```", Path(os.environ["PAGE"]).read_text(), re.DOTALL).group(1)
PAGE = {}
# The page is ours, and must work as it stands there.
exec(SNIPPET, PAGE)
receive = PAGE["receive"]


class Shifted(datetime.datetime):
    """A clock that stands."""

    at = 0

    @classmethod
    def now(cls, tz=None):
        """The time that it stands at."""
        return datetime.datetime.fromtimestamp(cls.at, tz)


def check(title, action):
    """One line for each check."""
    try:
        action()
        print(f"ok      {title}", flush=True)
    # Whatever a library raises is a line and no traceback.
    except Exception as error:
        print(f"FAILED  {title}: {type(error).__name__}: {error}", flush=True)
    finally:
        webhooks.datetime = datetime.datetime


def accepted(one):
    """Each secret that is in use, no other."""
    for secret in one["secrets"]:
        assert receive(secret, one["headers"], one["body"]) == json.loads(one["body"])
    for secret in one["others"]:
        assert receive(secret, one["headers"], one["body"]) is None


def tampered(one):
    """Another body, another id, no signature."""
    secret, headers, body = one["secrets"][0], one["headers"], one["body"]
    other = body.replace("key.create", "key.delete")
    assert other != body
    assert receive(secret, headers, other) is None
    assert receive(secret, headers, body + " ") is None
    assert receive(secret, {**headers, "webhook-id": "delivery_other"}, body) is None
    assert receive(secret, {**headers, "webhook-signature": "v1,AAAA"}, body) is None


def timely(one):
    """Five minutes either way."""
    webhooks.datetime = Shifted
    for seconds, good in [(-301, False), (-299, True), (299, True), (301, False)]:
        Shifted.at = int(one["headers"]["webhook-timestamp"]) + seconds
        told = receive(one["secrets"][0], one["headers"], one["body"])
        assert (told is not None) == good, seconds


if __name__ == "__main__":
    for delivery in DELIVERIES:
        name = delivery["name"]
        check(f"{name}: accepted by each secret that is in use, by no other", lambda: accepted(delivery))
        check(f"{name}: another body, another id, no signature: refused", lambda: tampered(delivery))
        check(f"{name}: 301 seconds early or late: refused, 299 accepted", lambda: timely(delivery))
