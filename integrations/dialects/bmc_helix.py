"""BMC Helix: a script that manages access keys, as the manual of the REST API has one. No client is on a package
index, so this one is urllib alone."""

import base64
import json
import secrets
import urllib.error
import urllib.request

PACKAGES = []
NEVER = "Never expires (not recommended)"


class Portal:
    """The portal, as a script sees it."""

    def __init__(self, url):
        self.url, self.jwt, self.refresh = url, None, None

    def send(self, method, path, body=None, authorization=None):
        """Status and body of an answer."""
        headers = {"Content-Type": "application/json"}
        if authorization or self.jwt:
            headers["Authorization"] = authorization or f"Bearer {self.jwt}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        return status, json.loads(text) if text else {}

    def log_in(self, access_key, secret, **more):
        """Takes the tokens of a login."""
        body = {"access_key": access_key, "access_secret_key": secret, **more}
        status, told = self.send("POST", "/access_keys/login", body)
        if status == 200:
            self.jwt, self.refresh = told["json_web_token"], told["token"]
        return status, told


def claims(jwt):
    """What a JWT says."""
    part = jwt.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def tenant(world):
    """A tenant of its own, and a key of an administrator there."""
    made = world.api("POST", "/v1/tenants", {"slug": f"bmc-{secrets.token_hex(4)}"})
    request = urllib.request.Request(
        world.url + "/v1/keys", method="POST", data=json.dumps({"class": "workspace", "label": "admin"}).encode(),
        headers={"Authorization": f"Bearer {world.token}", "Content-Type": "application/json",
                 "X-Keyward-Tenant": made["id"]},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return made["id"], json.loads(answer.read())


def check_login(world, url, key, home):
    """The pair gives two tokens; everything else is told in one shape."""
    portal = Portal(url)
    status, told = portal.log_in(key["access_key"], key["secret"], tenant_id=home)
    world.ok("access key and secret key give both tokens", status == 200 and told["tenant_id"] == home)
    said = claims(portal.jwt)
    world.ok("the JWT lives for 15 minutes", said["exp"] - said["iat"] == 900)
    status, told = Portal(url).log_in(key["access_key"], "wrong")
    shape = sorted(told) == ["code", "error", "message", "timestamp"]
    world.ok("a wrong secret key is 401 in the product's shape",
             shape and (status, told["code"], told["message"]) == (401, 401, "UNAUTHORIZED"))
    status, told = Portal(url).log_in(key["access_key"], key["secret"], tenant_id="elsewhere")
    world.ok("a tenant that is not the key's is 404", (status, told["message"]) == (404, "NOT_FOUND"))
    status, told = portal.send("POST", "/auth/tokens", {"token": portal.refresh}, "Bearer over")
    world.ok("the refresh token gives another JWT, whatever the header", status == 200 and "json_web_token" in told)
    portal.jwt = told["json_web_token"]
    status, told = portal.send("GET", "/userinfo")
    world.ok("userinfo tells whose key it is", status == 200 and told["principal_id"] == key["access_key"])
    return portal


def check_keys(world, url, portal):
    """From the making of a tenant key to its end."""
    body = {"name": "nightly", "description": "reads", "type": "TENANT", "expiry_enum": "30 days", "roles": ["admin"]}
    status, made = portal.send("POST", "/access_keys", body)
    line = f"key:{made['access_key']}::{made['access_secret_key']},tenant id: {made['tenant_id']}"
    world.ok("a tenant key is made and shown once", status == 200 and made["copy"] == line)
    path = f"/access_keys/{made['access_key']}"
    status, told = portal.send("GET", path)
    world.ok("its record has no secret", status == 200 and "access_secret_key" not in told)
    world.ok("its record has name, description and end", (told["name"], told["description"], told["expiry_enum"])
             == ("nightly", "reads", "30 days"))
    status, told = portal.send("PATCH", path, {"status": "INACTIVE"})
    world.ok("it is switched off", status == 200 and told["status"] == "INACTIVE")
    status, _ = Portal(url).log_in(made["access_key"], made["access_secret_key"])
    world.ok("and does not log in", status == 401)
    status, told = portal.send("PATCH", path, {"status": "ACTIVE", "expiry_enum": NEVER})
    world.ok("it is switched on, without an end", "expiry_time" not in told and told["status"] == "ACTIVE")
    status, renewed = portal.send("POST", f"{path}/access_secret_key")
    old, _ = Portal(url).log_in(made["access_key"], made["access_secret_key"])
    new, _ = Portal(url).log_in(made["access_key"], renewed["access_secret_key"])
    world.ok("a new secret key replaces the old one at once", (status, old, new) == (200, 401, 200))
    status, told = portal.send("GET", "/access_keys?page=0&size=1&orderBy=name&sortOrder=asc")
    world.ok("keys are listed by pages", len(told["records"]) == 1 and told["_metadata"]["total_count"] == 2)
    status, told = portal.send("POST", "/access_keys/search", {"name": "NIGHT"})
    world.ok("and searched", [found["access_key"] for found in told["records"]] == [made["access_key"]])
    status, _ = portal.send("DELETE", path)
    world.ok("a deleted key is gone", (status, portal.send("GET", path)[0]) == (204, 404))


def check_ingestion(world, portal, home):
    """API keys ingest and do nothing else."""
    body = {"name": "collector", "type": "API", "expiry_enum": NEVER,
            "rotation": {"rotation_period": 30, "grace_period": 15}}
    _, made = portal.send("POST", "/access_keys", body)
    world.ok("an API key rotates by schedule", made["rotation"]["grace_period"] == 15)
    three = f"{home}::{made['access_key']}::{made['access_secret_key']}"
    gateway = Portal(world.url)
    for scheme in ("apiKey", "Bearer"):
        world.ok(f"its three parts pass a gateway as {scheme}",
                 gateway.send("GET", "/authz", authorization=f"{scheme} {three}")[0] == 200)
    status, _ = Portal(portal.url).log_in(made["access_key"], made["access_secret_key"])
    world.ok("it does not log in", status == 403)


def check_user(world, portal, home):
    """A user has two keys at most."""
    headers = {"Authorization": f"Bearer {world.token}", "Content-Type": "application/json", "X-Keyward-Tenant": home}
    request = urllib.request.Request(world.url + "/v1/users", method="POST", headers=headers,
                                     data=json.dumps({"username": "grace"}).encode())
    with urllib.request.urlopen(request, timeout=30) as answer:
        user = json.loads(answer.read())["id"]
    path = f"/users/{user}/access_keys"
    made = [portal.send("POST", path, {"name": name, "expiry_enum": "60 days"})[0] for name in ("a", "b", "c")]
    world.ok("a user has two keys at most", made == [200, 200, 400])
    world.ok("and both are listed", portal.send("GET", path)[1]["_metadata"]["total_count"] == 2)


def check(world):
    """The manual from the first to the last step."""
    home, key = tenant(world)
    url = f"{world.url}/dialects/bmc-helix/ims/api/v1"
    portal = check_login(world, url, key, home)
    check_keys(world, url, portal)
    check_ingestion(world, portal, home)
    check_user(world, portal, home)
