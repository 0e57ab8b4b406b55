#!/usr/bin/env python3
"""Proves that three nodes of Keyward with one PostgreSQL behind HAProxy are one server, whatever happens to them.

    integrations/nodes.py --keyward target/debug/keyward [--only together,links] [--previous BINARY] [--full]

Starts a PostgreSQL, three nodes and HAProxy with the file of deploy/compose, on free loopback ports, and one more node in
a network namespace of its own; kills, stops, freezes and cuts them; prints one line for each check and ends with 1
if any failed. The namespace needs root: without it those checks fail. --previous, or KEYWARD_PREVIOUS, names the
binary of the version before, for the rolling upgrade.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from check.process import StartError
from check.report import Report
from nodes import clocks, databases, failover, links, losses, revocations, together
from nodes.fleet import Fleet
from nodes.network import Network
from nodes.postgres import Postgres

MODULES = {
    "together": together, "revocations": revocations, "losses": losses, "links": links,
    "databases": databases, "clocks": clocks, "failover": failover,
}


class World:
    """What a check finds."""

    def __init__(self, options, folder, postgres, network):
        self.binary, self.is_full, self.folder = options.keyward.resolve(), options.full, folder
        # The same stands for both where no version before is named.
        self.previous = (options.previous or options.keyward).resolve()
        self.postgres, self.network_or_error = postgres, network
        self.fleet = Fleet(self.binary, folder / "fleet", postgres.url())
        self.nodes, self.front = self.fleet.nodes, self.fleet.front()
        # The administrator at a node that no check takes away from the database.
        self.root = self.nodes[1].root()

    @property
    def network(self):
        """The network of its own, or why there is none."""
        if isinstance(self.network_or_error, StartError):
            raise self.network_or_error
        return self.network_or_error

    def others(self, node):
        """The nodes that it is not."""
        return [other for other in self.nodes if other is not node]


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    parser.add_argument("--only", default=",".join(MODULES), help="modules, separated by commas")
    # Keyward takes no variable that it does not know.
    parser.add_argument("--previous", type=Path, default=os.environ.pop("KEYWARD_PREVIOUS", None),
                        help="the binary of the version before (KEYWARD_PREVIOUS)")
    parser.add_argument("--full", action="store_true", help="a whole minute for the load around a kill")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - set(MODULES)
    if unknown:
        parser.error(f"no such module: {', '.join(sorted(unknown))}")
    return options


def own_network(network):
    """The namespace, or why there is none."""
    try:
        network.create()
    except StartError as error:
        network.remove()
        return error
    return network


def check_all(options, folder, report):
    """The database, the fleet, then module by module."""
    network = Network()
    made = own_network(network)
    postgres = Postgres(folder / "postgres", None if made is not network else (network.database, network.rest))
    world = None
    try:
        postgres.create()
        postgres.start()
        postgres.make_database()
        world = World(options, folder, postgres, made)
        world.fleet.start()
        for name in options.only:
            for check in MODULES[name].CHECKS:
                report.run(name, check.__doc__, lambda check=check: check(world))
    finally:
        if world:
            world.fleet.stop()
        postgres.stop()
        network.remove()


def main():
    """Ends with 1 when any check failed, or none was made."""
    options = arguments()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="keyward-nodes-") as folder:
        # PostgreSQL, started by root, runs as an unprivileged user.
        Path(folder).chmod(0o755)
        check_all(options, Path(folder), report)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
