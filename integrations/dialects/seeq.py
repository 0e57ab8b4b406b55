"""Seeq's protocol, spoken by a client that does as the manual says. There is none that is free to use."""

import base64
import json
import urllib.error
import urllib.request

PACKAGES = []

ROOT = "/dialects/seeq"
KIND = "application/vnd.seeq.v1+json"
VALIDITY = "Authentication/AccessKey/ValidityWithoutUserLogin"
CREATION = "Authentication/AccessKey/Creation/Enabled"


class Client:
    """A script of the product: it logs in once, and sends the token with each request."""

    def __init__(self, url):
        self.url = url + ROOT
        self.token = None
        self.cookies = []

    def send(self, method, path, body=None, **headers):
        """Status and document of an answer; the token that a login gives is kept."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.setdefault("Accept", KIND)
        if body is not None:
            headers.setdefault("Content-Type", KIND)
        if self.token:
            headers["x-sq-auth"] = self.token
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            if answer.headers.get("x-sq-auth"):
                self.token = answer.headers["x-sq-auth"]
                self.cookies = answer.headers.get_all("Set-Cookie")
            return answer.status, json.loads(answer.read())

    def log_in(self, username, password, **more):
        """The exchange of the manual: the access key is the user name."""
        return self.send("POST", "/api/auth/login", {"username": username, "password": password, **more})


def person(world, name):
    """A user who may handle keys of their own, and a key."""
    role = world.api("POST", "/v1/roles", {"name": f"role of {name}", "rights": ["me:read", "me/keys:*"]})
    user = world.api("POST", "/v1/users", {"username": name, "role_ids": [role["id"]]})
    key = world.api("POST", "/v1/keys", {"class": "member", "owner_id": user["id"], "label": f"role of {name}"})
    return user, key


def login(world, key):
    """SQ5: what is told before a login, and the login."""
    client = Client(world.url)
    status, told = client.send("GET", "/api/system/server-status")
    world.ok("the status names a release", status == 200 and told["version"].startswith("R66.0.0-keyward"))
    status, told = client.send("GET", "/api/auth/providers")
    provider = told["authProviders"][0]
    world.ok("the directory is Seeq", status == 200 and provider["name"] == "Seeq")
    status, told = client.log_in(key["access_key"], "not the password")
    world.ok("a wrong password is 401 with a message", status == 401 and list(told) == ["statusMessage"])
    status, _ = client.log_in(key["access_key"], key["secret"], authProviderClass="LDAP", authProviderId="x")
    world.ok("another directory is 404", status == 404 and client.token is None)
    status, told = client.log_in(key["access_key"], key["secret"],
                                 authProviderClass=provider["datasourceClass"],
                                 authProviderId=provider["datasourceId"])
    world.ok("access key and password log in", status == 200 and not told["isAdmin"])
    names = sorted(cookie.split("=")[0] for cookie in client.cookies)
    world.ok("the token comes in a header and a cookie", client.token and names == ["sq-auth", "sq-csrf"])
    status, told = client.send("GET", "/api/users/me")
    world.ok("the token tells who it is", status == 200 and told["username"] == "seeq-grace")
    return client


def keys(world, client):
    """SQ2, SQ6: own keys are made, listed and deleted."""
    status, made = client.send("POST", "/api/access-keys", {"label": "nightly"})
    world.ok("a key is made, with its password", status == 200 and made["password"])
    status, listed = client.send("GET", "/api/access-keys")
    labels = [key["label"] for key in listed["accessKeys"]]
    world.ok("it is listed without it", labels[0] == "nightly" and made["password"] not in str(listed))
    other = Client(world.url)
    world.ok("it logs in", other.log_in(made["accessKey"], made["password"])[0] == 200)
    status, _ = client.send("DELETE", f"/api/access-keys/{made['id']}")
    world.ok("it is deleted", status == 200)
    world.ok("what it opened is over", other.send("GET", "/api/users/me")[0] == 401)
    status, _ = client.send("GET", "/api/access-keys?all=true")
    world.ok("the keys of all are for administrators", status == 403)


def validity(world, user, key):
    """SQ4: an administrator overrides the validity, and sets that of the system."""
    admin = Client(world.url)
    bearer = {"Authorization": f"Bearer {world.token}"}
    path = f"/api/users/{user['id']}/update"
    status, told = admin.send("POST", path, {"AccessKeyValidityDuration": 0}, **bearer)
    world.ok("keys of a user are made unusable", status == 200 and told["AccessKeyValidityDuration"] == 0)
    world.ok("they log in no more", Client(world.url).log_in(key["access_key"], key["secret"])[0] == 401)
    admin.send("POST", path, {"AccessKeyValidityDuration": -1}, **bearer)
    world.ok("-1 brings them back", Client(world.url).log_in(key["access_key"], key["secret"])[0] == 200)
    status, told = admin.send("POST", path, {"SessionDuration": 60}, **bearer)
    world.ok("a length of sessions is set", status == 200 and told["SessionDuration"] == 60)
    status, _ = admin.send("POST", path, {"SessionDuration": 0}, **bearer)
    world.ok("one of nothing is refused", status == 400)
    status, told = admin.send("POST", path, {"SessionDuration": -1}, **bearer)
    world.ok("-1 is that of the system", status == 200 and told["SessionDuration"] == -1)
    path = "/api/system/configuration/options"
    _, before = admin.send("GET", path, **bearer)
    was = {option["path"]: option["value"] for option in before["configurationOptions"]}
    world.ok("the options of the system are told", set(was) == {VALIDITY, CREATION})
    wish = {"configurationOptions": [{"path": VALIDITY, "value": "7d"}]}
    status, told = admin.send("POST", path, wish, **bearer)
    now = {option["path"]: option["value"] for option in told["configurationOptions"]}
    world.ok("one is set", status == 200 and now == {**was, VALIDITY: "7d"})
    admin.send("POST", path, {"configurationOptions": [{"path": VALIDITY, "value": was[VALIDITY]}]}, **bearer)


def reader(world, key):
    """SQ9: a reader of OData sends the pair as Basic."""
    pair = base64.b64encode(f"{key['access_key']}:{key['secret']}".encode()).decode()
    request = urllib.request.Request(f"{world.url}/authz", headers={"Authorization": f"Basic {pair}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        world.ok("the pair passes the gateway as Basic", answer.headers["X-Auth-Key-Id"] == key["id"])


def check(world):
    """All of the manual, from the first step to the last."""
    user, key = person(world, "seeq-grace")
    client = login(world, key)
    keys(world, client)
    validity(world, user, key)
    reader(world, key)
    world.ok("a log-out ends the session", client.send("POST", "/api/auth/logout", {})[0] == 200)
    world.ok("its token is over", client.send("GET", "/api/auth/validate")[0] == 401)
    other = client.send("GET", "/api/auth/providers", Accept="text/html")[0]
    world.ok("another media type is 406", other == 406)
    world.api("DELETE", f"/v1/users/{user['id']}")
    world.ok("the keys end with their user", Client(world.url).log_in(key["access_key"], key["secret"])[0] == 401)
