"""What a node may say while it cannot know, and when it is back."""

import threading
import time

from check.report import Failure, expect

from .clock import ms, wait_until
from .fleet import BOUND

# What one request may take on a busy machine.
SLACK = 0.25
# R4: back to normal after what was broken is whole again.
BACK = 2.0


class Outage:
    """Asks a node about a key that it has used before, every 20 ms, from a thread of its own.

    `ok` and 503 may be said, and nothing else.
    """

    def __init__(self, node, secret):
        self.node, self.secret = node, secret
        self.began, self.last_accept, self.said, self.wrong = time.monotonic(), 0.0, [], []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def __enter__(self):
        self.began = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.is_over.set()
        self.thread.join()

    def watch(self):
        """Until the outage ends."""
        while not self.is_over.wait(0.02):
            asked = time.monotonic() - self.began
            try:
                code = self.node.root().code(self.secret)
            except (OSError, Failure) as error:
                self.wrong.append(f"{error} after {asked:.2f} s")
                continue
            self.said.append(code)
            if code == "ok":
                self.last_accept = asked
            elif code != "503":
                self.wrong.append(f"{code} after {asked:.2f} s")

    def judge(self, bound=BOUND):
        """Accepted for no longer than the bound, then 503."""
        expect(not self.wrong, self.wrong[:3])
        expect(self.said and self.said[-1] == "503", f"at the end it said {self.said[-1:]}")
        expect(self.last_accept <= bound + SLACK, f"accepted after {self.last_accept:.2f} s")
        return f"accepted for {ms(self.last_accept)}"


def must_refuse(node, cold):
    """A key that the node does not know, a write and /readyz are 503 while the database is away."""
    expect(node.root().code(cold["secret"]) == "503", "it knows a key that it never read")
    answer = node.root().send("POST", "/v1/users", {"username": "lost"})
    expect(answer.status == 503 and int(answer.header("retry-after")) > 0, f"a write: {answer}")
    answer = node.root().send("GET", "/readyz")
    expect(answer.status == 503 and answer.json()["reasons"], f"/readyz: {answer}")


def must_recover(node, good, revoked=None):
    """A good key is accepted again in time; one that was revoked meanwhile never."""
    began = time.monotonic()
    secret = (revoked or good)["secret"]

    def known():
        code = node.root().code(secret)
        expect(code != "ok" or not revoked, "a key that was revoked meanwhile is accepted")
        return code != "503"

    wait_until("it says what a key is", known, 15)
    wait_until("a good key is accepted", lambda: node.root().code(good["secret"]) == "ok", 15)
    wait_until("it is ready", node.root().ready, 15)
    took = time.monotonic() - began
    expect(took <= BACK, f"back only after {took:.2f} s")
    return f"back after {ms(took)}"
