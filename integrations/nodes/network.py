"""A network namespace whose way to the database can be cut, hung and reset, beside one that stays for the client."""

import os
import subprocess

from check.process import StartError

# Of the range for measurements (RFC 2544): it leads nowhere else.
FRONT, BACK = "198.18.83", "198.18.84"


class Network:
    """Two pairs of virtual links; `.1` is this side, `.2` the namespace."""

    host, database, rest = f"{FRONT}.2", f"{BACK}.1", f"{BACK}.0/30"

    def __init__(self):
        self.name = f"keyward-{os.getpid()}"
        self.links = [f"kwf{os.getpid()}"[:15], f"kwb{os.getpid()}"[:15]]
        self.inside = ("ip", "netns", "exec", self.name)

    def create(self):
        """Namespace, links and addresses; StartError where that is not permitted."""
        run("ip", "netns", "add", self.name)
        run(*self.inside, "ip", "link", "set", "lo", "up")
        for link, net in zip(self.links, (FRONT, BACK)):
            peer = f"{link}n"[:15]
            run("ip", "link", "add", link, "type", "veth", "peer", "name", peer)
            run("ip", "link", "set", peer, "netns", self.name)
            run("ip", "address", "add", f"{net}.1/30", "dev", link)
            run(*self.inside, "ip", "address", "add", f"{net}.2/30", "dev", peer)
            run("ip", "link", "set", link, "up")
            run(*self.inside, "ip", "link", "set", peer, "up")

    def remove(self):
        """The links go with their namespace."""
        for link in self.links:
            subprocess.run(["ip", "link", "del", link], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    def cut(self):
        """The link to the database is down."""
        run("ip", "link", "set", self.links[1], "down")

    def mend(self):
        """Ends `cut`."""
        run("ip", "link", "set", self.links[1], "up")

    def hang(self):
        """Packets vanish, both ways."""
        self.rule("-I", "OUTPUT", "-j", "DROP")
        self.rule("-I", "INPUT", "-j", "DROP")

    def reset(self):
        """Every packet is answered by a reset of its connection."""
        self.rule("-I", "OUTPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")

    def rule(self, how, chain, *what):
        """A rule of the namespace for the link to the database."""
        way = "-o" if chain == "OUTPUT" else "-i"
        run(*self.inside, "iptables", "-w", how, chain, way, f"{self.links[1]}n"[:15], *what)

    def flush(self):
        """Ends `hang` and `reset`."""
        run(*self.inside, "iptables", "-w", "-F")


def run(*command):
    """Of iproute2 and iptables, which may not be on the PATH of a user."""
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    except FileNotFoundError as error:
        raise StartError(f"{command[0]} is not installed: {error}") from error
    if done.returncode != 0:
        raise StartError(f"{' '.join(command)}: {done.stderr.strip()}")
