"""What Keyward should do, one operation after the other: a register for each key and each role."""

from typing import NamedTuple

# Secrets of a key that may be live at the same time.
MAX_LIVE = 3
# What the audit log calls each kind of write.
ACTIONS = {
    "create": "key.create", "rotate": "key.rotate", "replace": "key.new_secret", "finish": "key.rotate_finish",
    "activate": "key.activate", "deactivate": "key.deactivate", "revoke": "key.revoke", "assign": "key.edit",
    "create_role": "role.create", "edit_role": "role.edit",
}
READS = {"show", "show_role"}
VERIFY = "verify"


class Key(NamedTuple):
    """A key: `switch` is on, off or revoked; `live` are the generations of the secrets that it accepts."""

    switch: str
    live: tuple
    newest: int
    roles: tuple
    version: int


class Role(NamedTuple):
    """A role with its rights."""

    rights: tuple
    version: int


class Refused(Exception):
    """A write that must be refused; the text is the code."""


def apply(state, kind, arguments):
    """The state after a write, or `Refused`. `None` is the state of what does not exist."""
    if kind == "create_role":
        return Role(tuple(arguments["rights"]), 1)
    if kind == "create":
        return Key("on", (1,), 1, tuple(arguments["roles"]), 1)
    if state is None:
        raise Refused("not_found")
    if kind == "edit_role":
        return Role(tuple(arguments["rights"]), state.version + 1)
    if state.switch == "revoked":
        raise Refused("already_revoked" if kind == "revoke" else "key_revoked")
    return CHANGES[kind](state, arguments)._replace(version=state.version + 1)


def rotate(key, _):
    """Another secret; the older ones go on."""
    if len(key.live) >= MAX_LIVE:
        raise Refused("too_many_secrets")
    return key._replace(live=(*key.live, key.newest + 1), newest=key.newest + 1)


def replace(key, _):
    """Another secret; the older ones end."""
    return key._replace(live=(key.newest + 1,), newest=key.newest + 1)


def finish(key, _):
    """The older secrets end."""
    if len(key.live) < 2:
        raise Refused("not_rotating")
    return key._replace(live=key.live[-1:])


def switch(key, to):
    """On or off."""
    if key.switch == to:
        raise Refused("no_change")
    return key._replace(switch=to)


CHANGES = {
    "rotate": rotate,
    "replace": replace,
    "finish": finish,
    "activate": lambda key, _: switch(key, "on"),
    "deactivate": lambda key, _: switch(key, "off"),
    "revoke": lambda key, _: key._replace(switch="revoked"),
    "assign": lambda key, arguments: key._replace(roles=tuple(arguments["roles"])),
}


def judge(key, roles, generation, right):
    """What a verification of a secret answers, from the states of the key and of its roles."""
    if key is None or generation > key.newest:
        return "invalid_key"
    if key.switch == "revoked":
        return "revoked"
    if generation not in key.live:
        return "retired_secret"
    if key.switch == "off":
        return "inactive"
    if not any(role and right in role.rights for role in roles):
        return "insufficient_rights"
    return "ok"


def shown(state):
    """A state as answers show it: what JSON keeps of it."""
    if isinstance(state, Role):
        return {"rights": sorted(state.rights), "version": state.version}
    return {
        "switch": state.switch, "live": list(state.live), "roles": sorted(state.roles), "version": state.version,
    }
