"""The database moves to a standby. Each check has a primary, a standby and nodes of its own."""

import time
from contextlib import contextmanager

from check.report import expect

from .clock import ms, wait_until
from .fleet import BOUND, Fleet
from .line import Line
from .load import Writes
from .outage import BACK
from .postgres import Postgres


@contextmanager
def pair(world, name, settings=()):
    """A primary, its standby, the line that leads to one of them, and the nodes behind it."""
    folder = world.folder / name
    folder.mkdir(mode=0o755)
    primary, line, standby, fleet = Postgres(folder / "primary", settings=settings), None, None, None
    try:
        primary.create()
        primary.start()
        primary.make_database()
        line = Line(primary.port)
        fleet = Fleet(world.binary, folder / "fleet", primary.url(port=line.port))
        fleet.start()
        standby = primary.standby(folder / "standby")
        yield primary, standby, line, fleet
    finally:
        if fleet:
            fleet.stop()
        if line:
            line.stop()
        for cluster in filter(None, (standby, primary)):
            cluster.stop()


def must_agree(fleet):
    """A key made on each node works on all, and its revocation reaches all within a second."""
    longest = 0.0
    for node in fleet.nodes:
        key = node.root().key(f"after the failover, {node.name}")
        for other in fleet.nodes:
            expect(other.root().code(key["secret"]) == "ok", f"{other.name} does not know a new key")
        node.root().revoke(key)
        answered = time.monotonic()
        for other in fleet.nodes:
            wait_until(f"{other.name} hears of a revocation",
                       lambda other=other: other.root().code(key["secret"]) == "revoked", 1)
        longest = max(longest, time.monotonic() - answered)
    return longest


def synchronous(world):
    """R1, R4: the primary is killed and a synchronous standby promoted: nothing acknowledged is lost, all go on"""
    with pair(world, "synchronous") as (primary, standby, line, fleet):
        standby.start()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.sql("SELECT pg_reload_conf()")
        wait_until("the standby is synchronous", lambda: primary.sql(
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1", 10)
        front, writes = fleet.front(), Writes(fleet.front(), 20, "moved")
        doomed = front.key("revoked right before")
        for node in fleet.nodes:
            expect(node.root().code(doomed["secret"]) == "ok", "a fresh key is accepted")
        with writes.load:
            time.sleep(3)
            front.revoke(doomed)
            primary.kill()
            standby.sql("SELECT pg_promote()")
            line.lead_to(standby.port)
            began = time.monotonic()
            wait_until("all are ready", lambda: all(node.root().ready() for node in fleet.nodes), BACK)
            took = time.monotonic() - began
            time.sleep(1)
        lost = writes.lost(standby)
        expect(writes.acknowledged and not lost, f"acknowledged and lost, or there twice: {lost}")
        for node in fleet.nodes:
            expect(node.root().code(doomed["secret"]) == "revoked", f"{node.name} accepts what was revoked before")
        chain = fleet.front().call("GET", "/v1/audit-events/verification")
        expect(chain["ok"] is True, f"the audit log: {chain}")
        longest = must_agree(fleet)
        return (f"{len(writes.acknowledged)} acknowledged, none lost; ready after {ms(took)}, "
                f"then revocations within {ms(longest)}")


def behind(world):
    """R2, R4: a standby that lacks the last changes is promoted: what happens from then on reaches every node"""
    with pair(world, "behind") as (primary, standby, line, fleet):
        # What it does not get: the nodes have read these changes of the feed, it has not.
        known = fleet.front().key("known to the standby")
        standby.start()
        wait_until("the standby has it", lambda: standby.sql(
            f"SELECT count(*) FROM keys WHERE id = '{known['id']}'", "keyward") == "1", 10)
        standby.stop()
        lost = [fleet.front().key(f"lost {number}") for number in range(10)]
        for node in fleet.nodes:
            for key in (known, *lost):
                expect(node.root().code(key["secret"]) == "ok", "a fresh key is accepted")
        primary.kill()
        standby.start()
        standby.sql("SELECT pg_promote()")
        line.lead_to(standby.port)
        wait_until("all are ready", lambda: all(node.root().ready() for node in fleet.nodes), 5)
        fleet.nodes[0].root().revoke(known)
        for node in fleet.nodes:
            wait_until(f"{node.name} hears of a revocation",
                       lambda node=node: node.root().code(known["secret"]) == "revoked", 1)
        for node in fleet.nodes:
            wait_until(f"{node.name} gives up keys that are not there any more",
                       lambda node=node: {node.root().code(key["secret"]) for key in lost} == {"invalid_key"}, 1)
        return f"then revocations within {ms(must_agree(fleet))}"


def not_promoted(world):
    """R2, R4: nodes that are led to a standby that nobody promoted say 503: it may not know the last revocation"""
    with pair(world, "not-promoted") as (primary, standby, line, fleet):
        standby.start()
        key = fleet.front().key("revoked unseen by the standby")
        for node in fleet.nodes:
            expect(node.root().code(key["secret"]) == "ok", "a fresh key is accepted")
        wait_until("the standby has it", lambda: standby.sql(
            f"SELECT count(*) FROM keys WHERE id = '{key['id']}'", "keyward") == "1", 10)
        standby.sql("SELECT pg_wal_replay_pause()")
        fleet.front().revoke(key)
        written = primary.sql("SELECT pg_current_wal_lsn()")
        wait_until("the standby has, but does not show it", lambda: standby.sql(
            f"SELECT pg_last_wal_receive_lsn() >= '{written}'") == "t", 5)
        line.lead_to(standby.port)
        primary.kill()
        time.sleep(BOUND + 1)
        for node in fleet.nodes:
            code = node.root().code(key["secret"])
            expect(code in ("revoked", "503") and not node.root().ready(), f"{node.name} says {code}")
        standby.sql("SELECT pg_wal_replay_resume()")
        standby.sql("SELECT pg_promote()")
        took = wait_until("all are ready", lambda: all(node.root().ready() for node in fleet.nodes), BACK)
        for node in fleet.nodes:
            expect(node.root().code(key["secret"]) == "revoked", f"{node.name} accepts what was revoked")
        return f"ready {ms(took)} after the promotion"


CHECKS = (synchronous, behind, not_promoted)
