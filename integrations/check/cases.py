"""What every recipe must do. Each function of CASES is one line of the report."""

import base64
import hashlib
import posixpath
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

from .client import send, send_raw
from .report import expect

IDENTITY = ("x-auth-subject", "x-auth-user", "x-auth-tenant", "x-auth-key-id",
            "x-auth-rights", "x-auth-actor", "x-auth-expires-at")
# Longer than any timeout in a recipe, shorter than a client's patience.
PATIENCE = 8


class Stage:
    """One running gateway between a client, Keyward and the application."""

    def __init__(self, port, keyward, keys, application):
        self.port = port
        self.keyward = keyward
        self.keys = keys
        self.application = application

    def ask(self, key, method="GET", target="/orders/1", headers=(), **more):
        """A request with this key (or none); `application.seen` then holds only this one."""
        self.application.forget()
        return self.whisper(key, method, target, headers, **more)

    def whisper(self, key, method="GET", target="/orders/1", headers=(), **more):
        """As `ask`, but may run beside others."""
        own = [("Authorization", f"Bearer {key['secret']}")] if key else []
        return send(self.port, method, target, [*own, *headers], **more)

    def raw_ask(self, headers, method="GET", target="/orders/1", **more):
        """As `ask`, with these headers alone."""
        self.application.forget()
        return send(self.port, method, target, headers, **more)

    def passed(self, answer):
        """Expects that the application answered; returns what it saw."""
        expect(answer.status == 200 and len(self.application.seen) == 1, answer)
        return self.application.seen[0]

    def refused(self, answer, *statuses):
        """Expects one of these statuses, and that the application saw nothing."""
        expect(answer.status in statuses, answer)
        expect(not self.application.seen, f"{answer.status}, but the application saw it")


def values(request, name):
    """All values of a header that the application saw."""
    return [value for header, value in request["headers"] if header == name]


def good_key(stage):
    """a good key passes, with the identity headers (X1)"""
    key = stage.keys.clerk
    seen = stage.passed(stage.ask(key))
    expect(values(seen, "x-auth-key-id") == [key["id"]], seen)
    expect(values(seen, "x-auth-tenant") == [stage.keyward.tenant_id], seen)
    expect("orders:read" in values(seen, "x-auth-rights")[0], seen)
    expect(values(seen, "x-auth-subject")[0], seen)


def member_key(stage):
    """a member's key passes, with the user's name"""
    seen = stage.passed(stage.ask(stage.keys.alice))
    expect(values(seen, "x-auth-user") == ["alice"], seen)


def any_key(stage):
    """a route without a right takes any valid key; method, path and query arrive"""
    seen = stage.passed(stage.ask(stage.keys.outsider, "DELETE", "/parcels/7?a=1&b=%20"))
    expect((seen["method"], seen["path"]) == ("DELETE", "/parcels/7?a=1&b=%20"), seen)


def ways_to_send(stage):
    """Basic, apiKey and X-API-Key are understood"""
    key = stage.keys.clerk
    pair = base64.b64encode(f"{key['access_key']}:{key['secret']}".encode()).decode()
    stage.passed(stage.raw_ask([("Authorization", f"Basic {pair}")]))
    line = f"apiKey {stage.keyward.tenant_id}::{key['access_key']}::{key['secret']}"
    stage.passed(stage.raw_ask([("Authorization", line)]))
    stage.passed(stage.raw_ask([("X-API-Key", key["secret"])]))


def no_secret_behind(stage):
    """the credential does not reach the application"""
    key = stage.keys.clerk
    for headers in ([("Authorization", f"Bearer {key['secret']}")], [("X-API-Key", key["secret"])]):
        seen = stage.passed(stage.raw_ask(headers))
        expect(key["secret"] not in str(seen), seen)


def no_key(stage):
    """no key: 401 with WWW-Authenticate"""
    for target in ("/orders/1", "/parcels"):
        answer = stage.ask(None, target=target)
        stage.refused(answer, 401)
        expect(answer.header("WWW-Authenticate"), answer)


def bad_key(stage):
    """a bad key: 401"""
    secret = stage.keys.clerk["secret"]
    for bad in ("nonsense", secret[:-1], secret[:30] + secret[30:][::-1], ""):
        answer = stage.raw_ask([("Authorization", f"Bearer {bad}")])
        stage.refused(answer, 401)


def two_credentials(stage):
    """two credentials in one request are refused, whatever their order (KEY-12)"""
    good, other = stage.keys.clerk["secret"], stage.keys.outsider["secret"]
    for first, second in ((good, other), (other, good), (good, "nonsense"), ("nonsense", good)):
        for name in ("Authorization", "X-API-Key"):
            start = "" if name == "X-API-Key" else "Bearer "
            headers = [("Authorization", f"Bearer {first}"), (name, start + second)]
            stage.refused(stage.raw_ask(headers), 400, 401)


def missing_right(stage):
    """the right that the route and method need is asked for: 403 without it (X4)"""
    keys = stage.keys
    stage.refused(stage.ask(keys.outsider), 403)
    stage.passed(stage.ask(keys.alice, "HEAD"))
    for method in ("POST", "PUT", "DELETE"):
        stage.refused(stage.ask(keys.alice, method), 403)
        stage.passed(stage.ask(keys.clerk, method))


def used_up_limit(stage):
    """a used-up limit: 429 with Retry-After (X6)"""
    key = stage.keys.limited()
    forged = [("X-Keyward-Deny-Status", "200")]
    answers = [stage.ask(key, headers=forged) for _ in range(3)]
    expect([answer.status for answer in answers] == [200, 200, 429], answers)
    stage.refused(answers[-1], 429)
    expect((answers[-1].header("Retry-After") or "").isdigit(), answers[-1])


def revoked_key(stage):
    """a revoked key is refused at once"""
    key = stage.keys.workspace("short-lived")
    stage.passed(stage.ask(key))
    stage.keys.revoke(key)
    stage.refused(stage.ask(key), 401)


def quiet_refusal(stage):
    """a refusal tells the client no identity (VER-10)"""
    for answer in (stage.ask(None), stage.ask(stage.keys.outsider)):
        told = [name for name in answer.headers if name.lower().startswith("x-auth")]
        expect(not told, answer)


def forged_identity(stage):
    """identity headers of the client never reach the application, in any spelling (HTTP-9)"""
    names = [*IDENTITY, "x-auth-status", "x-auth-code"]
    spellings = [*names, *(name.title() for name in names), *(name.upper() for name in names),
                 *(name.replace("-", "_") for name in names), "X-Auth_Subject", "X_Auth-User"]
    forged = [(name, "f0rged") for name in spellings]
    # A workspace key has no user and no actor: Keyward's own values are empty there.
    for key in (stage.keys.clerk, stage.keys.alice):
        seen = stage.passed(stage.ask(key, headers=forged))
        expect("f0rged" not in str(seen), seen)
        expect(values(seen, "x-auth-key-id") == [key["id"]], seen)


def forged_origin(stage):
    """X-Forwarded-Host and its like of the client never reach the application"""
    names = ("X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto",
             "X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Original-URI", "X-Original-Method",
             "X-Forwarded-Uri", "X-Forwarded-Method", "X-Keyward-Right")
    seen = stage.passed(stage.ask(stage.keys.clerk, headers=[(name, "f0rged") for name in names]))
    expect("f0rged" not in str(seen), seen)


def forged_right(stage):
    """X-Keyward-Right of the client changes nothing"""
    for name in ("X-Keyward-Right", "x-keyward-right", "X_Keyward_Right"):
        for right in ("parcels:read", ""):
            answer = stage.ask(stage.keys.outsider, headers=[(name, right), (name, right)])
            stage.refused(answer, 403)
    stage.passed(stage.ask(stage.keys.outsider, target="/", headers=[("X-Keyward-Right", "a:b")]))


def forged_request(stage):
    """X-Forwarded-Method, X-Forwarded-Uri and X-Original-* of the client change nothing"""
    keys, public = stage.keys, "/orders/public/1"
    forged = [("X-Forwarded-Method", "GET"), ("X-Original-Method", "GET"),
              ("X-Forwarded-Uri", public), ("X-Original-URI", public), ("X-Original-URL", public),
              ("X-Http-Method-Override", "GET")]
    stage.passed(stage.ask(keys.get_only))
    stage.passed(stage.ask(keys.public_only, target=public))
    for extra in ([], forged):
        stage.refused(stage.ask(keys.get_only, "POST", headers=extra), 403)
        stage.refused(stage.ask(keys.public_only, headers=extra), 403)
        stage.refused(stage.ask(keys.alice, "POST", public, headers=extra), 403)


def client_address(stage):
    """the client's address decides, and no header can claim another (KEY-13)"""
    keys, claim = stage.keys, "203.0.113.5"
    forged = [("X-Forwarded-For", claim), ("X-Forwarded-For", f"{claim}, 127.0.0.1"),
              ("X-Real-IP", claim), ("Forwarded", f"for={claim}"), ("X-Client-IP", claim), ("X-Envoy-External-Address", claim)]
    stage.refused(stage.ask(keys.elsewhere), 403)
    stage.refused(stage.ask(keys.elsewhere, headers=forged), 403)
    stage.refused(stage.ask(keys.elsewhere, headers=forged, source="127.0.0.9"), 403)
    stage.refused(stage.ask(keys.nine), 403)
    seen = stage.passed(stage.ask(keys.nine, headers=forged, source="127.0.0.9"))
    for name in ("x-forwarded-for", "x-real-ip"):
        expect(values(seen, name) == ["127.0.0.9"], seen)


def dropped_headers(stage):
    """a client cannot have our headers dropped by naming them in Connection"""
    names = "close, X-Auth-Subject, X-Auth-Key-Id, X-Keyward-Right, X-Forwarded-For, X-Real-IP"
    forged = [("Connection", names)]
    stage.refused(stage.ask(stage.keys.outsider, headers=forged), 400, 403)
    stage.refused(stage.ask(stage.keys.elsewhere, headers=forged), 400, 403)
    answer = stage.ask(stage.keys.clerk, headers=forged)
    if answer.status == 400:
        stage.refused(answer, 400)
    else:
        seen = stage.passed(answer)
        expect(values(seen, "x-auth-key-id") == [stage.keys.clerk["id"]], seen)


def path_spellings(stage):
    """no spelling of a path gets round the right that it needs (HTTP-6)"""
    paths = ("//orders/1", "/./orders/1", "/x/../orders/1", "/x/..//orders/1", "/%6frders/1",
             "/x%2f..%2forders/1", "/%2e/orders/1", "/x/%2e%2e/orders/1", "/%2forders/1",
             "/orders%2f1", "/x/.%2e/orders/1", "/\\orders/1", "/x\\..\\orders/1", "/x%5c..%5corders",
             "/orders?x=/parcels", "/orders/../orders/1", "///orders///1", "/orders/./1",
             "http://elsewhere/orders/1", "http://elsewhere/x/../orders/1")
    for path in paths:
        answer = stage.ask(stage.keys.outsider, target=path)
        for seen in stage.application.seen:
            plain = seen["path"].removeprefix("http://elsewhere").split("?")[0]
            plain = unquote(plain).replace("\\", "/")
            plain = posixpath.normpath("/" + plain.lstrip("/"))
            expect(not plain.startswith("/orders"), f"{path} passed as {seen['path']}: {answer}")


def bodies(stage):
    """a request body arrives unchanged, with a length and in chunks"""
    body = bytes(range(256)) * 1000
    for chunked in (False, True):
        answer = stage.ask(stage.keys.clerk, "POST", body=body, chunked=chunked)
        seen = stage.passed(answer)
        expect(seen["length"] == len(body), seen)
        expect(seen["sha256"] == hashlib.sha256(body).hexdigest(), seen)


def own_answers(stage):
    """401, 403, 429 and 500 of the application itself pass unchanged"""
    for status in (401, 403, 429, 500):
        answer = stage.ask(stage.keys.clerk, target=f"/status/{status}")
        expect(answer.status == status and b'"path"' in answer.body, answer)


def in_parallel(stage):
    """parallel requests get their own identities and refusals"""
    people = (stage.keys.clerk, stage.keys.alice, stage.keys.outsider, None) * 40
    stage.application.forget()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(stage.whisper, people))
    for key, answer in zip(people, answers):
        if key in (stage.keys.clerk, stage.keys.alice):
            expect(answer.status == 200, answer)
            expect(values(answer.json(), "x-auth-key-id") == [key["id"]], answer)
        else:
            expect(answer.status == (403 if key else 401), answer)
    expect(len(stage.application.seen) == 80, len(stage.application.seen))


def two_lengths(stage):
    """Content-Length beside Transfer-Encoding: one request at most, or none (HTTP-5)"""
    secret = stage.keys.clerk["secret"]
    inner = "GET /orders/smuggled HTTP/1.1\r\nHost: a\r\nX-Pad: "
    framings = (
        f"Content-Length: {5 + len(inner)}\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        f"Transfer-Encoding: chunked\r\nContent-Length: {5 + len(inner)}\r\n",
        f"Content-Length: 5\r\nContent-Length: {5 + len(inner)}\r\n",
        f"Content-Length: {5 + len(inner)}\r\nTransfer-Encoding : chunked\r\n",
        f"Content-Length: {5 + len(inner)}\r\nTransfer-Encoding: xchunked\r\n",
        f"Content-Length: {5 + len(inner)}\r\nTransfer-Encoding: identity, chunked\r\n",
    )
    for framing in framings:
        stage.application.forget()
        head = f"POST /orders HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\n{framing}\r\n"
        # Without a key of its own: what smuggles it past the question shows at the application.
        got = send_raw(stage.port, (head + "0\r\n\r\n" + inner).encode(), seconds=0.7)
        seen = stage.application.seen
        one = len(seen) <= 1 and not any("smuggled" in request["path"] for request in seen)
        expect(one, f"{framing!r}: {[request['path'] for request in seen]}, {got[:300]!r}")
        if seen:
            # The next client on the same connection to the application must get its own answer.
            answer = stage.ask(stage.keys.clerk, target="/orders/next")
            expect(stage.passed(answer)["path"] == "/orders/next", answer)


def frozen_keyward(stage):
    """Keyward accepts and never answers: refused in time with 503"""
    stage.keyward.program.freeze()
    try:
        begin = time.monotonic()
        answer = stage.ask(stage.keys.clerk)
        took = time.monotonic() - begin
    finally:
        stage.keyward.program.thaw()
    stage.refused(answer, 503)
    expect(took < PATIENCE, f"{answer.status} after {took:.1f} s")


def absent_keyward(stage):
    """Keyward down: refused with 503; up again: passes (VER-8)"""
    stage.keyward.stop()
    try:
        for key in (stage.keys.clerk, None):
            for target in ("/orders/1", "/parcels"):
                stage.refused(stage.ask(key, target=target), 503)
    finally:
        stage.keyward.start()
    stage.passed(stage.ask(stage.keys.clerk))


def broken_script(stage):
    """a script that fails refuses everything"""
    for key in (stage.keys.clerk, None):
        stage.refused(stage.ask(key), 500, 503)


CASES = (
    good_key, member_key, any_key, ways_to_send, no_secret_behind, no_key, bad_key, two_credentials,
    missing_right, used_up_limit, revoked_key, quiet_refusal, forged_identity, forged_origin,
    forged_right, forged_request, client_address, dropped_headers, path_spellings, bodies,
    own_answers, in_parallel, two_lengths, frozen_keyward, absent_keyward,
)
