#!/usr/bin/env python3
"""Which of the promised rows a test shows, by the ids in the names of tests.

    tools/rows.py [LIST]        default: docs/reference/rows.txt

A row is `KEY-12` or `MO5`; a test that shows it has `key_12` or `mo_5` in its name, as in
`mo_5_bm_4_default_life_is_90_days`. Checks of gateways name their rows in the first line.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ID = re.compile(r"(?:^|_)(mo|ts|bm|va|sq|x|key|sto|ver|aut|ses|web|imp|oau|az|dir|http|aud|ops|sup|leak|out|r)_?(\d+)(?=_|$)")
RUST_TEST = re.compile(r"#\[(?:tokio::)?test\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)")
CHECK = re.compile(r'^def (\w+)\(.*\):\n    """(.*)', re.MULTILINE)
ROW = re.compile(r"\b([A-Z]+)-?(\d+)\b")


def rust_tests():
    """Row and where it is shown, out of the names of test functions."""
    for path in sorted((ROOT / "crates").glob("**/*.rs")):
        for name in RUST_TEST.findall(path.read_text()):
            for kind, number in ID.findall(name):
                yield kind + number, f"{path.relative_to(ROOT)} {name}"


def gateway_checks():
    """The same out of the checks of gateways."""
    for path in sorted((ROOT / "integrations").glob("**/*.py")):
        for name, title in CHECK.findall(path.read_text()):
            for kind, number in ROW.findall(title):
                yield kind.lower() + number, f"{path.relative_to(ROOT)} {name}"


def main():
    """Ends with 1 when a row has no test."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/reference/rows.txt"
    shown = defaultdict(list)
    for row, where in [*rust_tests(), *gateway_checks()]:
        shown[row].append(where)
    rows = [line for line in source.read_text().splitlines() if line and not line.startswith("#")]
    missing = []
    for line in rows:
        row, _, what = line.partition(" ")
        tests = shown[row.lower().replace("-", "")]
        print(f"{'ok     ' if tests else 'MISSING'} {row:7} {what.strip()}")
        for where in tests:
            print(f"                {where}")
        if not tests:
            missing.append(row)
    print(f"{len(rows) - len(missing)} of {len(rows)} rows have a test")
    if missing:
        print(f"without: {' '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
