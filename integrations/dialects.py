#!/usr/bin/env python3
"""Proves the dialects with clients that others wrote, and runs what the how-to pages show.

    integrations/dialects.py --keyward target/debug/keyward [--install] [--scratch DIR] [NAME…]

Starts a Keyward of its own with every dialect switched on. For each module in integrations/dialects it runs
`check(world)`, in an environment of its own that holds the module's PACKAGES, and then the bash blocks of
its page in docs/how-to/dialects, one after the other in one shell. Prints one line for each check; ends with 1
if any failed, or a module made none. With --install the clients come from PyPI into DIR, and stay there.
"""

import argparse
import ast
import os
import re
import sys
import tempfile
from pathlib import Path

from check.keyward import Keyward
from check.programs import python, run

HERE = Path(__file__).resolve().parent
PAGES = HERE.parent / "docs" / "how-to" / "dialects"
SETTINGS = """\
server:
  public_url: "http://localhost:{port}"
dialects:
  thoughtspot: {enabled: true, hosts: [thoughtspot.test]}
  mode: {enabled: true, hosts: [mode.test]}
  bmc_helix: {enabled: true, hosts: [bmc.test]}
  valsight: {enabled: true, hosts: [valsight.test]}
  seeq: {enabled: true, hosts: [seeq.test]}
apiKeyAuth:
  enabled: true
"""


def packages(module):
    """The PACKAGES of a module, read without running it."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "PACKAGES":
            return ast.literal_eval(node.value)
    return []


def program(module, scratch, install):
    """A Python that has what the module needs."""
    wanted = packages(module)
    return python(scratch / f"dialect-{module.stem}", install, *wanted) if wanted else sys.executable


def run_client(module, program, env):
    """The checks of one module."""
    return run(module.stem, [program, "-m", "dialects.world", module.stem], env, folder=HERE)


def run_page(page, env):
    """The bash blocks of a page, in one shell; each that ends well is a check."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    if not blocks:
        return 0, 0
    script = "set -euo pipefail\n"
    for number, block in enumerate(blocks, 1):
        script += f"{block}\nprintf '\\nok      block {number} does what it says\\n'\n"
    return run(page.name, ["bash", "-c", script], env, least=len(blocks))


def main():
    """Ends with 1 when any check failed, or none was made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    parser.add_argument("--install", action="store_true", help="get the clients (pip)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()),
                        help="where the clients are kept between runs")
    parser.add_argument("names", nargs="*", help="only these")
    options = parser.parse_args()
    modules = [path for path in sorted((HERE / "dialects").glob("*.py"))
               if path.stem not in ("__init__", "world") and (not options.names or path.stem in options.names)]
    pages = [path for path in sorted(PAGES.glob("*.md"))
             if not options.names or path.stem.replace("-", "_") in options.names]
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="keyward-dialects-") as folder:
        keyward = Keyward(options.keyward.resolve(), Path(folder), SETTINGS)
        keyward.start()
        env = {**os.environ, "KEYWARD_URL": f"http://localhost:{keyward.port}", "KEYWARD_TOKEN": keyward.root_secret}
        try:
            for module in modules:
                client = program(module, options.scratch.resolve(), options.install)
                good, bad = run_client(module, client, env)
                passed, failed = passed + good, failed + bad
            for page in pages:
                good, bad = run_page(page, env)
                passed, failed = passed + good, failed + bad
        finally:
            keyward.stop()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
