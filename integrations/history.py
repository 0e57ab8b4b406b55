#!/usr/bin/env python3
"""Checks what many clients on several nodes were answered, under faults, against a sequential model.

    tools/with-postgres integrations/history.py --keyward target/debug/keyward [--seed N] [--seconds 20]
    integrations/history.py --replay FILE

Starts nodes on one database, each behind a proxy of its own, and clients that make, rotate, switch, change,
revoke, read and verify keys, while nodes are killed, stopped and cut off. What is promised, and how to read
a history that broke it, stands in docs/explanation/history-check.md. Prints one line for each check; ends
with 1 if any failed. The history of such a run is kept in the folder of --keep.
"""

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from history import checker, examples, model
from history.clients import AGENT, RIGHTS, Client, World
from history.cluster import Cluster
from history.faults import disturb
from history.record import OK, UNKNOWN, Event, History, Setup

# URL of a PostgreSQL server that may be given new databases.
DATABASE = "KEYWARD_TEST_POSTGRES"
# Seconds, beyond what the configuration promises, for whole milliseconds in between.
SLACK = 0.05
# A node is back to normal within 2 s of the end of a fault (R4), and so are clients that waited.
RECOVERY = 2.0
# Parts of a run: until then without any fault, and until then with one at a time.
QUIET, SINGLE = 0.2, 0.6
# Longer than a write may take on a node: behind it nothing happens any more.
SETTLED = 4.0
# Violations that are printed.
MOST = 10
# Events that tell of the use of a key, and change nothing.
BELLS = {"key.first_used", "key.new_network", "key.secret_used"}


class Report:
    """Prints as it counts."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, passed, title, seen=""):
        """One line for a check."""
        self.passed += passed
        self.failed += not passed
        print(f"ok      {title}" if passed else f"FAILED  {title}: saw {seen}", flush=True)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", type=Path, help="the keyward binary")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="what the dice show")
    parser.add_argument("--seconds", type=float, default=20, help="how long clients work")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()),
                        help="folder for a history that breaks a promise")
    parser.add_argument("--replay", type=Path, help="check a kept history again, without running anything")
    options = parser.parse_args()
    if not options.replay and not options.keyward:
        parser.error("--keyward or --replay")
    if not options.replay and DATABASE not in os.environ:
        parser.error("run it by tools/with-postgres, which starts a database")
    return options


def run(options):
    """A run from start to end: its history."""
    with tempfile.TemporaryDirectory(prefix="keyward-history-") as folder:
        cluster = Cluster(options.keyward.resolve(), Path(folder), os.environ[DATABASE], options.nodes)
        try:
            cluster.start()
            near, far = (bound + SLACK for bound in cluster.bounds())
            setup = Setup(options.seed, options.nodes, near, far, RECOVERY)
            world = World(cluster, History(setup))
            work(options, world, cluster)
            return world.history
        finally:
            cluster.stop()


def work(options, world, cluster):
    """Roles, then clients and faults, then a look at all that is left."""
    first = Client(world, options.clients, options.seed)
    for name in ("reader", "writer"):
        first.do(0, "create_role", None, name=name, rights=list(RIGHTS))
    began, seed = world.now(), options.seed
    until = began + options.seconds
    with ThreadPoolExecutor(options.clients + options.nodes) as pool:
        clients = [Client(world, number, seed) for number in range(options.clients)]
        tasks = [pool.submit(client.work, until) for client in clients]
        time.sleep(options.seconds * QUIET)
        disturb(world, cluster.nodes, f"{seed} any node", began + options.seconds * SINGLE)
        tasks += [
            pool.submit(disturb, world, [node], f"{seed} node {node.number}", until) for node in cluster.nodes
        ]
        for task in tasks:
            task.result()
    time.sleep(SETTLED)
    world.history.events = events(cluster)
    look(first, world, cluster)


def look(client, world, cluster):
    """Reads each key on each node, verifies each secret there, and the audit log."""
    made = [event.subject for event in world.history.events if event.action == model.ACTIONS["create"]]
    living, over = world.known()
    secrets = dict(living + over)
    for node in range(len(cluster.nodes)):
        for key in made:
            client.do(node, "show", key)
            for generation, secret in secrets.get(key, {}).items():
                client.verify(node, key, generation, RIGHTS[0], secret)
    verdict = cluster.get("/v1/audit-events/verification")
    world.history.setup.chain_ok = verdict["ok"]


def events(cluster):
    """The changes in the audit log that are of keys and roles, the oldest first."""
    found, cursor = [], ""
    while cursor is not None:
        page = cluster.get(f"/v1/audit-events?outcome=success&limit=200{cursor}")
        found += [event_of(event) for event in page["data"] if event["action"].startswith(("key.", "role."))]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    changes = sorted((event for event in found if event.action not in BELLS), key=lambda event: event.seq)
    # Before the first operation of ours the first administrator was made.
    return list(itertools.dropwhile(lambda event: event.operation is None, changes))


def event_of(event):
    """What the check needs of an event."""
    number = (event["agent"] or "").removeprefix(AGENT)
    return Event(event["seq"], event["action"], event["target"]["id"], int(number) if number.isdigit() else None)


def judge(history, report):
    """One line for each rule that was broken, or one that all hold."""
    done = [operation for operation in history.operations if operation.result != UNKNOWN]
    verified = sum(operation.kind == model.VERIFY for operation in done)
    acknowledged = sum(operation.kind in model.ACTIONS and operation.result == OK for operation in done)
    title = (
        f"seed {history.setup.seed}: {len(history.operations)} operations, {len(history.operations) - len(done)} "
        f"without an answer, {verified} verifications, {acknowledged} acknowledged writes, {len(history.faults)} faults"
    )
    violations = checker.check(history)
    report(not violations and acknowledged > 0 and verified > 0, title, f"{len(violations)} violations")
    by_id = {operation.id: operation for operation in history.operations}
    for violation in violations[:MOST]:
        print(f"        {violation.rule}: {violation.text}")
        for number in violation.operations:
            print(f"            {by_id.get(number)}")
    return violations


def main():
    """Ends with 1 when the check, or what is checked, failed."""
    options, report = arguments(), Report()
    examples.run(report)
    if options.replay:
        judge(History.read(options.replay), report)
    else:
        print(f"--      seed {options.seed}", flush=True)
        history = run(options)
        if judge(history, report):
            options.keep.mkdir(parents=True, exist_ok=True)
            kept = options.keep / f"keyward-history-{options.seed}.jsonl"
            history.write(kept)
            print(f"        kept in {kept}")
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
