"""ThoughtSpot: the free client thoughtspot_rest_api, unmodified, against the dialect."""

import uuid

PACKAGES = ["thoughtspot_rest_api==2.0.3"]

ROOT = "/dialects/thoughtspot"
PASSWORD = "nine warm stones by the door"


def check(world):
    """Walks the trusted authentication of the manual with the client's own methods."""
    # The runner has installed them by now.
    import requests
    from thoughtspot_rest_api import TSRestApiV1, TSRestApiV2

    def client():
        return TSRestApiV2(server_url=world.url + ROOT)

    def status(call):
        """The status that a call is refused with; 0 when it is not."""
        try:
            call()
        except requests.HTTPError as error:
            message = error.response.json()["error"]["message"]
            assert {"code", "incident_id_guid", "trace_id_guid", "debug"} == set(message), message
            return error.response.status_code
        return 0

    name, user, secret = people(world, requests)
    ts = client()
    full = ts.auth_token_full(username=name, secret_key=secret, validity_time_in_sec=120)
    span = full["expiration_time_in_millis"] - full["creation_time_in_millis"]
    world.ok("auth_token_full: a token for the user, for as long as asked",
             full["valid_for_user_id"] == user and span == 120_000)
    ts.bearer_token = full["token"]
    world.ok("auth_session_user: whose it is", ts.auth_session_user()["name"] == name)
    world.ok("metadata/search with the token: an empty list",
             ts.post_request("metadata/search", {"metadata": [{"type": "LIVEBOARD"}]}) == [])
    seen = ts.post_request("auth/token/validate", {"token": full["token"]})
    world.ok("auth/token/validate: BEARER", seen["token_type"] == "BEARER" and seen["valid_for_user_id"] == user)
    ts.auth_token_validate(full["token"])
    again = ts.auth_token_full(username=name, secret_key=secret)
    world.ok("auth_token_full with a Bearer token set: it is ignored", again["valid_for_username"] == name)
    tokens(world, (client(), status), (name, secret))
    people_on_the_way(world, client(), secret)
    world.ok("auth_session_token with a token: 403", status(ts.auth_session_token) == 403)
    world.ok("auth_token_revoke: the client's own token", ts.auth_token_revoke())
    world.ok("what was revoked: 401", status(ts.auth_session_user) == 401)
    sessions(world, (client, status), (name, secret))
    old = TSRestApiV1(server_url=world.url + ROOT)
    world.ok("version 1: session_login", old.session_login(username=name, password=PASSWORD))
    info = old.requests_session.get(old.base_url + "session/info").json()
    world.ok("version 1: session/info", info["userName"] == name and info["userGUID"] == user)
    world.ok("version 1: session_logout", old.session_logout())
    world.ok("version 1: then it is over", status(old.session_logout) == 401)


def people(world, requests):
    """A user with a password and rights about models, and a trusted secret."""
    mark = uuid.uuid4().hex[:8]
    name = f"thoughtspot-{mark}"
    rights = ["me:read", "models/**:read"]
    role = world.api("POST", "/v1/roles", {"name": name, "rights": rights})["id"]
    user = world.api("POST", "/v1/users", {"username": name, "role_ids": [role]})["id"]
    link = world.api("POST", f"/v1/users/{user}/password-reset", {})["token"]
    body = {"token": link, "password": PASSWORD}
    set_ = requests.post(f"{world.url}/v1/auth/password-reset", json=body, timeout=30)
    assert set_.status_code == 204, set_.text
    secret = world.api("POST", "/v1/trusted/enable", {"name": name})["secret"]
    return name, user, secret


def tokens(world, who, known):
    """Object and custom tokens, and what is refused."""
    (ts, status), (name, secret) = who, known
    bound = ts.auth_token_object(username=name, secret_key=secret, object_id="models/emea")
    world.ok("auth_token_object: bound to the object, to read", bound["scope"]["metadata_id"] == "models/emea"
             and bound["scope"]["access_type"] == "REPORT_BOOK_VIEW")
    held = {right: world.api("POST", "/v1/verify", {"credential": bound["token"], "rights": [right]})["valid"]
            for right in ("models/emea:read", "models/apac:read")}
    world.ok("and so says verify", held == {"models/emea:read": True, "models/apac:read": False})
    rules = [{"column_name": "Region", "operator": "EQ", "values": ["emea"]}]
    custom = ts.auth_token_custom(username=name, secret_key=secret,
                                  additional_request_parameters={"filter_rules": rules})
    world.ok("auth_token_custom: org and user", custom["org"]["id"] == 0 and custom["user"]["name"] == name)
    wrong = [lambda: ts.auth_token_full(username=name, secret_key=f'"{secret}"'),
             lambda: ts.auth_token_full(username=name, password="not the password at all")]
    world.ok("a wrong secret and a wrong password: 401", [status(call) for call in wrong] == [401, 401])
    nobody = status(lambda: ts.auth_token_full(username=f"{name}-no", secret_key=secret))
    world.ok("a user who is none: 400", nobody == 400)
    world.ok("an Org that is none: 400",
             status(lambda: ts.auth_token_full(username=name, secret_key=secret, org_id=2_000_000_000)) == 400)
    by_password = ts.auth_token_full(username=name, password=PASSWORD)
    world.ok("auth_token_full with the password", by_password["valid_for_username"] == name)


def people_on_the_way(world, ts, secret):
    """Just-in-time provisioning."""
    name, group = f"jit-{uuid.uuid4().hex[:8]}", f"group {uuid.uuid4().hex[:8]}"
    made = ts.auth_token_full(username=name, secret_key=secret, auto_create=True, display_name="Jit",
                              email="jit@example.org", group_identifiers=[group])
    user = world.api("GET", f"/v1/users/{made['valid_for_user_id']}")
    world.ok("auto_create: a user with a group that was not there",
             user["display_name"] == "Jit" and len(user["group_ids"]) == 1)
    ts.auth_token_full(username=name, secret_key=secret, auto_create=True, display_name="Jit Two",
                       email="jit@example.org", group_identifiers=[])
    user = world.api("GET", f"/v1/users/{made['valid_for_user_id']}")
    world.ok("auto_create of one who is there: brought up to date",
             user["display_name"] == "Jit Two" and user["group_ids"] == [])


def sessions(world, who, known):
    """Sessions in the cookie of the client."""
    (client, status), (name, secret) = who, known
    ts = client()
    ts.auth_session_login(username=name, password=PASSWORD, org_identifier=0)
    world.ok("auth_session_login: the cookie", "JSESSIONID" in ts.requests_session.cookies.get_dict())
    world.ok("auth_session_user with it", ts.auth_session_user()["name"] == name)
    day = ts.auth_session_token()
    world.ok("auth_session_token: a token of a day",
             day["expiration_time_in_millis"] - day["creation_time_in_millis"] > 86_000_000)
    mixed = client()
    mixed.auth_session_login(username=name, password=PASSWORD, org_identifier=0)
    world.ok("a token request with the cookie of a login before",
             mixed.auth_token_full(username=name, secret_key=secret)["valid_for_username"] == name)
    mixed.requests_session.cookies.set("theirs", "x")
    world.ok("a token request that carries other cookies: 403 (it could come from a browser)",
             status(lambda: mixed.auth_token_full(username=name, secret_key=secret)) == 403)
    world.ok("auth_session_logout", ts.auth_session_logout())
    world.ok("then it is over", status(ts.auth_session_user) == 401)
    token = client().auth_token_full(username=name, secret_key=secret)["token"]
    other = client()
    other.auth_session_login(bearer_token=token)
    world.ok("auth_session_login with a token", other.auth_session_user()["name"] == name)
    world.ok("auth_session_logout ends the token", other.auth_session_logout())
