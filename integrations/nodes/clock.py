"""Waiting and counting time, on a clock that nobody sets."""

import time

from check.report import Failure


def wait_until(what, condition, seconds):
    """Waits until it is true, for so long at most; how long it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return time.monotonic() - began


def ms(seconds):
    """For people."""
    return f"{seconds * 1000:.0f} ms"
