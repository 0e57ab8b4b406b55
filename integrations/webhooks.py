#!/usr/bin/env python3
"""Proves webhooks with verifiers that others wrote, on real deliveries of a running Keyward.

    integrations/webhooks.py --keyward target/debug/keyward [--install] [--scratch DIR]

Starts a Keyward and a receiver of its own, has events sent before, while and after a secret is replaced,
and lets every verifier in integrations/webhooks judge what came, with the snippets of the how-to page. They print
one line for each check. Ends with 1 if any failed, or a verifier made none. With --install the libraries
come from their package registries into DIR, and stay there for the next run.
"""

import argparse
import http.server
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from check.keyward import Keyward
from check.process import free_port
from check.programs import python, run

HERE = Path(__file__).resolve().parent
VERIFIERS = HERE / "webhooks"
PAGE = HERE.parent / "docs" / "how-to" / "automate" / "webhooks.md"


def node(scratch, install):
    """OUT-1: standardwebhooks and svix of npm, in a folder of their own.

    svix 1.64 checks by its own code; version 2 hands it to standardwebhooks.
    """
    folder = scratch / "webhooks-node"
    if install:
        folder.mkdir(parents=True, exist_ok=True)
        for source in [VERIFIERS / "verify.mjs", VERIFIERS / "package.json"]:
            shutil.copy(source, folder)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    program = str(folder / "verify.mjs")
    return [(f"npm {name}", ["node", program, name]) for name in ("standardwebhooks", "svix", "svix-2")]


def pypi(scratch, install):
    """OUT-1: standardwebhooks of PyPI, in an environment of its own."""
    program = python(scratch / "webhooks-venv", install, "-r", VERIFIERS / "requirements.txt")
    return [("PyPI", [program, str(VERIFIERS / "verify.py")])]


def receiver(port):
    """A server that takes everything; what came, in order."""
    came = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        """Keeps headers and body as they came."""

        def do_POST(self):
            """Takes it."""
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            names = ("webhook-id", "webhook-timestamp", "webhook-signature")
            came.put({"headers": {name: self.headers[name] for name in names}, "body": body})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return came


def deliveries(keyward, port, came):
    """Real deliveries, each with the secrets that must accept it and those that must not."""
    made = keyward.post("/v1/webhooks", {"url": f"http://127.0.0.1:{port}/hook?a=b", "events": ["key.create"]})
    rotate = f"/v1/webhooks/{made['id']}/rotate-secret"

    def send(name, hook, secrets, others):
        keyward.post("/v1/keys", {"class": "ingest", "label": f"Größe – 東京 \"{name}\""})
        keys = [secret["public_key"] for secret in hook["secrets"]]
        return {**came.get(timeout=20), "name": name, "secrets": secrets, "others": others, "public_keys": keys}

    first = send("one secret", made, [made["secret"]], ["whsec_" + "A" * 43 + "="])
    second = keyward.post(rotate, {"overlap_seconds": 3600})
    both = send("two secrets", second, [made["secret"], second["secret"]], [])
    third = keyward.post(rotate, {"overlap_seconds": 0})
    last = send("the new one alone", third, [third["secret"]], [made["secret"], second["secret"]])
    return [first, both, last]


def main():
    """Ends with 1 when any check failed, or none was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    parser.add_argument("--install", action="store_true", help="get the libraries (npm, pip)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()),
                        help="where the libraries are kept between runs")
    options = parser.parse_args()
    commands = [command for get in (node, pypi) for command in get(options.scratch.resolve(), options.install)]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="keyward-webhooks-") as folder:
        port = free_port()
        settings = f"webhooks: {{allow: ['127.0.0.1:{port}']}}\n"
        keyward = Keyward(options.keyward.resolve(), Path(folder), settings)
        came = receiver(port)
        keyward.start()
        try:
            file = Path(folder) / "deliveries.json"
            file.write_text(json.dumps(deliveries(keyward, port, came)))
        finally:
            keyward.stop()
        env = {**os.environ, "DELIVERIES": str(file), "PAGE": str(PAGE)}
        for name, command in commands:
            good, bad = run(name, command, env)
            passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
