#!/usr/bin/env python3
"""Proves every gateway recipe in this folder against a running Keyward.

    integrations/check.py --keyward target/debug/keyward [--only nginx,caddy] [--install --scratch DIR]

Starts a Keyward of its own, an application that tells what it was sent, and each gateway with its
recipe, all on free loopback ports; prints one line for each check and ends with 1 if any failed.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from subprocess import CalledProcessError

from check.application import Application
from check.cases import CASES, Stage, broken_script
from check.gateways import ALL
from check.keyward import Keys, Keyward
from check.process import StartError
from check.report import Report


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keyward", required=True, type=Path, help="the keyward binary")
    parser.add_argument("--only", default=",".join(gateway.name for gateway in ALL),
                        help="gateways, separated by commas")
    parser.add_argument("--install", action="store_true",
                        help="as root: install missing gateways (apt-get, pip)")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()),
                        help="where Envoy is kept between runs")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only) - {gateway.name for gateway in ALL}
    if unknown:
        parser.error(f"no such gateway: {', '.join(sorted(unknown))}")
    return options


def check_gateway(gateway, keyward, keys, application, folder, report):
    """All cases against one gateway."""
    program = gateway.program(folder, keyward, application.port)
    print(f"--      {gateway.name:11} {gateway.version()}", flush=True)
    program.start()
    stage = Stage(program.port, keyward, keys, application)
    try:
        for case in CASES:
            report.run(gateway.name, case.__doc__, lambda case=case: case(stage))
    finally:
        program.stop()
    if gateway.script is None:
        return
    program = gateway.program(folder, keyward, application.port, broken_script=True)
    program.start()
    stage = Stage(program.port, keyward, keys, application)
    try:
        report.run(gateway.name, broken_script.__doc__, lambda: broken_script(stage))
    finally:
        program.stop()


def prepare(gateway, options):
    """Installs what is missing, if asked to."""
    if options.install and not gateway.installed():
        gateway.install()


def check_all(options, work, report):
    """Keyward, the application, then gateway by gateway."""
    folder = work / "keyward"
    folder.mkdir()
    keyward = Keyward(options.keyward.resolve(), folder)
    application = Application()
    keyward.start()
    try:
        keys = Keys(keyward)
        for gateway in (kind(options.scratch) for kind in ALL if kind.name in options.only):
            folder = work / gateway.name
            folder.mkdir(mode=0o755)
            try:
                prepare(gateway, options)
                check_gateway(gateway, keyward, keys, application, folder, report)
            except (StartError, CalledProcessError) as error:
                report.run(gateway.name, "starts", lambda error=error: raise_again(error))
    finally:
        keyward.stop()
        application.stop()


def raise_again(error):
    """Hands an error to the report."""
    raise error


def main():
    """Ends with 1 when any check failed, or none was made."""
    options = arguments()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="keyward-gateways-") as work:
        # Gateways started by root read their files as an unprivileged user.
        Path(work).chmod(0o755)
        check_all(options, Path(work), report)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
