"""Histories written by hand, each with what the check must say of it: a check that cannot fail shows nothing."""

from . import checker, model
from .record import OK, REFUSED, UNKNOWN, Event, Fault, History, Operation, Setup

KEY, ROLE, RIGHT = "key_1", "role_1", "orders:read"
NODES = 2
# The last revocation of `story`, on node 0.
REVOKED = 5.1


class Tale:
    """A history in the making: what is told to it happens, is answered rightly and stands in the audit log."""

    def __init__(self):
        self.history = History(Setup(seed=0, nodes=NODES, near=1.0, far=3.0, recovery=2.0))
        self.states = {}

    def tell(self, kind, subject, start, node=0, result=OK, code=None, seen=None, status=200, **arguments):
        """An operation of a tenth of a second that changes nothing."""
        operation = Operation(
            self.history.next_id(), 0, node, kind, subject, arguments, start, start + 0.1, result, status, code, seen,
        )
        self.history.operations.append(operation)
        return operation

    def write(self, kind, start, subject=KEY, node=0, result=OK, **arguments):
        """A write that happens."""
        state = self.states[subject] = model.apply(self.states.get(subject), kind, arguments)
        seen = model.shown(state) if result == OK else None
        status = 200 if result == OK else 0
        operation = self.tell(kind, subject, start, node, result, seen=seen, status=status, **arguments)
        self.record(operation)

    def record(self, operation):
        """The event of a write."""
        events = self.history.events
        events.append(Event(len(events) + 1, model.ACTIONS[operation.kind], operation.subject, operation.id))

    def verify(self, start, answer="ok", node=0, generation=1):
        """A verification of a secret of the key."""
        if answer in (0, 503):
            outcome = {"result": UNKNOWN, "status": answer}
        else:
            outcome = {"result": OK} if answer == "ok" else {"result": REFUSED, "code": answer, "status": 401}
        self.tell(model.VERIFY, KEY, start, node, generation=generation, right=RIGHT, **outcome)

    def show(self, start, node=0, seen=None):
        """A read of the key, of its present state unless told."""
        self.tell("show", KEY, start, node, seen=seen or model.shown(self.states[KEY]))

    def judge(self):
        """What the check says, after the reads at the end."""
        for node in range(NODES):
            self.show(20.0, node)
        return {violation.rule for violation in checker.check(self.history)}


def living():
    """A key with two secrets that works; node 1 stood still for a while."""
    tale = Tale()
    tale.history.faults.append(Fault(1, "pause", 8.0, 9.0))
    tale.write("create_role", 0.0, ROLE, rights=[RIGHT])
    tale.write("create", 1.0, roles=[ROLE])
    tale.verify(1.2)
    tale.verify(1.2, "invalid_key", node=1)
    tale.write("rotate", 3.0)
    tale.verify(3.2, generation=2)
    return tale


def story():
    """The same with a revocation at 5.0 on node 0."""
    tale = living()
    tale.write("revoke", REVOKED - 0.1)
    tale.verify(REVOKED + 0.1, "revoked")
    tale.verify(REVOKED + 0.9, node=1)
    tale.verify(REVOKED + 1.1, "revoked", node=1)
    return tale


def right():
    """Late, doubtful and refused, all as promised."""
    tale = story()
    tale.verify(8.05, node=1)
    tale.verify(8.5, 503, node=1)
    refused = {"result": REFUSED, "code": "already_revoked", "status": 409}
    tale.tell("revoke", KEY, 6.0, **refused)
    tale.tell("assign", KEY, 8.5, result=UNKNOWN, status=0, roles=[])
    return tale


def doubtful():
    """A write without an answer that happened, and whose commit nobody saw for a while."""
    tale = living()
    tale.show(8.3)
    tale.write("deactivate", 8.0, result=UNKNOWN)
    tale.verify(11.5, node=0)
    tale.verify(11.5, "inactive", node=0)
    tale.show(12.0)
    tale.verify(14.0, "inactive")
    return tale


def stale_accept():
    """Node 1 accepts for longer than it may."""
    tale = story()
    tale.verify(REVOKED + 1.2, node=1)
    return tale


def stale_accept_after_a_pause():
    """The same behind a fault, where more is allowed, but not so much."""
    tale = story()
    tale.verify(8.2, node=1)
    return tale


def stale_accept_here():
    """The node that acknowledged accepts once more."""
    tale = story()
    tale.verify(REVOKED + 0.05)
    return tale


def retired_accept():
    """A secret that was replaced is accepted."""
    tale = living()
    tale.write("replace", 5.0)
    tale.verify(7.0)
    return tale


def lost_write():
    """Acknowledged, and nowhere."""
    tale = living()
    tale.tell("revoke", KEY, 5.0)
    return tale


def lost_state():
    """In the audit log, and the key is as before."""
    tale = living()
    before = model.shown(tale.states[KEY])
    tale.write("revoke", 5.0)
    tale.show(6.0, seen=before)
    return tale


def resurrected():
    """A revoked key is switched on again."""
    tale = story()
    tale.record(tale.tell("activate", KEY, 7.0, seen={}))
    return tale


def refused_good():
    """A good key is refused."""
    tale = living()
    tale.verify(6.0, "retired_secret")
    return tale


def refused_lately():
    """Node 1 does not know a key that is older than it may be unknown."""
    tale = living()
    tale.verify(2.2, "invalid_key", node=1)
    return tale


def refused_but_done():
    """A write is refused and happens."""
    tale = living()
    tale.write("deactivate", 5.0, result=REFUSED)
    return tale


def refused_wrongly():
    """A write is refused for what is not so."""
    tale = living()
    tale.tell("activate", KEY, 5.0, result=REFUSED, code="key_revoked", status=409)
    return tale


def done_twice():
    """One request, two changes."""
    tale = living()
    tale.write("rotate", 5.0)
    tale.record(tale.history.operations[-1])
    return tale


def out_of_time():
    """The log has the later write first."""
    tale = living()
    tale.write("deactivate", 7.0)
    tale.write("activate", 5.0)
    return tale


def read_back():
    """Two reads, the later of which is of the older state."""
    tale = living()
    before = model.shown(tale.states[KEY])
    tale.write("deactivate", 8.0, result=UNKNOWN)
    tale.show(8.2)
    tale.show(8.4, node=1, seen=before)
    return tale


def unasked():
    """A change that nobody asked for."""
    tale = living()
    tale.history.events.append(Event(9, "key.revoke", KEY, None))
    return tale


def unavailable():
    """503 where nothing was wrong."""
    tale = living()
    tale.verify(6.0, 503, node=1)
    return tale


def held_up():
    """A write waits in vain while another node stands still, long after that began."""
    tale = living()
    tale.history.faults.append(Fault(1, "hang", 12.0, 16.0))
    tale.tell("rotate", KEY, 13.0, result=UNKNOWN, status=503)
    tale.tell("rotate", KEY, 14.5, result=UNKNOWN, status=503)
    return tale


def unchained():
    """The chain does not verify."""
    tale = living()
    tale.history.setup.chain_ok = False
    return tale


# What must be found in each; nothing in the first.
EXAMPLES = [
    (None, right), (None, doubtful),
    ("stale or false accept", stale_accept), ("stale or false accept", stale_accept_after_a_pause),
    ("stale or false accept", stale_accept_here), ("stale or false accept", retired_accept),
    ("lost write", lost_write), ("against time", lost_state), ("impossible write", resurrected),
    ("wrong refusal of a key", refused_good), ("wrong refusal of a key", refused_lately),
    ("refused but done", refused_but_done), ("wrong refusal", refused_wrongly), ("done twice", done_twice),
    ("against time", out_of_time), ("against time", read_back), ("nobody asked", unasked),
    ("unavailable", unavailable), ("unavailable", held_up), ("broken chain", unchained),
]


def run(report):
    """Each example: what is said of it is told to `report`, with whether that is right."""
    for expected, example in EXAMPLES:
        found = example().judge()
        wanted = {expected} if expected else set()
        report(found == wanted, f"by hand: {example.__doc__} {expected or 'nothing'} is found", str(found))
