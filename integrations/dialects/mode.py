"""Mode's wire protocol, as the free client mode-sdk speaks it, unmodified."""

import json
import time
import urllib.request
import uuid

PACKAGES = ["mode-sdk==0.1.0"]


def inside(world, tenant, method, path, body=None):
    """The operator's request inside of another tenant."""
    request = urllib.request.Request(
        world.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {world.token}", "X-Keyward-Tenant": tenant,
                 "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"{}")


def check(world):
    """Workspace tokens and member tokens from the first call to the revocation."""
    slug = f"mode-{uuid.uuid4().hex[:12]}"
    world.api("POST", "/v1/tenants", {"slug": slug, "name": "Acme"})
    robot = inside(world, slug, "POST", "/v1/keys", {"class": "workspace", "label": "robot"})
    mia = inside(world, slug, "POST", "/v1/users", {"username": "mia@example.org", "display_name": "Mia"})
    own = inside(world, slug, "POST", "/v1/keys",
                 {"class": "member", "owner_id": mia["id"], "label": "My API key"})
    workspace_token(world, slug, robot, mia)
    member_token(world, slug, own)
    refusals(world, slug, robot, own)
    management(world, slug, robot)
    limits(world, slug)


def client(world, slug, key, **options):
    """Mode's client for a key."""
    from mode_sdk import Mode
    return Mode(slug, token=key["access_key"], secret=key["secret"],
                base_url=f"{world.url}/dialects/mode/api", **options)


def workspace_token(world, slug, robot, mia):
    """What a workspace token sees."""
    from mode_sdk import ModeError
    with client(world, slug, robot) as mode:
        verified = mode.verify()
        world.ok("verify names the workspace and the scope",
                 (verified.workspace, verified.api_key_scope) == (slug, "workspace"))
        record = mode.workspace.get()
        world.ok("the workspace has its slug and name", (record.username, record.name) == (slug, "Acme"))
        world.ok("timestamps are read", record.created_at is not None)
        members = mode.memberships.list().list()
        world.ok("the members are listed",
                 [(member.username, member.admin) for member in members] == [("mia@example.org", False)])
        world.ok("a member has the token of the user", members[0].member_token == mia["id"])
        world.ok("there are no collections", mode.spaces.list(filter="all").list() == [])
        world.ok("nobody stands behind a workspace token", raises(ModeError, mode.workspace.account))
        entries = mode.audit_logs.list("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", action="key.create")
        world.ok("the audit log tells of both keys",
                 {entry.entity_name for entry in entries} == {"robot", "My API key"})


def member_token(world, slug, own):
    """What a member token sees."""
    with client(world, slug, own) as mode:
        world.ok("a member token says so", mode.verify().api_key_scope == "member")
        account = mode.workspace.account()
        world.ok("the client finds its user by links",
                 (account.username, account.name) == ("mia@example.org", "Mia"))


def refusals(world, slug, robot, own):
    """Each as the exception that the client has for it."""
    from mode_sdk import AuthenticationError, BadRequestError, ModeAPIError, NotFoundError, PermissionDeniedError
    wrong = {**robot, "secret": own["secret"]}
    world.ok("a secret of another token is refused",
             raises(AuthenticationError, client(world, slug, wrong).verify))
    with client(world, "somebody-else", robot) as elsewhere:
        world.ok("another workspace does not exist", raises(NotFoundError, elsewhere.workspace.get))
    with client(world, slug, own) as mode:
        world.ok("the audit log is for workspace tokens",
                 raises(AuthenticationError, mode.audit_logs.list, "2020-01-01", "2099-01-01"))
        world.ok("a member token manages no keys",
                 raises(PermissionDeniedError, mode.request, "GET", "/api_keys"))
        world.ok("an API key has no account",
                 raises(BadRequestError, mode.request, "GET", "/account", workspace=False))
        world.ok("the audit log is no HAL", raises(ModeAPIError, mode.request, "GET", "/audit_logs"))


def management(world, slug, robot):
    """Keys made, listed, revoked one by one and at once."""
    from mode_sdk import AuthenticationError, ConflictError
    with client(world, slug, robot) as mode:
        made = mode.request("POST", "/api_keys", json={"api_key": {"token_name": "nightly"}})
        nightly = {"access_key": made["token"], "secret": made["secret"]}
        world.ok("a made key verifies", client(world, slug, nightly).verify().workspace == slug)
        listed = mode.request("GET", "/api_keys")["_embedded"]["api_keys"]
        world.ok("the list has it, without its secret",
                 [key.get("secret") for key in listed if key["token"] == made["token"]] == [None])
        mode.request("DELETE", f"/api_keys/{made['token']}")
        world.ok("a revoked key is refused",
                 raises(AuthenticationError, client(world, slug, nightly).verify))
        revoked = mode.request("GET", "/api_keys", params={"state": "revoked"})["_embedded"]["api_keys"]
        world.ok("and stays to be seen", [key["token_name"] for key in revoked] == ["nightly"])
        wish = {"api_key": {"api_key_scope": "member"}}
        world.ok("all at once wants a confirmation",
                 raises(ConflictError, mode.request, "POST", "/api_keys/revoke_all", json=wish))
        look = mode.request("POST", "/api_keys/revoke_all", json={"api_key": {**wish["api_key"], "preview": True}})
        wish["api_key"]["confirm"] = look["confirm"]
        done = mode.request("POST", "/api_keys/revoke_all", json=wish)
        world.ok("with it, all member keys end", done["revoked"] == 1)


def limits(world, slug):
    """A limit of the key's own, and that of Mode."""
    slow = inside(world, slug, "POST", "/v1/keys", {
        "class": "workspace", "label": "slow",
        "limits": [{"name": "burst", "requests": 1, "per_seconds": 30}]})
    _, refused = ask_until_refused(world, slug, slow)
    world.ok("too many requests say when to come back",
             refused is not None and (refused.retry_after or 0) >= 1)
    busy = inside(world, slug, "POST", "/v1/keys", {"class": "workspace", "label": "busy"})
    good, refused = ask_until_refused(world, slug, busy)
    world.ok("forty requests at once pass, and no endless number",
             good >= 40 and refused is not None and (refused.retry_after or 0) >= 1)


def ask_until_refused(world, slug, key):
    """How many requests passed, and the exception that ended them."""
    from mode_sdk import RateLimitError
    passed, deadline = 0, time.monotonic() + 20
    with client(world, slug, key, max_retries=0) as mode:
        while time.monotonic() < deadline:
            try:
                mode.verify()
            except RateLimitError as error:
                return passed, error
            passed += 1
    return passed, None


def raises(kind, action, *arguments, **options):
    """Whether the client raises what it has for this refusal."""
    try:
        action(*arguments, **options)
    except kind:
        return True
    return False
