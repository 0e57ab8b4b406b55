#!/usr/bin/env python3
"""Does what the README's quickstart says, and compares what it answers.

    tools/quickstart.py [BINARY]

The blocks marked `sh` under "## Quickstart" are run as they stand, from the top: the first starts the
server, one of nothing but assignments tells where its secrets go, each other one is run by bash, and
the block after it (`json` or `text`, `…` for what differs each time) is what it must answer. Besides,
the commands that quickstart itself prints are run. Only what would get in the way of other servers is
changed: ports and data folder; and with BINARY, it is what `cargo run --release --` stands for.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECRET = re.compile(r"^ +its secret +(\S+)$", re.MULTILINE)
PATIENCE = 900


def blocks():
    """Language and text of each block of the quickstart."""
    text = README.read_text()
    section = re.search(r"^## Quickstart\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return BLOCK.findall(section[1])


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """What the first block starts, in a folder of its own."""

    def __init__(self, command, folder):
        self.port = free_port()
        environment = {
            **os.environ, "KEYWARD_DATA_DIR": f"{folder}/data", "KEYWARD_METRICS__LISTEN": "",
            "KEYWARD_SERVER__LISTEN": f"127.0.0.1:{self.port}",
        }
        self.said = Path(folder) / "said"
        with self.said.open("w") as out:
            self.process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=README.parent, env=environment, stdout=out,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while "Ctrl-C" not in self.text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the first block did not start a server: {self.text()}")
            time.sleep(0.1)

    def text(self):
        """What it has printed."""
        return self.said.read_text()

    def stop(self):
        """As Ctrl-C does."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=30)


def run(script, port):
    """A block in bash; its output."""
    script = script.replace("127.0.0.1:8700", f"127.0.0.1:{port}")
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def like(pattern, text):
    """Whether a text is as the README has it, but for what `…` stands for."""
    parts = (re.escape(part) for part in pattern.split("…"))
    return re.fullmatch(".*".join(parts), text) is not None


def within(expected, seen):
    """Whether everything that the README shows of a JSON answer is so."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        return all(name in seen and within(value, seen[name]) for name, value in expected.items())
    if isinstance(expected, str) and isinstance(seen, str):
        return like(expected, seen)
    return expected == seen


def compare(kind, expected, output):
    """Raises if the answer is not what the README shows."""
    if kind == "json":
        agrees = within(json.loads(expected), json.loads(output))
    else:
        seen = [line.strip() for line in output.splitlines()]
        agrees = all(any(like(line.strip(), one) for one in seen) for line in expected.splitlines() if line.strip())
    if not agrees:
        raise AssertionError(f"expected\n{expected}\nsaw\n{output}")


def readme_blocks(server, rest):
    """Each block after the first as a title and what to do."""
    secrets = SECRET.findall(server.text())
    preamble = ""
    if rest[0][0] == "text":
        told = server.text().replace(f"127.0.0.1:{server.port}", "127.0.0.1:8700")
        yield "what the server prints", lambda: compare(*rest[0], told)
    for at, (kind, text) in enumerate(rest):
        # `./test` is who asks.
        if kind != "sh" or text.strip() == "./test":
            continue
        if all(re.match(r"\w+=", line) for line in text.splitlines()):
            values = iter(secrets)
            preamble = re.sub(r"=\S+", lambda _: f"={next(values)}", text)
            continue
        expected = rest[at + 1] if at + 1 < len(rest) and rest[at + 1][0] != "sh" else None

        def action(text=text, expected=expected):
            output = run(preamble + text, server.port)
            if expected:
                compare(*expected, output)

        yield text.splitlines()[0], action


def printed_commands(server):
    """The commands that the server suggests; each must be answered with a success."""
    for line in server.text().splitlines():
        if line.startswith("  curl "):
            yield line.strip()[:60], lambda line=line: run(line.replace("curl -", "curl -f"), server.port)


def main():
    """Ends with 1 when something is not as the README says."""
    all_blocks = blocks()
    command = all_blocks[0][1].strip()
    if len(sys.argv) > 1:
        command = command.replace("cargo run --release --", str(Path(sys.argv[1]).resolve()))
    counts = [0, 0]
    for actions in (lambda server: readme_blocks(server, all_blocks[1:]), printed_commands):
        with tempfile.TemporaryDirectory(prefix="keyward-quickstart-") as folder:
            server = Server(command, folder)
            try:
                for title, action in actions(server):
                    try:
                        action()
                        counts[0] += 1
                        print(f"ok      {title}")
                    except (AssertionError, json.JSONDecodeError) as error:
                        counts[1] += 1
                        print(f"FAILED  {title}: {error}")
            finally:
                server.stop()
    print(f"{counts[0]} passed, {counts[1]} failed")
    return 0 if counts[0] and not counts[1] else 1


if __name__ == "__main__":
    sys.exit(main())
