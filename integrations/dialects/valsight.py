"""Valsight: a form login with user name and API key, by an HTTP client with a cookie jar."""

import secrets
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

PACKAGES = []


class Client:
    """What a script has that was written for the manual: a form, and a jar for what comes back."""

    def __init__(self, root, base):
        self.root, self.base = root, base
        self.jar = CookieJar()
        self.opener = build_opener(HTTPCookieProcessor(self.jar))

    def send(self, request):
        """Status and body, also of a refusal."""
        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def log_in(self, username, key):
        """The login of the manual."""
        form = urlencode({"username": username, "api_key": key}).encode()
        return self.send(Request(f"{self.root}/v1/apiKey", data=form))

    def gate(self, right):
        """A request that a gateway asks about, with whatever is in the jar."""
        status, _ = self.send(Request(f"{self.base}/authz", headers={"X-Keyward-Right": right}))
        return status

    def cookie(self):
        """The session's cookie, if there is one."""
        return next((cookie for cookie in self.jar if cookie.name == "JSESSIONID"), None)


def member(world, name, rights):
    """A user with a key and an address."""
    role = world.api("POST", "/v1/roles", {"name": f"role of {name}", "rights": rights})["id"]
    body = {"username": name, "email": f"{name}@example.org", "role_ids": [role]}
    user = world.api("POST", "/v1/users", body)["id"]
    key = world.api("POST", "/v1/keys", {"class": "member", "owner_id": user, "label": "script"})
    return user, key


def check(world):
    """The manual from the first step to the last."""
    root = f"{world.url}/dialects/valsight"
    name, other = (f"{word}-{secrets.token_hex(4)}" for word in ("valeria", "victor"))
    user, key = member(world, name, ["me:read", "models/emea:read"])
    _, theirs = member(world, other, ["me:read"])

    client = Client(root, world.url)
    status, body = client.log_in(name, key["secret"])
    cookie = client.cookie()
    world.ok("a form with username and api_key answers 200 and a JSESSIONID", status == 200 and cookie)
    world.ok("the cookie is for every path and not for scripts",
             cookie.path == "/" and cookie.has_nonstandard_attr("HttpOnly"))
    world.ok("the answer itself holds nothing", body == "")
    world.ok("the cookie opens what the user may", client.gate("models/emea:read") == 200)
    world.ok("and nothing else", client.gate("models/apac:read") == 403)

    for title, username, secret in (("by mail address", f"{name}@example.org", key["secret"]),
                                    ("in other letters", name.upper(), key["secret"]),
                                    ("with quotes and blanks around the key", name, f' "{key["secret"]}" ')):
        status, _ = Client(root, world.url).log_in(username, secret)
        world.ok(f"a login {title}", status == 200)

    answers = [Client(root, world.url).log_in(*pair) for pair in (
        (other, key["secret"]), (name, theirs["secret"]), (name, "kwm_nothing"), ("nobody", key["secret"]))]
    world.ok("every wrong pair is 401", all(status == 401 for status, _ in answers))
    world.ok("with one and the same body", len({body for _, body in answers}) == 1)

    event = world.api("GET", f"/v1/audit-events?action=session.start&actor_id={user}&limit=1")["data"][0]
    world.ok("the log marks it as an API key login",
             (event["reason"], event["after"]["method"]) == ("API key login", "api_key"))
    world.api("POST", f"/v1/users/{user}/revoke-keys", {"confirm": True})
    world.ok("the session ends with the keys of the user", client.gate("models/emea:read") == 401)
    status, _ = Client(root, world.url).log_in(name, key["secret"])
    world.ok("and the key opens none any more", status == 401)
