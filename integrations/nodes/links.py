"""A node in a network of its own whose way to the database breaks."""

import time

from check.report import expect

from .clock import ms, wait_until
from .fleet import BOUND
from .line import Line
from .outage import Outage, must_recover, must_refuse
from .revocations import Watcher


def cut(world):
    """R2, R4: a node whose link to the database is down stops in time with 503, and knows at once what it missed"""
    return cut_off(world, world.network.cut, world.network.mend)


def hung(world):
    """R2, R4: the same when packets vanish (iptables DROP)"""
    return cut_off(world, world.network.hang, world.network.flush)


def reset(world):
    """R2, R4: the same when connections are reset (iptables REJECT)"""
    return cut_off(world, world.network.reset, world.network.flush)


def cut_off(world, breaks, mends):
    """The node in its own network, between `breaks` and `mends`."""
    node = alone(world)
    good, doomed, cold = (world.root.key(f"cut off {name}") for name in ("good", "doomed", "cold"))
    for key in (good, doomed):
        wait_until("the node knows it", lambda key=key: node.root().code(key["secret"]) == "ok", 2)
    breaks()
    try:
        with Outage(node, doomed["secret"]) as outage:
            world.root.revoke(doomed)
            time.sleep(BOUND + 1)
            must_refuse(node, cold)
            # As long as an engineer takes to notice, on the clock of a connection.
            time.sleep(3)
    finally:
        mends()
    return f"{outage.judge()}, {must_recover(node, good, doomed)}"


def alone(world):
    """The node in the namespace; started by the first who asks."""
    for node in world.fleet.more:
        if node.inside:
            return node
    network = world.network
    url = world.postgres.url(network.database)
    return world.fleet.another("keyward-alone", url, host=network.host, inside=network.inside)


def slow(world):
    """R2, R4: behind a slow line a revocation takes at most 1 s; behind one that is too slow the node stops in time"""
    line = Line(world.postgres.port)
    node = world.fleet.another("keyward-slow", world.postgres.url(port=line.port))
    try:
        line.delay = 0.02
        key = world.root.key("over a slow line")
        wait_until("the node knows it", lambda: node.root().code(key["secret"]) == "ok", 3)
        watcher = Watcher(node, key)
        watcher.start()
        world.root.revoke(key)
        window = watcher.window(time.monotonic())
        expect(window <= 1, f"accepted for {ms(window)} over a slow line")
        good, doomed, cold = (world.root.key(f"slow {name}") for name in ("good", "doomed", "cold"))
        for warm in (good, doomed):
            wait_until("the node knows it", lambda warm=warm: node.root().code(warm["secret"]) == "ok", 3)
        with Outage(node, doomed["secret"]) as outage:
            line.delay = 1.0
            world.root.revoke(doomed)
            time.sleep(BOUND + 1)
            expect(node.root().code(cold["secret"]) == "503", "it knows a key that it never read")
        line.delay = 0.0
        back = must_recover(node, good, doomed)
        return f"accepted for {ms(window)} with 40 ms there and back; with 2 s {outage.judge()}, {back}"
    finally:
        line.delay = 0.0
        node.stop()
        line.stop()


CHECKS = (cut, hung, reset, slow)
