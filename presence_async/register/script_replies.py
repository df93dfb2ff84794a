"""What scripts answer, as the values of ``values``, ``record`` and ``hub``. Pure.

Times are whole milliseconds; -1 is no time and no version, an empty text no state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias, cast

from .hub import Hub, Seat
from .record import Entry, Holder, Record, seconds
from .values import (
    CALM,
    NOTHING_OWED,
    UNKNOWN,
    Again,
    Claimed,
    Holding,
    Released,
    Standing,
)

__all__ = [
    "Reply",
    "again",
    "claimed",
    "hub",
    "integer",
    "items",
    "pairs",
    "record",
    "released",
    "standings",
    "text",
    "texts",
]

Reply: TypeAlias = "int | bytes | str | Sequence[Reply]"

_STANDING = 7
_AGAIN = 4


def text(reply: Reply) -> str:
    """Read a text; a client may have decoded it already."""
    return reply.decode() if isinstance(reply, bytes) else cast("str", reply)


def integer(reply: Reply) -> int:
    """Read a whole number."""
    return cast("int", reply)


def items(reply: Reply) -> Sequence[Reply]:
    """Read a list."""
    return cast("Sequence[Reply]", reply)


def pairs(reply: Reply) -> Iterator[Sequence[Reply]]:
    """Read a list of two and two."""
    return _rows(items(reply), 2)


def texts(reply: Reply) -> tuple[str, ...]:
    """Read texts; 0 stands for none."""
    return () if reply == 0 else tuple(map(text, items(reply)))


def claimed(reply: Reply) -> Claimed:
    """Read whose turn it is."""
    if reply == 0:
        return CALM
    if reply == -1:
        return UNKNOWN
    wait, *rows = items(reply)
    names = tuple(_standing(text(row[0]), row) for row in _rows(rows, _STANDING))
    if wait == -1:
        return Claimed(names=names)
    return Claimed(is_due=False, names=names, next_s=seconds(integer(wait)))


def standings(reply: Reply, holding: Holding) -> tuple[Standing, ...]:
    """Read how the names of a holding stand; 0: nothing is known of any."""
    if reply == 0:
        return tuple(Standing(wish.name) for wish in holding.wishes)
    return tuple(
        _standing(holding.wishes[integer(row[0])].name, row)
        for row in _rows(items(reply), _STANDING)
    )


def released(reply: Reply) -> tuple[Released, int, bool]:
    """Read what is owed after a release, when to look again, and who is held still."""
    if reply == 0:
        return NOTHING_OWED, -1, True
    due, is_held, leave, owed = items(reply)
    owes = Released(texts(leave), again(items(owed)))
    return owes, integer(due), bool(is_held)


def again(replies: Sequence[Reply]) -> tuple[Again, ...]:
    """Read names to announce again."""
    return tuple(
        Again(
            text(name),
            integer(timeout),
            integer(version),
            text(state) if version != -1 else None,
        )
        for name, timeout, version, state in _rows(replies, _AGAIN)
    )


def record(holders: Reply, names: Reply) -> Record:
    """Read a record, but for states and what the service was told of them."""
    read = Record()
    for worker_id, till, life, *wishes in map(items, items(holders)):
        wanted = {text(name): integer(timeout) for name, timeout in _rows(wishes, 2)}
        holder = Holder(integer(till), integer(life), wanted)
        read.holders[text(worker_id)] = holder
    for row in map(items, items(names)):
        read.names[text(row[0])] = _entry(row)
    return read


def hub(seats: Reply) -> Hub:
    """Read the seats of a hub."""
    read = Hub("")
    for row in map(items, items(seats)):
        worker_id, till, life, label, is_closing, undertaker = row
        seat = Seat(integer(till), integer(life), text(label))
        seat.is_closing, seat.undertaker = bool(is_closing), text(undertaker)
        read.seats[text(worker_id)] = seat
    return read


def _entry(row: Sequence[Reply]) -> Entry:
    entry = Entry()
    entry.beat, entry.timeout, entry.beater = (
        integer(row[1]),
        integer(row[2]),
        text(row[3]),
    )
    entry.claimed, entry.claimer = integer(row[4]), text(row[5])
    entry.linger = integer(row[6])
    entry.leaving, entry.leaver = integer(row[7]), text(row[8])
    entry.version = integer(row[9])
    return entry


def _standing(name: str, row: Sequence[Reply]) -> Standing:
    _, age, said, others, leaving, version, state = row
    return Standing(
        name,
        age_s=math.inf if age == -1 else seconds(integer(age)),
        said_timeout_s=integer(said),
        others_timeout_s=integer(others),
        leaving_s=seconds(integer(leaving)),
        version=integer(version),
        state=text(state) or None,
    )


def _rows(replies: Sequence[Reply], width: int) -> Iterator[Sequence[Reply]]:
    return (replies[i : i + width] for i in range(0, len(replies), width))
