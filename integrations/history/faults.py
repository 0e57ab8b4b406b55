"""Faults of nodes: killed, stopped, cut off from the database."""

import random
import time

from .record import Fault

# Seconds without a fault, and how long each kind lasts: shorter and longer than what a node may bridge.
QUIET = (0.3, 2.0)
LASTS = {"kill": (0.1, 1.0), "pause": (0.5, 5.0), "cut": (1.0, 6.0), "hang": (1.0, 6.0), "reset": (0.0, 0.0)}


def disturb(world, nodes, seed, until):
    """One fault after the other, each of one of the nodes, until the moment; the last is undone by then."""
    dice = random.Random(seed)
    while world.now() < until:
        time.sleep(min(dice.uniform(*QUIET), max(0, until - world.now())))
        harm(world, dice.choice(nodes), dice, until)


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
