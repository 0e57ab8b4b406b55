"""Clients that do what the dice say, and write down how it ended."""

import contextlib
import http.client
import json
import random
import threading
import time

from . import model
from .record import OK, REFUSED, UNKNOWN, Operation

# How long a client waits for an answer.
PATIENCE = 1.5
# Keys that are not revoked, as the clients aim at.
LIVING = 10
# How often each operation is chosen, against each other.
WEIGHTS = {
    "verify": 60, "show": 8, "rotate": 6, "replace": 2, "finish": 4, "activate": 4, "deactivate": 4, "assign": 5,
    "revoke": 2, "edit_role": 1, "show_role": 2,
}
PATHS = {
    "rotate": "/rotate", "replace": "/secret", "finish": "/rotate/finish", "activate": "/activate",
    "deactivate": "/deactivate", "revoke": "/revoke",
}
RIGHTS = ("orders:read", "orders:write")
AGENT = "history/"


class World:
    """What all clients of a run share: the nodes, the clock, and the secrets that they were given."""

    def __init__(self, cluster, history):
        self.ports = [node.port for node in cluster.nodes]
        self.root_secret, self.history = cluster.root_secret, history
        self.began = time.monotonic()
        self.lock = threading.Lock()
        self.roles = []
        # By key, by generation; no secret gets into the history.
        self.secrets = {}
        self.revoked = set()
        # Writes under way, by node.
        self.writing = [0] * len(self.ports)

    def now(self):
        """Seconds since the run began."""
        return round(time.monotonic() - self.began, 6)

    def learn(self, operation, answer):
        """Remembers what an acknowledged write told: secrets, roles, and which keys are over."""
        if operation.result != OK:
            return
        with self.lock:
            if operation.kind == "create_role":
                self.roles.append(operation.subject)
            elif operation.kind == "revoke":
                self.revoked.add(operation.subject)
            elif "secret" in answer:
                generation = answer["secrets"][-1]["generation"]
                self.secrets.setdefault(operation.subject, {})[generation] = answer["secret"]

    @contextlib.contextmanager
    def under_way(self, node, kind):
        """Counts a write while it is under way."""
        count = int(kind in model.ACTIONS)
        with self.lock:
            self.writing[node] += count
        try:
            yield
        finally:
            with self.lock:
                self.writing[node] -= count

    def known(self):
        """Keys with their secrets, by generation: those that live, and those that were revoked."""
        with self.lock:
            known = sorted((key, dict(secrets)) for key, secrets in self.secrets.items())
            over = set(self.revoked)
        return [pair for pair in known if pair[0] not in over], [pair for pair in known if pair[0] in over]


class Client:
    """One client with dice of its own."""

    def __init__(self, world, number, seed):
        self.world, self.number = world, number
        self.dice = random.Random(f"{seed} client {number}")

    def work(self, until):
        """One operation after the other until the moment."""
        while self.world.now() < until:
            node = self.dice.randrange(len(self.world.ports))
            living, over = self.world.known()
            if len(living) < LIVING and self.dice.random() < 0.5:
                # Without any, a key would get the role that is the default.
                self.do(node, "create", None, roles=self.some_of(self.world.roles) or self.world.roles[:1])
            elif living or over:
                keys = living if not over or living and self.dice.random() < 0.85 else over
                kind, = self.dice.choices(list(WEIGHTS), WEIGHTS.values())
                self.act(node, kind, *self.dice.choice(keys))
            time.sleep(self.dice.uniform(0, 0.02))

    def act(self, node, kind, key, secrets):
        """One operation on a key, or on a role of the dice."""
        if kind == "verify":
            generation = self.dice.choice(sorted(secrets))
            self.verify(node, key, generation, self.dice.choice(RIGHTS), secrets[generation])
        elif kind in ("show_role", "edit_role"):
            arguments = {"rights": self.some_of(RIGHTS)} if kind == "edit_role" else {}
            self.do(node, kind, self.dice.choice(self.world.roles), **arguments)
        else:
            arguments = {"roles": self.some_of(self.world.roles)} if kind == "assign" else {}
            if self.do(node, kind, key, **arguments).result == OK:
                self.look_around(key, secrets)

    def look_around(self, key, secrets):
        """Asks every node about a key that has just changed: here it must count, elsewhere soon."""
        for node in self.dice.sample(range(len(self.world.ports)), len(self.world.ports)):
            generation = self.dice.choice(sorted(secrets))
            self.verify(node, key, generation, self.dice.choice(RIGHTS), secrets[generation])

    def some_of(self, things):
        """A random part of them, which may be none."""
        return sorted(thing for thing in things if self.dice.random() < 0.6)

    def verify(self, node, key, generation, right, secret):
        """Asks as a gateway does."""
        headers = {"Authorization": f"Bearer {secret}", "X-Keyward-Right": right}
        arguments = {"generation": generation, "right": right}
        return self.send(node, model.VERIFY, key, arguments, ("GET", "/authz", headers, None))

    def do(self, node, kind, subject, **arguments):
        """A call of the management API as root."""
        headers = {"Authorization": f"Bearer {self.world.root_secret}", "Content-Type": "application/json"}
        method, path, body = request_of(kind, subject, arguments)
        return self.send(node, kind, subject, arguments, (method, path, headers, body))

    def send(self, node, kind, subject, arguments, request):
        """Sends a request and records what came of it."""
        number = self.world.history.next_id()
        start = self.world.now()
        try:
            with self.world.under_way(node, kind):
                status, code, answer = self.exchange(node, number, *request)
        except (OSError, http.client.HTTPException, ValueError):
            # No answer, or half of one.
            status, code, answer = 0, None, {}
        end = self.world.now()
        result = OK if 200 <= status < 300 else REFUSED if 400 <= status < 500 else UNKNOWN
        if result == OK and kind in ("create", "create_role"):
            subject = answer["id"]
        seen = seen_of(answer) if result == OK and answer else None
        operation = Operation(
            number, self.number, node, kind, subject, arguments, start, end, result, status, code, seen
        )
        # Before others can use what it told.
        self.world.history.operations.append(operation)
        self.world.learn(operation, answer)
        return operation

    def exchange(self, node, number, method, path, headers, body):
        """Status, code and body of an answer. The number goes along, so that the audit log tells it."""
        body = None if body is None else json.dumps(body)
        # A connection for each request: one that was kept may have died with a node long ago.
        connection = http.client.HTTPConnection("127.0.0.1", self.world.ports[node], timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, {**headers, "User-Agent": f"{AGENT}{number}"})
            response = connection.getresponse()
            text = response.read()
        answer = json.loads(text) if text else {}
        return response.status, answer.get("code") if response.status >= 400 else None, answer


def request_of(kind, subject, arguments):
    """Method, path and body of a call of the management API."""
    if kind == "create_role":
        return "POST", "/v1/roles", {"name": arguments["name"], "rights": arguments["rights"]}
    if kind == "create":
        body = {"class": "workspace", "label": "history", "role_ids": arguments["roles"], "ttl_seconds": 86400}
        return "POST", "/v1/keys", body
    if kind == "show_role":
        return "GET", f"/v1/roles/{subject}", None
    if kind == "edit_role":
        return "PATCH", f"/v1/roles/{subject}", {"rights": arguments["rights"]}
    if kind == "show":
        return "GET", f"/v1/keys/{subject}", None
    if kind == "assign":
        return "PATCH", f"/v1/keys/{subject}", {"role_ids": arguments["roles"]}
    return "POST", f"/v1/keys/{subject}{PATHS[kind]}", {}


def seen_of(answer):
    """What an answer shows of a key or role, as `model.shown` puts it."""
    if "rights" in answer:
        return {"rights": sorted(answer["rights"]), "version": answer["version"]}
    return {
        "switch": {"revoked": "revoked", "inactive": "off"}.get(answer["status"], "on"),
        "live": [secret["generation"] for secret in answer["secrets"] if secret["live"]],
        "roles": sorted(answer["role_ids"]),
        "version": answer["version"],
    }
