"""Three nodes with one database and one root key, and HAProxy with the file of deploy/compose."""

import json
import re
import secrets
import shutil
import subprocess
from pathlib import Path

from check.process import Program, StartError, free_port

from .caller import Caller
from .clock import wait_until

RECIPE = Path(__file__).resolve().parent.parent.parent / "deploy" / "compose" / "haproxy.cfg"
# A cut-off node answers for at most BOUND: the sum of what is set below.
BOUND = 2.0
SETTINGS = """\
server: {{public_url: "http://127.0.0.1:{proxy}"}}
verify: {{max_staleness: 500ms, on_database_loss: serve_for 1500ms}}
database: {{timeout: 1s, max_connections: 8}}
webhooks: {{allow: ["127.0.0.1"]}}
"""


class Node:
    """One `keyward serve`; it keeps nothing but its log."""

    def __init__(self, fleet, name, url, host="127.0.0.1", inside=(), env=None):
        self.fleet, self.name, self.host, self.port, self.metrics_port = fleet, name, host, free_port(), free_port()
        self.inside, self.url, self.env = list(inside), url, env or {}
        self.folder = fleet.folder / name
        self.folder.mkdir()
        self.program = None
        self.use(fleet.binary)

    def use(self, binary):
        """From the next start on it is this binary."""
        loopback = self.host == "127.0.0.1"
        self.program = Program(
            [*self.inside, binary, "serve", "--config", self.fleet.config, "--data-dir", self.folder / "data",
             "--listen", f"{self.host}:{self.port}", *(() if loopback else ("--insecure-listen",))],
            self.port, self.folder / "keyward.log",
            {**self.fleet.env(self.url), "KEYWARD_METRICS__LISTEN": f"{self.host}:{self.metrics_port}", **self.env},
            self.host,
        )

    def start(self):
        """Starts it and waits until it is ready."""
        self.program.start()
        wait_until(f"{self.name} is ready: {self.program.log_tail()}", self.root().ready, 10)

    def stop(self):
        """SIGTERM, and whatever it takes until the process is gone."""
        self.program.stop()

    def caller(self, secret):
        """A client of this node alone."""
        return Caller((self.host, self.port), secret)

    def root(self):
        """The administrator at this node."""
        return self.caller(self.fleet.secret)

    def metric(self, name):
        """The sum of a metric over its labels."""
        text = Caller((self.host, self.metrics_port), "").send("GET", "/metrics").body.decode()
        return sum(float(value) for value in re.findall(rf"(?m)^{name}(?:{{.*}})? (\S+)$", text))


class Fleet:
    """`url` is how the nodes reach the database."""

    def __init__(self, binary, folder, url):
        folder.mkdir(mode=0o755)
        self.binary, self.folder, self.url = binary, folder, url
        self.proxy_port = free_port()
        self.config, self.root_key = folder / "config.yml", folder / "root.key"
        self.config.write_text(SETTINGS.format(proxy=self.proxy_port))
        self.root_key.touch(mode=0o600)
        self.root_key.write_text(secrets.token_hex(32))
        self.secret = self.bootstrap()
        self.nodes = [Node(self, f"keyward-{number}", url) for number in (1, 2, 3)]
        self.more = []
        self.proxy = Program(
            [haproxy(), "-db", "-f", self.recipe()], self.proxy_port, folder / "haproxy.log"
        )

    def env(self, url):
        """What every node shares, and where it finds its database."""
        return {"KEYWARD_DATABASE__URL": url, "KEYWARD_ROOT_KEY__FILE": str(self.root_key)}

    def bootstrap(self):
        """The first administrator: the secret of their key."""
        made = subprocess.run(
            [self.binary, "bootstrap", "--data-dir", self.folder / "bootstrap", "--username", "root", "-o", "json"],
            capture_output=True, text=True, check=False, env=self.env(self.url),
        )
        if made.returncode != 0:
            raise StartError(f"keyward bootstrap: {made.stderr.strip()}")
        return json.loads(made.stdout)["secret"]

    def recipe(self):
        """deploy/compose/haproxy.cfg with our addresses."""
        text = RECIPE.read_text().replace("bind :8080", f"bind 127.0.0.1:{self.proxy_port}")
        for node in self.nodes:
            text = text.replace(f" {node.name}:8700", f" {node.host}:{node.port}")
        path = self.folder / "haproxy.cfg"
        path.write_text(text)
        return path

    def start(self):
        """The nodes, then HAProxy."""
        for node in self.nodes:
            node.start()
        self.proxy.start()
        wait_until("HAProxy passes on", self.front().ready, 5)

    def stop(self):
        """All of it."""
        for program in (self.proxy, *(node.program for node in (*self.nodes, *self.more))):
            program.stop()

    def another(self, name, url, **more):
        """One more node, not behind HAProxy; started."""
        node = Node(self, name, url, **more)
        self.more.append(node)
        node.start()
        return node

    def front(self, secret=None):
        """The administrator, or somebody else, behind HAProxy."""
        return Caller(("127.0.0.1", self.proxy_port), self.secret if secret is None else secret)


def haproxy():
    """Where HAProxy is."""
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if found is None:
        raise StartError("haproxy is not installed")
    return found
