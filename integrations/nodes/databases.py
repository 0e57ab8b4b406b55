"""A PostgreSQL that dies, hangs, does not write, and takes no one in."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from check.report import expect

from .clock import ms, wait_until
from .fleet import BOUND
from .outage import BACK, Outage, must_recover, must_refuse


def killed(world):
    """R4: PostgreSQL is killed (SIGKILL) and comes back: cached keys work up to the bound, then 503, then all is well"""
    return outage(world, world.postgres.kill, world.postgres.start)


def frozen(world):
    """R4: the same when PostgreSQL stands still (SIGSTOP of all its processes)"""
    return outage(world, world.postgres.freeze, world.postgres.thaw)


def full(world):
    """R4: the same when PostgreSQL takes no connection in (53300)"""
    def begin():
        world.postgres.sql("ALTER ROLE keyward CONNECTION LIMIT 0")
        world.postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keyward'")

    return outage(world, begin, lambda: world.postgres.sql("ALTER ROLE keyward CONNECTION LIMIT -1"))


def outage(world, begin, end):
    """Every node, between `begin` and `end`, and how many reads it takes to be back."""
    good, cold = world.root.key("in an outage"), world.root.key("never used")
    for node in world.nodes:
        expect(node.root().code(good["secret"]) == "ok", f"{node.name} does not know it")
    watches = [Outage(node, good["secret"]) for node in world.nodes]
    begin()
    try:
        with ExitStack() as watching:
            for watch in watches:
                watching.enter_context(watch)
            time.sleep(BOUND + 1)
            for node in world.nodes:
                must_refuse(node, cold)
            expect(world.front.code(good["secret"]) == "503", "HAProxy has another answer than the nodes")
        before = [node.metric("keyward_store_reads_total") for node in world.nodes]
    finally:
        end()
    began = time.monotonic()
    slowest = herd(world, good)
    told = [must_recover(node, good) for node in world.nodes]
    back = time.monotonic() - began
    expect(back <= BACK, f"all were back only after {back:.2f} s: slowest of the first {slowest}, then {told}")
    reads = [node.metric("keyward_store_reads_total") - was for node, was in zip(world.nodes, before)]
    # Two keys, the administrator, their user and tenant: each may be read once, by whoever came first.
    expect(max(reads) <= 8, f"a herd: {reads} reads")
    must_be_normal(world, "lost")
    accepted = max(watch.last_accept for watch in watches)
    for watch in watches:
        watch.judge()
    return f"accepted for {ms(accepted)}, back after {ms(back)}, at most {max(reads):.0f} reads on a node"


def must_be_normal(world, refused):
    """When the time to come back is over nothing fails on any node; a user whose making was refused is not there."""
    time.sleep(BACK)
    for node in world.nodes:
        for _ in range(10):
            node.root().call("POST", "/v1/roles", {"name": f"after {refused} {time.time()}", "rights": []})
            expect(not node.root().call("GET", f"/v1/users?username={refused}")["data"], f"{refused} was made")


def herd(world, key):
    """Many ask at once, as soon as there may be answers; what was said last to one of them, and after how long."""
    def ask(node):
        began = time.monotonic()
        code = node.root().code(key["secret"])
        return time.monotonic() - began, code, node.name

    with ThreadPoolExecutor(24) as pool:
        said = list(pool.map(ask, [node for node in world.nodes for _ in range(16)]))
    expect({code for _, code, _ in said} <= {"ok", "503"}, said)
    return max(said)


def read_only(world):
    """R4: a PostgreSQL that does not write stops writes with 503, and nothing else"""
    key = world.root.key("read only")
    world.postgres.sql("ALTER ROLE keyward SET default_transaction_read_only = on")
    terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'keyward'"
    try:
        world.postgres.sql(terminate)
        for node in world.nodes:
            wait_until("verification goes on", lambda node=node: node.root().code(key["secret"]) == "ok", BACK)
            answer = node.root().send("POST", "/v1/users", {"username": "unwritten"})
            expect(answer.status == 503 and int(answer.header("retry-after")) > 0, answer)
        time.sleep(BOUND + 0.5)
        for node in world.nodes:
            expect(node.root().code(key["secret"]) == "ok", "verification stops after the bound")
    finally:
        world.postgres.sql("ALTER ROLE keyward RESET default_transaction_read_only")
        world.postgres.sql(terminate)
    must_be_normal(world, "unwritten")


CHECKS = (killed, frozen, full, read_only)
