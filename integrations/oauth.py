#!/usr/bin/env python3
"""Proves the OAuth endpoints with clients that others wrote, against a running Keyward.

    integrations/oauth.py --keyward target/debug/keyward [--install] [--scratch DIR]

Starts a Keyward of its own and runs every client in integrations/oauth with two keys; they print one
line for each check. Ends with 1 if any failed, or a client made none. With --install the clients come
from their package registries into DIR, and stay there for the next run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from check.keyward import Keyward
from check.programs import python, run

CLIENTS = Path(__file__).resolve().parent / "oauth"


def node(scratch, install):
    """X13: oauth4webapi, openid-client and jose, in a folder of their own."""
    folder = scratch / "oauth-node"
    if install:
        folder.mkdir(parents=True, exist_ok=True)
        for source in [*CLIENTS.glob("*.mjs"), CLIENTS / "package.json"]:
            shutil.copy(source, folder)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return [(name, ["node", str(folder / f"{name}.mjs")]) for name in ("oauth4webapi", "openid-client")]


def authlib(scratch, install):
    """X13: Authlib and PyJWT, in an environment of their own."""
    program = python(scratch / "oauth-venv", install, "-r", CLIENTS / "requirements.txt")
    return [("Authlib", [program, str(CLIENTS / "authlib_client.py")])]


def environment(keyward):
    """A key that may read reports and verify, and one of an agent that may nothing."""
    def key(name, rights):
        role = keyward.post("/v1/roles", {"name": name, "rights": rights})["id"]
        return keyward.post("/v1/keys", {"class": "workspace", "label": name, "role_ids": [role]})

    client = key("client", ["reports:read", "verify:call"])
    agent = key("agent", ["nothing:read"])
    return {
        **os.environ,
        "ISSUER": f"http://127.0.0.1:{keyward.port}",
        "CLIENT_ID": client["access_key"], "CLIENT_SECRET": client["secret"],
        "AGENT_ID": agent["access_key"], "AGENT_SECRET": agent["secret"], "AGENT_KEY": agent["id"],
    }


def main():
    """Ends with 1 when any check failed, or none was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    parser.add_argument("--install", action="store_true", help="get the clients (npm, pip)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()),
                        help="where the clients are kept between runs")
    options = parser.parse_args()
    commands = [command for get in (node, authlib) for command in get(options.scratch.resolve(), options.install)]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="keyward-oauth-") as folder:
        keyward = Keyward(options.keyward.resolve(), Path(folder))
        keyward.start()
        try:
            env = environment(keyward)
            for name, command in commands:
                good, bad = run(name, command, env)
                passed, failed = passed + good, failed + bad
        finally:
            keyward.stop()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
