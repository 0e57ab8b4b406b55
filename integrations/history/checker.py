"""Whether a history is one that the model allows. Pure: no clock, no network, nothing kept.

The audit log names the order in which writes happened. That order is only a witness: here it is checked
that each acknowledged write stands in it once and no refused one, that the model allows it step by step
with the very answers that were given, and that it does not contradict the times of writes and reads. If one
order passes, the history is linearisable. Each write then has an earliest and a latest moment, from which
follows what a verification may have known.
"""

import itertools
from bisect import bisect_left
from dataclasses import replace
from typing import NamedTuple

from . import model
from .record import OK, REFUSED, UNKNOWN

NEVER = float("inf")
# How a read tells that there is no such key or role.
NOT_FOUND = "not_found"


class Violation(NamedTuple):
    """What is wrong; `operations` are the numbers of those that show it."""

    rule: str
    text: str
    operations: tuple = ()


class Step(NamedTuple):
    """What a key or role was from one write on, with that write's place in the order of all."""

    place: int
    state: object


class Bound(NamedTuple):
    """A moment, and the operation that sets it."""

    at: float
    operation: int | None


class Order:
    """The writes that happened, in their order, with the states that follow from it."""

    def __init__(self, writes):
        # Pairs of subject and operation.
        self.writes = writes
        self.steps = {}
        self.earliest = [Bound(operation.start, operation.id) for _, operation in writes]
        self.latest = [
            Bound(NEVER if operation.result == UNKNOWN else operation.end, operation.id) for _, operation in writes
        ]

    def line(self, subject):
        """The steps of a key or role, the first of which is that there is none."""
        return self.steps.get(subject, [Step(-1, None)])

    def spread(self):
        """No write is before one that stands before it, nor after one that stands behind it."""
        self.earliest = list(itertools.accumulate(self.earliest, max_at))
        self.latest = list(itertools.accumulate(reversed(self.latest), min_at))[::-1]

    def possible(self, subject, since, until, at_least=-1):
        """The states that may have been at some moment of a window, from a place in the order on."""
        line = self.line(subject)
        for step, following in itertools.zip_longest(line, line[1:]):
            begins = -NEVER if step.place < 0 else self.earliest[step.place].at
            ends = NEVER if following is None else self.latest[following.place].at
            is_over = following is not None and following.place <= at_least
            if begins <= until and ends >= since and not is_over:
                yield step.state


def max_at(one, other):
    """The later of two bounds."""
    return other if other.at > one.at else one


def min_at(one, other):
    """The earlier of two bounds."""
    return other if other.at < one.at else one


def check(history):
    """Every violation. Without an order that holds, what was verified cannot be judged."""
    order, found = find_order(history)
    found += replay(order)
    found += bind_reads(history, order)
    order.spread()
    found += against_time(order)
    if not found:
        found += refusals(history, order) + verifications(history, order)
    return found + faultless(history) + unread(history, order) + chain(history)


def find_order(history):
    """The order of the audit log has each acknowledged write (R1, R14), and nothing that was refused."""
    by_id = {operation.id: operation for operation in history.operations}
    writes, told, found = [], set(), []
    for event in history.events:
        operation = by_id.get(event.operation)
        if operation is None or event.action != model.ACTIONS.get(operation.kind) or (
            operation.subject not in (None, event.subject)
        ):
            found.append(Violation("nobody asked", f"the audit log has {event}, which no operation asked for"))
            continue
        if operation.id in told:
            found.append(Violation("done twice", f"the audit log has {event} a second time", (operation.id,)))
            continue
        told.add(operation.id)
        if operation.result == REFUSED:
            text = f"refused with {operation.code}, and done all the same"
            found.append(Violation("refused but done", text, (operation.id,)))
        writes.append((event.subject, operation))
    lost = (
        operation for operation in history.operations
        if operation.kind in model.ACTIONS and operation.result == OK and operation.id not in told
    )
    found += [Violation("lost write", "acknowledged, and not in the audit log", (each.id,)) for each in lost]
    return Order(writes), found


def replay(order):
    """Each write in turn through the model: it is allowed, and its answer showed what became of it."""
    found = []
    for place, (subject, operation) in enumerate(order.writes):
        line = order.steps.setdefault(subject, [Step(-1, None)])
        before = line[-1].state
        try:
            state = model.apply(before, operation.kind, operation.arguments)
        except model.Refused as refusal:
            text = f"done to {subject} as {before}, where it is refused with {refusal}"
            found.append(Violation("impossible write", text, (operation.id,)))
            continue
        line.append(Step(place, state))
        if operation.seen is not None and operation.seen != model.shown(state):
            text = f"answered {operation.seen}, but made {model.shown(state)}"
            found.append(Violation("wrong answer", text, (operation.id,)))
    return found


def bind_reads(history, order):
    """A read of a state bounds the write that made it and the one that ended it."""
    found = []
    for read in history.operations:
        if read.kind not in model.READS or read.result == UNKNOWN:
            continue
        line = order.line(read.subject)
        states = [NOT_FOUND if step.state is None else model.shown(step.state) for step in line]
        seen = read.code if read.result == REFUSED else read.seen
        if seen not in states:
            text = f"{read.subject} was read as {seen}, which it never was"
            found.append(Violation("impossible read", text, (read.id,)))
            continue
        at = states.index(seen)
        place = line[at].place
        if place >= 0:
            order.latest[place] = min_at(order.latest[place], Bound(read.end, read.id))
        if at + 1 < len(line):
            following = line[at + 1].place
            order.earliest[following] = max_at(order.earliest[following], Bound(read.start, read.id))
    return found


def against_time(order):
    """No write must have happened before it can have, or after it must have."""
    found = []
    for (subject, operation), first, last in zip(order.writes, order.earliest, order.latest):
        if first.at > last.at:
            text = (
                f"{operation.kind} of {subject} happened after {first.at:.3f} by operation {first.operation}, "
                f"and before {last.at:.3f} by operation {last.operation}"
            )
            found.append(Violation("against time", text, (operation.id, first.operation, last.operation)))
    return found


def refusals(history, order):
    """A refused write met a state that refuses it while it ran; nothing else but the model refuses."""
    found = []
    for operation in history.operations:
        if operation.kind not in model.ACTIONS or operation.result != REFUSED:
            continue
        codes = {
            refusal_of(state, operation)
            for state in order.possible(operation.subject, operation.start, operation.end)
        }
        if operation.code not in codes:
            text = f"refused with {operation.code}; possible were {told(codes)}"
            found.append(Violation("wrong refusal", text, (operation.id,)))
    return found


def refusal_of(state, operation):
    """The code by which a state refuses a write; `None` if it does not."""
    try:
        model.apply(state, operation.kind, operation.arguments)
    except model.Refused as refusal:
        return str(refusal)
    return None


def told(codes):
    """Codes for people, in an order that is always the same."""
    return ", ".join(sorted(code or "to do it" for code in codes))


class Acknowledged:
    """What each node has acknowledged of each key or role, by time."""

    def __init__(self, order):
        self.of = {}
        for place, (subject, operation) in enumerate(order.writes):
            if operation.result == OK:
                self.of.setdefault((operation.node, subject), []).append((operation.end, place))
        for lines in self.of.values():
            lines.sort()

    def before(self, node, subject, moment):
        """The last place in the order that the node acknowledged before the moment; -1 if none."""
        lines = self.of.get((node, subject), [])
        return max((place for _, place in lines[:bisect_left(lines, (moment, -1))]), default=-1)


def verifications(history, order):
    """Each answer is one that some state in its window gives: no older than promised (X7, R2), here not old at all."""
    acknowledged, found = Acknowledged(order), []
    for operation in history.operations:
        if operation.kind != model.VERIFY or operation.result == UNKNOWN:
            continue
        answers = possible_answers(operation, history, order, acknowledged)
        answer = "ok" if operation.result == OK else operation.code
        if answer not in answers:
            rule = "stale or false accept" if answer == "ok" else "wrong refusal of a key"
            since = operation.start - reach(history, operation)
            text = (
                f"generation {operation.arguments['generation']} of {operation.subject} for "
                f"{operation.arguments['right']} on node {operation.node}: {answer}; from {since:.3f} to "
                f"{operation.end:.3f} possible were {told(answers)}"
            )
            found.append(Violation(rule, text, (operation.id,)))
    return found


def reach(history, operation):
    """How far back the facts of a verification may lie."""
    setup, own = history.setup, faults_of(history, operation.node)
    return setup.far if is_disturbed(operation, own, setup.far) else setup.near


def faults_of(history, node):
    """The faults of one node."""
    return [fault for fault in history.faults if fault.node == node]


def is_disturbed(operation, faults, before):
    """Whether one of the faults was on while the operation ran, or so many seconds before."""
    return any(fault.start <= operation.end and fault.end >= operation.start - before for fault in faults)


def possible_answers(operation, history, order, acknowledged):
    """Every answer to a verification: facts of the key and of each role are each as old as they may be."""
    since, until = operation.start - reach(history, operation), operation.end

    def states(subject):
        at_least = acknowledged.before(operation.node, subject, operation.start)
        return list(order.possible(subject, since, until, at_least))

    generation, right = operation.arguments["generation"], operation.arguments["right"]
    return {
        model.judge(key, roles, generation, right)
        for key in states(operation.subject)
        for roles in itertools.product(*(states(role) for role in (key.roles if key else ())))
    }


def faultless(history):
    """A node without a fault answers (R4, VER-8). Where another's begins or ends, writes and reads may wait in vain."""
    found, recovery = [], history.setup.recovery
    for operation in history.operations:
        if operation.result != UNKNOWN:
            continue
        faults = faults_of(history, operation.node)
        if operation.kind != model.VERIFY:
            faults += ends_of_others(history, operation.node)
        if operation.status not in (0, 503):
            text = f"{operation.kind} was answered {operation.status}"
            found.append(Violation("neither an answer nor 503", text, (operation.id,)))
        elif not is_disturbed(operation, faults, recovery):
            answer = operation.status or "nothing"
            text = f"{operation.kind} on node {operation.node} was answered {answer} without a fault"
            found.append(Violation("unavailable", text, (operation.id,)))
    return found


def ends_of_others(history, node):
    """The moments when faults of other nodes begin and end: a write that was under way there holds others up."""
    others = [fault for fault in history.faults if fault.node != node]
    return [replace(fault, start=at, end=at) for fault in others for at in (fault.start, fault.end)]


def unread(history, order):
    """At the end, after all faults, each key was read on each node: what is lost would be seen there."""
    healed = max((fault.end for fault in history.faults), default=0.0)
    read = {
        (operation.subject, operation.node) for operation in history.operations
        if operation.kind == "show" and operation.result == OK and operation.start >= healed
    }
    made = (subject for subject, operation in order.writes if operation.kind == "create")
    missing = (pair for pair in itertools.product(made, range(history.setup.nodes)) if pair not in read)
    return [Violation("not read at the end", f"{subject} on node {node}") for subject, node in missing]


def chain(history):
    """The audit log's chain verifies."""
    return [] if history.setup.chain_ok else [Violation("broken chain", "the audit log does not verify")]
