"""Three nodes are one."""

import http.server
import json
import threading
import time
from collections import Counter

from check.report import expect

from .clock import wait_until

PASSWORD = "nine warm stones by the door"


def new_key(world):
    """X14: a key made on one node works at once on the others, a list shows it, and its end counts everywhere"""
    for number, node in enumerate(world.nodes):
        others = world.others(node)
        key = node.root().key(f"made on {node.name}")
        for other in others:
            expect(other.root().code(key["secret"]) == "ok", f"{other.name} does not know it")
            expect(other.root().call("GET", f"/v1/keys/{key['id']}")["id"] == key["id"], "it is not shown")
        others[number % 2].root().revoke(key)
        for other in world.nodes:
            wait_until("the end counts", lambda other=other: other.root().code(key["secret"]) == "revoked", 1)


def replay(world):
    """X14: a request with an Idempotency-Key that comes again on another node is answered as on the first"""
    header = (("Idempotency-Key", "order-1"),)
    body = {"class": "workspace", "label": "ordered twice"}
    first = world.nodes[0].root().call("POST", "/v1/keys", body, header)
    for node in world.nodes[1:]:
        again = node.root().send("POST", "/v1/keys", body, header)
        expect(again.status == 201 and again.header("idempotency-replayed") == "true", again)
        told = again.json()
        expect(told["id"] == first["id"] and told["secret"] is None, f"another key: {told['id']}")
        other = node.root().send("POST", "/v1/keys", {**body, "label": "something else"}, header)
        expect(other.status == 422 and other.json()["code"] == "idempotency_key_reused", other)


def session(world):
    """X14: a session that was opened on one node is good on the others, and ended on one it is over on all"""
    world.root.call("PATCH", "/v1/policies", {"login": {"require_second_factor": "nobody"}})
    somebody(world, "sam")
    for node in world.nodes:
        opened = log_in(node, "sam", PASSWORD)
        expect(opened.status == 200, opened)
        token = opened.json()["token"]
        one, two = world.others(node)
        for other in (one, two):
            expect(other.caller(token).send("GET", "/v1/auth/session").status == 200, f"not on {other.name}")
        one.caller(token).call("POST", "/v1/auth/logout")
        for other in (node, two):
            wait_until(f"it is over on {other.name}",
                       lambda other=other: other.caller(token).send("GET", "/v1/auth/session").status == 401, 1)


def throttle(world):
    """X14: wrong passwords are counted for all nodes together"""
    somebody(world, "tess")
    statuses = [log_in(world.nodes[number % 3], "tess", f"wrong password {number}").status for number in range(9)]
    expect(statuses[:5] == [401] * 5 and 429 in statuses[5:7], f"{statuses}")
    for node in world.nodes:
        answer = log_in(node, "tess", PASSWORD)
        expect(answer.status == 429 and answer.header("retry-after"), f"{node.name} lets them in: {answer}")


def somebody(world, name):
    """A user with a password; made on one node, its link opened on another."""
    made = world.nodes[0].root().call("POST", "/v1/users", {"username": name})
    link = world.nodes[1].root().call("POST", f"/v1/users/{made['id']}/password-reset", {})
    world.nodes[2].caller("").call("POST", "/v1/auth/password-reset", {"token": link["token"], "password": PASSWORD})


def log_in(node, name, password):
    """The answer to a try."""
    return node.caller("").send("POST", "/v1/auth/login", {"username": name, "password": password})


def tokens(world):
    """X14: signing keys are common: a token that one node signed is verified by the others, until one ends it"""
    published = [node.caller("").call("GET", "/.well-known/jwks.json") for node in world.nodes]
    expect(all(keys == published[0] for keys in published), "they publish different keys")
    secret = world.root.call("POST", "/v1/trusted/enable", {})["secret"]
    world.root.call("POST", "/v1/users", {"username": "tom"})
    for node in world.nodes:
        token = node.caller(secret).call("POST", "/v1/trusted/tokens", {"username": "tom"})["token"]
        for other in world.nodes:
            expect(other.root().code(token) == "ok", f"{other.name} does not take it")
        world.others(node)[0].root().call("POST", "/v1/tokens/revoke", {"token": token})
        for other in world.nodes:
            wait_until("it is revoked", lambda other=other: other.root().code(token) == "revoked", 1)


def once(world):
    """X14: what happened is told once, whichever node it happened on"""
    came = Counter()
    server = receiver(came)
    url = f"http://127.0.0.1:{server.server_port}/"
    hook = world.root.call("POST", "/v1/webhooks", {"url": url, "events": ["key.create"]})
    try:
        made = [node.root().key(f"told of {number}")["id"] for number in range(8) for node in world.nodes]
        wait_until("all were told", lambda: len(came) >= len(made), 20)
        # A second node that does the same work would do so within the turn of its jobs.
        time.sleep(2)
    finally:
        world.root.call("DELETE", f"/v1/webhooks/{hook['id']}")
        server.shutdown()
    expect(len(came) == len(made), f"{len(came)} of {len(made)} came")
    expect(set(came.values()) == {1}, f"told again: {[name for name, times in came.items() if times > 1]}")
    return f"{len(made)} deliveries"


def receiver(came):
    """Takes deliveries and counts them by their id."""
    class Handler(http.server.BaseHTTPRequestHandler):
        """Answers 204."""

        def do_POST(self):
            """Takes one."""
            json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            came[self.headers["webhook-id"]] += 1
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def audited(world):
    """X14: one audit log for all: no number is missing or given twice, and its chain verifies on each node"""
    for node in world.nodes:
        told = node.root().call("GET", "/v1/audit-events/verification")
        expect(told["ok"] is True, f"{node.name}: {told}")


CHECKS = (new_key, replay, session, throttle, tokens, once, audited)
