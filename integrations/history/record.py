"""What happened: operations, faults and the audit log of one run, and how they are kept as JSON lines."""

import json
import threading
from dataclasses import asdict, dataclass, field

# How an operation ended. UNKNOWN: no answer, or 5xx; it may have happened, and it may still happen.
OK, REFUSED, UNKNOWN = "ok", "refused", "unknown"


@dataclass
class Operation:
    """One request of one client. Times are seconds of one monotonic clock, since the run began."""

    id: int
    client: int
    node: int
    kind: str
    # Id of the key or role; None while the answer that would tell it is missing.
    subject: str | None
    arguments: dict
    start: float
    end: float
    result: str
    # HTTP status, 0 without an answer; the code of a refusal; what an answer showed.
    status: int
    code: str | None = None
    seen: dict | None = None


@dataclass
class Fault:
    """What was done to a node, until it was undone."""

    node: int
    what: str
    start: float
    end: float


@dataclass
class Event:
    """A successful change as the audit log has it; `operation` is the number that its request carried."""

    seq: int
    action: str
    subject: str
    operation: int | None


@dataclass
class Setup:
    """What the run was, and the bounds that the configuration of its nodes promises, in seconds."""

    seed: int
    nodes: int
    # How old facts may be on a node that reaches its database, and on one that is cut off or stood still.
    near: float
    far: float
    # How long after a fault a node may still answer 503.
    recovery: float
    # Whether the audit log's chain verifies.
    chain_ok: bool = True


@dataclass
class History:
    """One run. Threads may add to it at the same time."""

    setup: Setup
    operations: list[Operation] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    # In the order of the log.
    events: list[Event] = field(default_factory=list)

    def __post_init__(self):
        self._lock = threading.Lock()
        self._last = 0

    def next_id(self):
        """A number for an operation that begins."""
        with self._lock:
            self._last += 1
            return self._last

    def write(self, path):
        """Keeps it: one JSON object for each line."""
        with open(path, "w", encoding="utf-8") as file:
            for record in [self.setup, *self.faults, *self.events, *self.operations]:
                file.write(json.dumps({type(record).__name__: asdict(record)}) + "\n")

    @classmethod
    def read(cls, path):
        """The history that `write` kept."""
        kinds = {kind.__name__: kind for kind in (Setup, Fault, Event, Operation)}
        records = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                (name, fields), = json.loads(line).items()
                records.append(kinds[name](**fields))
        of = {kind: [record for record in records if isinstance(record, kind)] for kind in kinds.values()}
        return cls(of[Setup][0], of[Operation], of[Fault], of[Event])
