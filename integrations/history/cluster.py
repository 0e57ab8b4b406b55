"""Several nodes of one Keyward on one database, each with a way of its own to it."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from check.process import Program, StartError, free_port

from .proxy import Proxy

READY_SECONDS = 30
# The staleness of a connected node is the default of Keyward; alone it goes on for less than by default, so
# that faults of a short run are longer. Whoever waits for the database in vain shall be told soon.
SETTINGS = """\
verify: {on_database_loss: serve_for 2s}
database: {timeout: 1s}
"""


class Node:
    """`keyward serve`, behind a proxy before its database."""

    def __init__(self, cluster, number):
        url = urllib.parse.urlsplit(cluster.database)
        self.number, self.port = number, free_port()
        self.proxy = Proxy((url.hostname, url.port or 5432))
        way = url._replace(netloc=f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{self.proxy.port}")
        self.program = Program(
            [cluster.binary, "serve", *cluster.flags, "--listen", f"127.0.0.1:{self.port}"],
            self.port, cluster.folder / f"node-{number}.log",
            {"KEYWARD_DATABASE__URL": way.geturl(), "KEYWARD_METRICS__LISTEN": ""},
        )

    def start(self):
        """Starts it and waits until it is ready."""
        self.program.start()
        end = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            if time.monotonic() > end:
                raise StartError(f"node {self.number} does not get ready: {self.program.log_tail()}")
            time.sleep(0.05)

    def is_ready(self):
        """Whether it says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.HTTPError):
            return False

    def kill(self):
        """SIGKILL."""
        self.program.child.kill()
        self.program.child.wait()


class Cluster:
    """A fresh database on the server at `url`, its first administrator, and the nodes."""

    def __init__(self, binary, folder, url, count):
        self.binary, self.folder, self.server = binary, folder, url
        self.name = f"keyward_history_{free_port()}"
        self.database = f"{url}/{self.name}"
        config = folder / "config.yml"
        config.write_text(SETTINGS)
        self.flags = ["--config", str(config), "--data-dir", str(folder / "data")]
        self.psql(f"CREATE DATABASE {self.name}")
        root = self.run("bootstrap", "--data-dir", str(folder / "data"), "--username", "root")
        self.root_secret = root["secret"]
        self.nodes = [Node(self, number) for number in range(count)]

    def run(self, *command):
        """What a command of the binary prints."""
        env = {"KEYWARD_DATABASE__URL": self.database}
        done = subprocess.run(
            [self.binary, *command, "-o", "json"], capture_output=True, text=True, check=False, env=env,
        )
        if done.returncode != 0:
            raise StartError(f"keyward {command[0]}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def psql(self, statement):
        """Runs a statement on the database server."""
        subprocess.run(["psql", f"{self.server}/postgres", "-qc", statement], check=True)

    def get(self, path):
        """What the first node answers to its administrator."""
        headers = {"Authorization": f"Bearer {self.root_secret}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.nodes[0].port}{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:
            return json.load(answer)

    def bounds(self):
        """How old facts may be, in seconds: on a node that reaches the database, and on any other."""
        shown = self.run("config", "show", "--config", self.flags[1])
        settings = {each["setting"]: each["value"] for each in shown["data"]}
        near = seconds(settings["verify.max_staleness"])
        alone = settings["verify.on_database_loss"].removeprefix("serve_for ")
        return near, near + seconds(alone)

    def start(self):
        """All nodes, one after the other."""
        for node in self.nodes:
            node.start()

    def stop(self):
        """Ends all of it."""
        for node in self.nodes:
            node.program.stop()
        self.psql(f"DROP DATABASE {self.name} WITH (FORCE)")


def seconds(text):
    """A duration of the configuration: `250ms`, `10s`."""
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))
