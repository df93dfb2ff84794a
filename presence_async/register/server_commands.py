"""The keys of a register on a server, and the commands it sends. Pure.

Keys cannot collide, whatever a namespace, a subscribe key or a user ID consists of: in
the first two, what separates them is escaped, and the last ends the key. What stands in
braces is what a cluster places a key by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from .holding_scripts import HOLDING_SCRIPTS
from .hub_scripts import HUB_SCRIPTS
from .leaving_scripts import LEAVING_SCRIPTS
from .record import ms
from .values import Attendance, Release, Wish, Worker

__all__ = [
    "SCRIPTS",
    "Argument",
    "Command",
    "Keys",
    "attend",
    "call",
    "keep",
    "look_in",
    "note_gone",
    "note_held",
    "number",
    "opening",
    "spans",
    "wanted",
]

Argument: TypeAlias = "bytes | str | int"
Command: TypeAlias = Sequence[Argument]

SCRIPTS = {**HOLDING_SCRIPTS, **LEAVING_SCRIPTS, **HUB_SCRIPTS}

_DAY_S = 86_400
_FOR_EVER = -1
_ESCAPES = str.maketrans({x: f"%{ord(x):02X}" for x in "%:{}"})


class Keys(NamedTuple):
    """The keys of one subscribe key.

    Attributes:
        record: How the key of each user begins.
        hub: The workers.
        due: The calendar of departures.
        workers: How the key of each worker begins, under which its users stand.
    """

    record: bytes
    hub: bytes
    due: bytes
    workers: bytes

    @classmethod
    def of(cls, namespace: str, subscribe_key: str) -> Keys:
        """Return the keys under a namespace."""
        space = namespace.translate(_ESCAPES).encode()
        key = subscribe_key.translate(_ESCAPES).encode()
        return cls(
            b"%b:{%b:" % (space, key),
            b"%b:hub:{%b}" % (space, key),
            b"%b:due:{%b}" % (space, key),
            b"%b:held:{%b}:" % (space, key),
        )

    def user(self, user_id: str) -> bytes:
        """Return the key of a user's record."""
        return b"%b%b}" % (self.record, user_id.encode())

    def held(self, worker_id: str) -> bytes:
        """Return the key of the users whom a worker holds."""
        return self.workers + worker_id.encode()


def number(value: int) -> bytes:
    """Write a number once for many commands."""
    return b"%d" % value


def opening(name: str) -> tuple[str, bytes, bytes]:
    """Return how the call of a script begins; its key and arguments follow."""
    return "EVALSHA", SCRIPTS[name].sha, b"1"


def look_in(namespace: str) -> Command:
    """See if the server answers, in a cluster one of them."""
    return "EXISTS", Keys.of(namespace, "").hub


def call(name: str, key: bytes, *arguments: Argument) -> Command:
    """Call a script."""
    return (*opening(name), key, *arguments)


def attend(
    keys: Keys, now: bytes, worker: Worker, attendance: Attendance, epoch: str
) -> Command:
    """Give a sign of life; the epoch is for a register that has lost its memory."""
    return call(
        "attend",
        *(keys.hub, now, worker.worker_id, worker.life, worker.label),
        *(attendance.had_epoch, int(attendance.is_closing), epoch),
    )


def note_held(held: bytes, user_ids: Sequence[str]) -> list[Command]:
    """Note whom a worker holds."""
    if not user_ids:
        return []
    return [("SADD", held, *user_ids), ("EXPIRE", held, _DAY_S)]


def note_gone(held: bytes, user_ids: Sequence[str]) -> list[Command]:
    """Note whom a worker holds no longer."""
    return [("SREM", held, *user_ids)] if user_ids else []


def keep(keys: Keys, worker_id: str) -> list[Command]:
    """Keep for another day what does not expire by itself."""
    return [("EXPIRE", keys.held(worker_id), _DAY_S), ("EXPIRE", keys.due, _DAY_S)]


def wanted(wishes: Sequence[Wish]) -> list[Argument]:
    """Write what a worker wants of names."""
    parts: list[Argument] = []
    for name, timeout_s, state, state_age_s, is_told in wishes:
        about = "" if state is None else f"={state}"
        parts += name, timeout_s, about, ms(state_age_s), int(is_told)
    return parts


def spans(release: Release) -> tuple[int, int]:
    """Write how long a release may wait: the linger, and in doubt."""
    is_for_ever = release.linger_s == math.inf
    linger = _FOR_EVER if is_for_ever else ms(min(release.linger_s, 1e9))
    return linger, ms(release.doubt_s)
