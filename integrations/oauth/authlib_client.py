"""Authlib for the protocol, PyJWT for checking tokens by the published keys."""

import os

import jwt
import requests
from authlib.integrations.requests_client import OAuth2Session

ISSUER = os.environ["ISSUER"]
CLIENT = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
METADATA = requests.get(f"{ISSUER}/.well-known/oauth-authorization-server", timeout=10).json()


def check(title, action):
    """One line for each check."""
    try:
        action()
        print(f"ok      {title}", flush=True)
    # Whatever a library raises is a line and no traceback.
    except Exception as error:
        print(f"FAILED  {title}: {type(error).__name__}: {error}", flush=True)


def session(way, secret=CLIENT[1]):
    """A client that proves itself in this way, everywhere."""
    return OAuth2Session(CLIENT[0], secret, token_endpoint_auth_method=way,
                         revocation_endpoint_auth_method=way)


def talk(way):
    """A token, its exchange, introspection and revocation."""
    client = session(way)
    token = client.fetch_token(METADATA["token_endpoint"], grant_type="client_credentials",
                               scope="reports:read")
    assert token["token_type"] == "Bearer" and token["scope"] == "reports:read", token
    child = session(way).fetch_token(
        METADATA["token_endpoint"], grant_type=EXCHANGE, subject_token=token["access_token"],
        subject_token_type=ACCESS_TOKEN,
    )
    assert child["issued_token_type"] == ACCESS_TOKEN, child

    def active(text):
        return client.introspect_token(METADATA["introspection_endpoint"], token=text).json()

    assert active(child["access_token"])["client_id"] == CLIENT[0]
    ended = client.revoke_token(METADATA["revocation_endpoint"], token=token["access_token"])
    assert ended.status_code == 200
    assert active(child["access_token"]) == {"active": False}


def refused():
    """A wrong secret."""
    try:
        session("client_secret_basic", "wrong").fetch_token(
            METADATA["token_endpoint"], grant_type="client_credentials")
    except Exception as error:
        assert "invalid_client" in str(error), error
        return
    raise AssertionError("it got a token")


def offline():
    """PyJWT against the published keys, strictly."""
    client = session("client_secret_basic")
    token = client.fetch_token(METADATA["token_endpoint"], grant_type="client_credentials",
                               audience="reports")["access_token"]
    key = jwt.PyJWKClient(METADATA["jwks_uri"]).get_signing_key_from_jwt(token)
    required = ["exp", "iat", "iss", "aud", "sub", "jti", "client_id"]
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="reports", issuer=ISSUER,
                        options={"require": required, "strict_aud": True})
    assert claims["client_id"] == CLIENT[0]
    try:
        jwt.decode(token, key, algorithms=["EdDSA"], audience="billing", issuer=ISSUER)
    except jwt.InvalidAudienceError:
        return
    raise AssertionError("accepted for another audience")


if __name__ == "__main__":
    check("tokens, exchange, introspection, revocation, basic", lambda: talk("client_secret_basic"))
    check("tokens, exchange, introspection, revocation, post", lambda: talk("client_secret_post"))
    check("a wrong secret is refused", refused)
    check("PyJWT checks a token by the published keys", offline)
