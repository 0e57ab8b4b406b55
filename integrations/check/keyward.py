"""A Keyward of our own, and the roles, users and keys that the checks need."""

import json
import subprocess
import time

from .client import send
from .process import Program, StartError, free_port

# 127.0.0.1 (the gateways) is trusted, the rest of 127/8 is not: clients at 127.0.0.9 are told apart.
CONFIG = """\
server:
  trusted_proxies: ["127.0.0.1/32"]
grpc:
  listen: "127.0.0.1:{grpc_port}"
"""


class Keyward:
    """The server under `folder`, with a fresh data directory; `{port}` and `{grpc_port}` in its settings are its own.

    `address` is where it listens; over plain http for everybody only with `--insecure-listen` in `flags`.
    """

    def __init__(self, binary, folder, settings=CONFIG, address="127.0.0.1", flags=(), is_new=False):
        self.data, config = folder / "data", folder / "config.yml"
        self.port, self.grpc_port = free_port(), free_port()
        settings = settings.replace("{port}", str(self.port))
        config.write_text(settings.replace("{grpc_port}", str(self.grpc_port)))
        self.tenant_id = self.root_secret = None
        if not is_new:
            self.bootstrap(binary)
        self.program = Program(
            [binary, "serve", "--config", config, "--data-dir", self.data,
             "--listen", f"{address}:{self.port}", *flags],
            self.port, folder / "keyward.log", {"KEYWARD_METRICS__LISTEN": ""},
        )

    def bootstrap(self, binary):
        """Makes the first administrator."""
        made = subprocess.run(
            [binary, "bootstrap", "--data-dir", self.data, "--username", "root", "-o", "json"],
            capture_output=True, text=True, check=False,
        )
        if made.returncode != 0:
            raise StartError(f"keyward bootstrap: {made.stderr.strip()}")
        root = json.loads(made.stdout)
        self.tenant_id, self.root_secret = root["tenant_id"], root["secret"]

    def start(self):
        """Starts it and waits until it says that it is ready, or only waits for its first administrator."""
        self.program.start()
        for _ in range(100):
            answer = send(self.port, "GET", "/readyz")
            if answer.status == 200 or answer.json().get("reasons") == ["not_set_up"]:
                return
            time.sleep(0.1)
        raise StartError(f"keyward is not ready: {self.program.log_tail()}")

    def stop(self):
        """Ends it; the data stays."""
        self.program.stop()

    def post(self, path, body):
        """A management call as root; the answer must be a 2xx."""
        return self.call("POST", path, body)

    def call(self, method, path, body):
        """The same with another method; what the answer holds."""
        answer = send(
            self.port, method, path,
            [("Authorization", f"Bearer {self.root_secret}"), ("Content-Type", "application/json")],
            b"" if body is None else json.dumps(body).encode(),
        )
        if answer.status not in range(200, 300):
            raise StartError(f"{method} {path}: {answer}")
        return answer.json() if answer.body else None


class Keys:
    """The cast: who has which right is in the names."""

    def __init__(self, keyward):
        self.keyward = keyward
        self.clerk_role = self.role("clerk", ["orders:read", "orders:write"])
        reader_role = self.role("reader", ["orders:read"])
        self.clerk = self.workspace("clerk")
        self.outsider = self.workspace("outsider", [self.role("outsider", ["parcels:read"])])
        self.get_only = self.workspace("get only", conditions={"methods": ["GET"]})
        self.public_only = self.workspace("public", conditions={"paths": ["/orders/public/**"]})
        self.elsewhere = self.workspace("elsewhere", conditions={"cidrs": ["203.0.113.0/24"]})
        self.nine = self.workspace("nine", conditions={"cidrs": ["127.0.0.9/32"]})
        user = keyward.post("/v1/users", {
            "username": "alice", "email": "alice@example.com", "role_ids": [reader_role],
        })
        self.alice = self.key("alice", **{"class": "member", "owner_id": user["id"]})

    def role(self, name, rights):
        """A role's id."""
        return self.keyward.post("/v1/roles", {"name": name, "rights": rights})["id"]

    def workspace(self, label, role_ids=None, **more):
        """A workspace key, with the clerk's role when none is named."""
        return self.key(label, **{"class": "workspace", "role_ids": role_ids or [self.clerk_role]}, **more)

    def limited(self):
        """A fresh key that is good for two requests."""
        return self.workspace("limited", limits=[{"name": "tiny", "requests": 2, "per_seconds": 3600}])

    def key(self, label, **more):
        """A new key: the 201's body."""
        return self.keyward.post("/v1/keys", {"label": label, "ttl_seconds": 86400, **more})

    def revoke(self, key):
        """Ends a key."""
        self.keyward.post(f"/v1/keys/{key['id']}/revoke", {"reason": "check"})
