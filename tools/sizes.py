#!/usr/bin/env python3
"""Sizes of functions and files: fails on the hard limits, prints what lies above the soft ones.

A function is counted from its first line to its closing brace, which rustfmt puts below its first
letter; a file without its tests, which end it.
"""

import re
import sys
from pathlib import Path

FUNCTION_MEDIAN, FUNCTION_P90, FUNCTION_HARD = 12, 40, 80
FILE_SOFT, FILE_HARD = 400, 600
FUNCTION = re.compile(
    r"^( *)(?:pub(?:\([^)]*\))? )?(?:default )?(?:const )?(?:async )?(?:extern \"C\" )?fn (\w+)"
)


def functions(lines):
    """Name, first line and length of each function that has a body."""
    for number, line in enumerate(lines):
        start = FUNCTION.match(line)
        if not start:
            continue
        closing = start[1] + "}"
        for length, later in enumerate(lines[number:], 1):
            one_liner = length == 1 and later.rstrip().endswith("}")
            if one_liner or (length > 1 and later.rstrip() in (closing, closing + ",")):
                yield start[2], number + 1, length
                break
            if later.rstrip().endswith(";") and later.startswith(start[1] + ")") or (
                length == 1 and later.rstrip().endswith(";")
            ):
                break


def is_test(path):
    """Whether the whole file is tests."""
    return "tests" in path.parts or path.name == "tests.rs"


def without_tests(lines):
    """The lines before the module of tests."""
    ends = (at for at, line in enumerate(lines) if line.startswith("#[cfg(test)]"))
    return lines[: next(ends, len(lines))]


def main():
    """Ends with 1 when a hard limit is broken."""
    root = Path(__file__).resolve().parent.parent
    broken, notes, lengths = [], [], []
    for path in sorted((root / "crates").glob("**/*.rs")):
        lines = path.read_text().splitlines()
        name = path.relative_to(root)
        for function, line, length in functions(lines):
            lengths.append(length)
            if length > FUNCTION_HARD:
                broken.append(f"{name}:{line}: {function} has {length} lines, {FUNCTION_HARD} at most")
        size = len(lines if is_test(path) else without_tests(lines))
        if size > FILE_HARD and not is_test(path):
            broken.append(f"{name}: {size} lines without tests, {FILE_HARD} at most")
        elif size > FILE_SOFT:
            notes.append(f"{name}: {size} lines, better {FILE_SOFT}")
    lengths.sort()
    for share, limit in ((50, FUNCTION_MEDIAN), (90, FUNCTION_P90)):
        seen = lengths[len(lengths) * share // 100]
        notes.append(f"functions: p{share} is {seen} lines, {'above' if seen > limit else 'within'} {limit}")
    print("\n".join(notes + broken))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
