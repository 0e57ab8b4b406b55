"""A wall clock that is set while a node runs."""

import glob
import time

from check.process import StartError
from check.report import expect

from .clock import ms, wait_until


def steps(world):
    """R11: the wall clock of a node jumps ten minutes ahead and back: no crash, good keys work, revocations in time"""
    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketime.so.1")), None)
    if library is None:
        raise StartError("libfaketime is not installed")
    told = world.folder / "time"
    told.write_text("+0")
    node = world.fleet.another("keyward-clock", world.postgres.url(), env={
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(told),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1",
    })
    good, longest = world.root.key("good at all times"), 0.0
    try:
        for step in ("+600", "-600", "+0"):
            told.write_text(step)
            for trial in range(3):
                key = world.root.key(f"at {step}, {trial}")
                expect(node.root().code(good["secret"]) == "ok", f"at {step} a good key is refused")
                world.root.revoke(key)
                took = wait_until(f"it is refused at {step}",
                                  lambda key=key: node.root().code(key["secret"]) == "revoked", 1)
                longest = max(longest, took)
            made = node.root().key(f"made at {step}")
            expect(world.root.code(made["secret"]) == "ok", f"a key made at {step} is refused elsewhere")
        chain = world.root.call("GET", "/v1/audit-events/verification")
        expect(chain["ok"] is True, f"the audit log: {chain}")
        expect(node.program.child.poll() is None, node.program.log_tail())
    finally:
        node.stop()
    return f"revocations took at most {ms(longest)}"


CHECKS = (steps,)
