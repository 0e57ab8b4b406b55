"""Faults of nodes: killed, stopped, cut off from the database. Each node has its own, in a thread of its own."""

import random
import time

from .record import Fault

# Seconds without a fault, and how long each kind lasts: shorter and longer than what a node may bridge.
QUIET = (0.3, 2.0)
LASTS = {"kill": (0.1, 1.0), "pause": (0.5, 5.0), "cut": (1.0, 6.0), "hang": (1.0, 6.0), "reset": (0.0, 0.0)}


def disturb(world, node, seed, phases):
    """One fault after the other, phase by phase: pairs of a semaphore, which says how many nodes may have one
    at the same time, and the end. The last is undone before this returns."""
    dice = random.Random(f"{seed} node {node.number}")
    for gate, until in phases:
        while world.now() < until:
            time.sleep(min(dice.uniform(*QUIET), max(0, until - world.now())))
            with gate:
                harm(world, node, dice, until)


def harm(world, node, dice, until):
    """One fault, and its end."""
    what = dice.choice(sorted(LASTS))
    begin, end = ACTIONS[what]
    # In the midst of a write most can go wrong.
    while not world.writing[node.number] and world.now() < until:
        time.sleep(0.001)
    lasts = min(dice.uniform(*LASTS[what]), until - world.now())
    if lasts < 0:
        return
    fault = Fault(node.number, what, world.now(), float("inf"))
    world.history.faults.append(fault)
    begin(node)
    time.sleep(lasts)
    end(node)
    fault.end = world.now()


# How each begins and ends.
ACTIONS = {
    "kill": (lambda node: node.kill(), lambda node: node.start()),
    "pause": (lambda node: node.program.freeze(), lambda node: node.program.thaw()),
    "cut": (lambda node: node.proxy.cut(), lambda node: node.proxy.heal()),
    "hang": (lambda node: node.proxy.hang(), lambda node: node.proxy.heal()),
    "reset": (lambda node: node.proxy.reset(), lambda node: None),
}
