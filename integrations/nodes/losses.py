"""Nodes that die, and nodes that are replaced."""

import http.client
import time

from check.report import expect

from .caller import exchange
from .clock import ms, wait_until
from .fleet import Fleet
from .load import Writes, verifications

RATE, WRITES = 200, 10


def killed(world):
    """R19: a node is killed (SIGKILL) under load behind HAProxy: at most 0.1 % of the requests fail"""
    keys = [world.root.key(f"load {number}") for number in range(20)]
    node, seconds = world.nodes[0], 60 if world.is_full else 15
    with verifications(world.front, RATE, keys) as load:
        time.sleep(seconds / 4)
        node.program.kill()
        died = time.monotonic()
        time.sleep(seconds / 2)
        node.start()
        time.sleep(max(seconds - (time.monotonic() - died) - seconds / 4, 1))
    expect(load.sent > 0.9 * RATE * seconds, f"only {load.sent} requests were sent")
    expect(len(load.faults) <= load.sent / 1000, f"{len(load.faults)} of {load.sent} failed: {load.faults[:3]}")
    return f"{len(load.faults)} of {load.sent} failed, the slowest took {ms(load.slowest)}"


def upgraded(world):
    """R6, R7: all nodes are replaced one by one under load by the next version: no failed request, no lost write"""
    return roll(world, "upgraded", world.previous, world.binary)


def downgraded(world):
    """R7: and one by one by the version before: no failed request, no lost write"""
    return roll(world, "downgraded", world.binary, world.previous)


def roll(world, name, old, new):
    """A fleet of its own, on a database of its own, from one binary to the other."""
    world.postgres.sql(f"CREATE DATABASE {name} OWNER keyward")
    fleet = Fleet(old, world.folder / name, world.postgres.url(database=name))
    try:
        fleet.start()
        front, stops = fleet.front(), []
        writes = Writes(front, WRITES, name)
        with verifications(front, RATE, [front.key(f"roll {number}") for number in range(20)]) as load, writes.load:
            for node in fleet.nodes:
                began = time.monotonic()
                node.stop()
                stops.append(time.monotonic() - began)
                node.use(new)
                node.start()
                # As one who rolls waits: until the proxy sends it requests again.
                time.sleep(1)
    finally:
        fleet.stop()
    expect(not load.faults, f"{len(load.faults)} of {load.sent} verifications failed: {load.faults[:3]}")
    expect(not writes.load.faults, f"{len(writes.load.faults)} writes failed: {writes.load.faults[:3]}")
    lost = writes.lost(world.postgres, name)
    expect(not lost, f"acknowledged and lost, or there twice: {lost}")
    expect(max(stops) <= 10, f"a stop took {max(stops):.1f} s")
    which = "the same binary" if old == new else "another binary"
    return (f"{which}, {load.sent} verifications, {len(writes.acknowledged)} writes, "
            f"stops of at most {ms(max(stops))}, the slowest answer took {ms(load.slowest)}")


def drained(world):
    """R6: a node that is told to stop says so at /readyz, ends in time, and HAProxy passes it over"""
    node = world.nodes[1]
    connection = http.client.HTTPConnection(node.host, node.port, timeout=5)
    # A connection from before: new ones are not taken any more.
    expect(exchange(connection, "", "GET", "/readyz", None).status == 200, "it is not ready")
    node.program.child.terminate()
    began = time.monotonic()
    # Connections that look idle go on for a tenth of a second.
    while (answer := exchange(connection, "", "GET", "/readyz", None)).status == 200:
        time.sleep(0.005)
    expect(answer.status == 503 and "draining" in answer.json()["reasons"], answer)
    node.program.child.wait(10)
    took = time.monotonic() - began
    expect(all(world.front.ready() for _ in range(6)), "HAProxy does not pass it over")
    node.program.stop()
    node.start()
    return f"gone after {ms(took)}"


def frozen(world):
    """R19: a node that stands still (SIGSTOP) under load is passed over: at most 0.1 % of the requests fail"""
    keys = [world.root.key(f"still {number}") for number in range(20)]
    node = world.nodes[2]
    with verifications(world.front, RATE, keys) as load:
        time.sleep(1)
        node.program.freeze()
        try:
            time.sleep(6)
        finally:
            node.program.thaw()
        wait_until("it is ready again", node.root().ready, 2)
    expect(len(load.faults) <= load.sent / 1000, f"{len(load.faults)} of {load.sent} failed: {load.faults[:3]}")
    return f"{len(load.faults)} of {load.sent} failed, the slowest took {ms(load.slowest)}"


CHECKS = (killed, frozen, drained, upgraded, downgraded)
