#!/usr/bin/env python3
"""Proves the verifier that applications embed, by the example of crates/verify and a running Keyward.

    cargo build -p keyward -p keyward-verify --bins --examples
    integrations/embedded.py --keyward target/debug/keyward --application target/debug/examples/axum

Starts a Keyward and the application, and calls the application with good, bad, restricted, limited and revoked
keys, and while Keyward is away. Prints one line for each check; ends with 1 if any failed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from check.client import send
from check.keyward import Keyward
from check.process import Program, free_port

# A change is known to the application by then; what it remembers ends after ten seconds without news.
CHANGE_SECONDS, STALE_SECONDS = 1, 15


class World:
    """Keyward, the application, and who calls it."""

    def __init__(self, keyward_binary, application_binary, folder):
        self.keyward = Keyward(keyward_binary, folder)
        self.keyward.start()
        self.port = free_port()
        env = {
            "KEYWARD_URL": f"http://127.0.0.1:{self.keyward.port}",
            "KEYWARD_TOKEN": self.key("application", ["verify:call"])["secret"],
            "LISTEN": f"127.0.0.1:{self.port}",
        }
        self.application = Program([application_binary], self.port, folder / "application.log", env)
        self.application.start()

    def stop(self):
        """Ends both."""
        self.application.stop()
        self.keyward.stop()

    def key(self, label, rights, **more):
        """A workspace key with these rights."""
        role = self.keyward.post("/v1/roles", {"name": f"role of {label}", "rights": rights})["id"]
        return self.keyward.post("/v1/keys", {"class": "workspace", "label": label, "role_ids": [role], **more})

    def call(self, key, method="GET", target="/reports"):
        """The application's answer to a key, or to nobody."""
        headers = [("Authorization", f"Bearer {key['secret']}")] if key else []
        return send(self.port, method, target, headers)

    def code(self, *call):
        """Status and reason of the answer."""
        answer = self.call(*call)
        return answer.status, answer.body.decode().strip()

    def becomes(self, wanted, seconds, *call):
        """Whether the status is this one before so many seconds are over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.call(*call).status == wanted:
                return True
            time.sleep(0.02)
        return False


def rights_decide(world):
    """X1: who may read reads, who may write writes, and nobody else."""
    reader = world.key("reader", ["reports:read"])
    writer = world.key("writer", ["reports:write"])
    return (
        world.code(reader) == (200, f"the reports of {reader['id']}")
        and world.code(reader, "POST") == (403, "insufficient_rights")
        and world.code(writer, "POST") == (201, f"a report of {writer['id']}")
        and world.code(writer) == (403, "insufficient_rights")
    )


def strangers_are_challenged(world):
    """X1: without a credential, or with one that is none, it is 401; what needs none is open."""
    nobody, garbage = world.call(None), world.call({"secret": "kwm_nothing"})
    return (
        nobody.status == garbage.status == 401
        and nobody.header("WWW-Authenticate") == garbage.header("WWW-Authenticate") == "Bearer"
        and garbage.body == b"invalid_key\n"
        and world.call(None, "GET", "/healthz").status == 200
    )


def conditions_hold(world):
    """X6: a key that is bound to methods, paths or networks is good for those alone."""
    both = ["reports:read", "reports:write"]
    get_only = world.key("get only", both, conditions={"methods": ["GET"]})
    elsewhere = world.key("elsewhere", both, conditions={"cidrs": ["203.0.113.0/24"]})
    other_path = world.key("other path", both, conditions={"paths": ["/orders/**"]})
    # Twice: a remembered yes for one method is none for another.
    return all(
        world.call(get_only).status == 200
        and world.code(get_only, "POST") == (403, "condition_failed")
        and world.code(elsewhere) == (403, "address_denied")
        and world.code(other_path) == (403, "condition_failed")
        for _ in range(2)
    )


def limits_are_counted(world):
    """X6: each use of a limited key is counted, and one too many is 429 with the time to wait."""
    limits = [{"name": "two", "requests": 2, "per_seconds": 3600}]
    limited = world.key("limited", ["reports:read"], limits=limits)
    answers = [world.call(limited) for _ in range(3)]
    last = answers[-1]
    return (
        [answer.status for answer in answers] == [200, 200, 429]
        and last.body == b"rate_limited\n" and int(last.header("Retry-After")) > 0
    )


def revoked_ends(world):
    """A revoked key is refused within a second, though it was remembered."""
    key = world.key("revoked", ["reports:read"])
    if not world.becomes(200, 5, key):
        return False
    world.keyward.post(f"/v1/keys/{key['id']}/revoke", {"reason": "check"})
    return world.becomes(401, CHANGE_SECONDS, key) and world.code(key) == (401, "revoked")


def unknown_is_503(world):
    """VER-8: while Keyward is away, what was remembered goes on for ten seconds; all else is 503, never 401."""
    known, fresh = world.key("known", ["reports:read"]), world.key("fresh", ["reports:read"])
    # What is remembered first may end with the news of these keys.
    end = time.monotonic() + 2
    while time.monotonic() < end:
        if world.call(known).status != 200:
            return False
    world.keyward.stop()
    went_on = world.call(known).status == 200
    refused = world.call(fresh).status == 503
    ended = world.becomes(503, STALE_SECONDS, known)
    world.keyward.start()
    return went_on and refused and ended and world.becomes(200, 5, known) and world.becomes(200, 5, fresh)


CHECKS = [
    rights_decide, strangers_are_challenged, conditions_hold, limits_are_counted, revoked_ends, unknown_is_503,
]


def main():
    """Ends with 1 when any check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    parser.add_argument("--application", required=True, type=Path, help="the example of crates/verify")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="keyward-embedded-") as folder:
        world = World(options.keyward.resolve(), options.application.resolve(), Path(folder))
        try:
            for check in CHECKS:
                good = check(world)
                failed += not good
                print(f"{'ok' if good else 'FAILED':8}{check.__doc__}", flush=True)
        finally:
            world.stop()
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
