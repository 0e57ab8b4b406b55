"""What the checks say."""


class Failure(Exception):
    """A check did not see what it must; the text says what it saw."""


def expect(condition, seen):
    """Fails with what was seen."""
    if not condition:
        raise Failure(str(seen))


class Report:
    """Prints as it counts."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def run(self, subject, title, action):
        """One line, with what the action tells; its own failure is told, not raised."""
        try:
            told = action()
        # Whatever somebody answers, and be it no HTTP, is a line and no traceback.
        except Exception as error:
            self.failed += 1
            kind = "" if isinstance(error, Failure) else f"{type(error).__name__}: "
            print(f"FAILED  {subject:11} {title}: saw {kind}{error}", flush=True)
            return
        self.passed += 1
        print(f"ok      {subject:11} {title}{f': {told}' if told else ''}", flush=True)

    def end(self):
        """The last line, and the exit code: 1 when any check failed, or none was made."""
        print(f"{self.passed} passed, {self.failed} failed")
        return 0 if self.passed and not self.failed else 1
