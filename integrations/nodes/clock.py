"""Waiting and counting time, on a clock that nobody sets."""

import time

from check.report import Failure


def wait_until(what, condition, seconds):
    """Waits until it is true, which must be known after so long; how long it took."""
    began = time.monotonic()
    while True:
        is_so, took = condition(), time.monotonic() - began
        if took > seconds:
            raise Failure(f"not within {seconds} s: {what}{f', but after {took:.2f} s' if is_so else ''}")
        if is_so:
            return took
        time.sleep(0.01)


def ms(seconds):
    """For people."""
    return f"{seconds * 1000:.0f} ms"
