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


def python(scratch, install):
    """X13: Authlib and PyJWT, in an environment of their own."""
    program = scratch / "oauth-venv" / "bin" / "python"
    if install:
        if not program.exists():
            subprocess.run([sys.executable, "-m", "venv", program.parent.parent], check=True)
        wanted = CLIENTS / "requirements.txt"
        subprocess.run([program, "-m", "pip", "install", "-q", "-r", wanted], check=True)
    return [("Authlib", [str(program), str(CLIENTS / "authlib_client.py")])]


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


def run(name, command, env):
    """Runs one client and prints what it found; how many checks passed and failed."""
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
    for line in lines:
        print(f"{line[:8]}{name:14} {line[8:]}", flush=True)
    failed = sum(line.startswith("FAILED") for line in lines)
    if done.returncode != 0 or not lines:
        print(f"FAILED  {name:14} it broke: {done.stderr.strip()[-500:]}", flush=True)
        failed += 1
    return len(lines) - sum(line.startswith("FAILED") for line in lines), failed


def main():
    """Ends with 1 when any check failed, or none was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    parser.add_argument("--install", action="store_true", help="get the clients (npm, pip)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()),
                        help="where the clients are kept between runs")
    options = parser.parse_args()
    commands = [command for get in (node, python) for command in get(options.scratch.resolve(), options.install)]
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
