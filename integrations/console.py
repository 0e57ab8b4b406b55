#!/usr/bin/env python3
"""Walks the console with Chromium, as a person would, against a running Keyward.

    integrations/console.py --keyward target/debug/keyward [--install] [--scratch DIR] [--pictures DIR [--images DIR]]

Each step goes on from those before (`console/`, a file for each person). Every page that is looked at is checked by axe in light and dark, at two
widths, and in the colours of a system that forces its own; afterwards the browser's own log must hold no breach of the content policy, no error, and no
request to another host. Prints one line for each step; ends with 1 if any failed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from check.browser import Browser
from check.keyward import Keyward
from check.recorder import Recorder
from console.first import First
from console.fleet import Fleet
from console.keyboard import Keyboard
from console.look import Look
from console.many import Many, seed
from console.member import Member
from console.people import People
from console.plain import Plain
from console.recorded import Recorded
from console.records import Records
from console.rules import Rules
from console.scriptless import Scriptless
from console.session import Session
from console.walk import Walk

HERE = Path(__file__).resolve().parent
SETTINGS = """\
server:
  public_url: "http://localhost:{port}"
webhooks:
  allow: ["127.0.0.1"]
"""
PLAIN = """\
server:
  public_url: "http://console.test:{port}"
"""
PLAIN_BROWSER = ["--host-resolver-rules=MAP console.test 127.0.0.1"]


def usual(binary, folder):
    """A server as most are, with its first administrator."""
    return Keyward(binary, folder, SETTINGS)


def crowded(binary, folder):
    """One with more keys than anybody looks through."""
    keyward = usual(binary, folder)
    seed(keyward)
    return keyward


def empty(binary, folder):
    """One that has nobody yet."""
    return Keyward(binary, folder, SETTINGS, is_new=True)


def plain(binary, folder):
    """One that is reached over a network without encryption."""
    return Keyward(binary, folder, PLAIN, address="0.0.0.0", flags=["--insecure-listen"])


# Pages that the README shows.
SHOWN = ["key-light", "key-dark", "key-choice-light", "key-choice-dark"]
# Servers, who walks there, and what their browsers need beside.
WALKS = [
    (usual, [Member, People, Records, Rules, Fleet, Keyboard, Look, Scriptless, Recorded, Session], []),
    (crowded, [Many], []),
    (empty, [First], []),
    (plain, [Plain], PLAIN_BROWSER),
]


def run(walk):
    """How many steps of one person passed and failed."""
    passed = failed = 0
    steps = [step for name, step in vars(type(walk)).items() if "_" in name and callable(step)]
    for step in [*steps, Walk.the_browser_had_nothing_to_complain_about, Walk.nobody_else_was_asked_for_anything]:
        title = f"{type(walk).__name__.lower()}: {step.__name__.replace('_', ' ')}"
        try:
            step(walk)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"FAILED {title}: {error}")
            walk.picture(f"failed-{step.__name__}")
        else:
            passed += 1
            print(f"ok     {title}")
    return passed, failed


def walked(person, keyward, flags, axe, pictures):
    """The same in a browser of its own, with a recorder in between where one is wanted."""
    recorder = Recorder() if person.is_recorded else None
    browser = Browser(keyward.data.parent, ["--lang=en", *flags, *(recorder.flags() if recorder else [])])
    try:
        browser.start()
        return run(person(keyward, browser, axe, pictures, recorder))
    finally:
        browser.stop()
        if recorder:
            recorder.stop()


def axe_core(scratch, install):
    """The script that knows WCAG, in a folder of its own (WEB-7)."""
    folder = scratch / "console"
    if install:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "console" / "package.json", folder)
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True)
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text()


def main():
    """Starts all of it, walks, and stops it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keyward", required=True, type=Path)
    options.add_argument("--install", action="store_true", help="get axe-core (npm)")
    options.add_argument("--scratch", type=Path, default=Path("target/scratch"), help="where axe-core is kept")
    options.add_argument("--pictures", type=Path, help="a folder for pictures of every page")
    options.add_argument("--images", type=Path, help="the folder of those that the README shows: docs/images")
    asked = options.parse_args()
    if asked.pictures:
        asked.pictures.mkdir(parents=True, exist_ok=True)
    axe = axe_core(asked.scratch, asked.install)
    with tempfile.TemporaryDirectory() as folder:
        passed = failed = 0
        for make, people, flags in WALKS:
            place = Path(folder) / make.__name__
            place.mkdir()
            keyward = make(asked.keyward.resolve(), place)
            keyward.start()
            try:
                for person in people:
                    counts = walked(person, keyward, flags, axe, asked.pictures)
                    passed, failed = passed + counts[0], failed + counts[1]
            finally:
                keyward.stop()
    if asked.images and asked.pictures:
        asked.images.mkdir(parents=True, exist_ok=True)
        for name in SHOWN:
            shutil.copy(asked.pictures / f"{name}-wide.png", asked.images / f"{name}.png")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
