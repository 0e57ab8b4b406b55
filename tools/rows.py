#!/usr/bin/env python3
"""Which of the promised rows a test shows, by the ids in the names of tests.

    tools/rows.py               prints them
    tools/rows.py --write       writes docs/reference/requirements.md
    tools/rows.py --check       fails when a row has no test, or that page says something else

A row is `KEY-12` or `MO5`; a test that shows it has `key_12` or `mo_5` in its name, as in
`mo_5_bm_4_default_life_is_90_days`. Checks and steps
of the programs under `integrations` name their rows in their first line.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIST, PAGE = ROOT / "docs/reference/rows.txt", ROOT / "docs/reference/requirements.md"
# Tests that the page names for a row; `./test rows` prints all.
MOST = 4
HEAD = """\
# Requirements and the tests that show them

Written by `tools/rows.py --write` from [rows.txt](rows.txt) and the names of the tests. `./test` fails when a row
has no test. `./test rows` prints every test of a row with its file."""
ID = re.compile(r"(?:^|_)(mo|ts|bm|va|sq|x|key|sto|ver|aut|ses|web|imp|oau|az|dir|http|aud|ops|sup|leak|out|r)_?(\d+)(?=_|$)")
RUST_TEST = re.compile(r"#\[(?:tokio::)?test\]\s*(?:#\[[^\]]*\]\s*)*(?:async )?fn (\w+)")
CHECK = re.compile(r'^ *def (\w+)\(.*\):\n +"""(.*)', re.MULTILINE)
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


def tests_of_rows():
    """Every row that a test names, and where."""
    shown = defaultdict(list)
    for row, where in [*rust_tests(), *gateway_checks()]:
        if where not in shown[row]:
            shown[row].append(where)
    return shown


def promised():
    """Rows and what they say, in groups as the list has them."""
    groups, group = [], []
    for line in [*LIST.read_text().splitlines(), ""]:
        if line and not line.startswith("#"):
            row, _, what = line.partition(" ")
            group.append((row, what.strip()))
        elif group:
            groups.append(group)
            group = []
    return groups


def page(groups, shown):
    """The reference page: row, what it says, the tests that show it."""
    lines = [HEAD]
    for group in groups:
        lines += ["", "| row | says | shown by |", "|---|---|---|"]
        for row, what in group:
            tests = shown[key_of(row)]
            names = ", ".join(f"`{where.split()[1]}`" for where in tests[:MOST])
            more = f" and {len(tests) - MOST} more" if len(tests) > MOST else ""
            lines.append(f"| {row} | {what} | {names}{more} |")
    return "\n".join(lines) + "\n"


def key_of(row):
    """A row as the names of tests have it."""
    return row.lower().replace("-", "")


def main():
    """Ends with 1 when a row has no test, or the page is not as it should be."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    groups, shown = promised(), tests_of_rows()
    rows = [row for group in groups for row in group]
    missing = [row for row, _ in rows if not shown[key_of(row)]]
    if not asked:
        for row, what in rows:
            print(f"{'MISSING' if row in missing else 'ok     '} {row:7} {what}")
            for where in shown[key_of(row)]:
                print(f"                {where}")
    written = page(groups, shown)
    if asked == "--write":
        PAGE.write_text(written)
    is_stale = asked == "--check" and (not PAGE.exists() or PAGE.read_text() != written)
    print(f"{len(rows) - len(missing)} of {len(rows)} rows have a test")
    if missing:
        print(f"without: {' '.join(missing)}")
    if is_stale:
        print(f"{PAGE.relative_to(ROOT)} is not what the tests say: tools/rows.py --write")
    return 1 if missing or is_stale else 0


if __name__ == "__main__":
    sys.exit(main())
