"""Times, durations and names as people write them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

from .facts import Failed

__all__ = [
    "answer",
    "clock",
    "count",
    "date",
    "lasting",
    "many",
    "moment",
    "names",
    "one",
    "printable",
    "zone",
]

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_SHORT_S, _LONG_S = 600, 7200
_MOST_NAMES = 4


def printable(text: str) -> str:
    """Return text in which whatever could steer a terminal is escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def clock(at: float) -> str:
    """Return a local time of day."""
    return _local(at).strftime("%H:%M:%S")


def moment(at: float, now: float) -> str:
    """Return a local time, with its date unless that is today's."""
    day = _local(at)
    if day.date() == _local(now).date():
        return clock(at)
    return f"{clock(at)} on {day.day} {day:%B}"


def date(at: float) -> str:
    """Return a local date."""
    local = _local(at)
    return f"{local.day} {local:%B %Y}"


def zone(at: float) -> str:
    """Return the zone that local times are in then."""
    local = _local(at)
    offset = f"{local:%z}"
    hours, minutes = offset[:3], offset[3:5]
    plain = f"UTC{hours}:{minutes}" if int(offset) else "UTC"
    name = printable(local.tzname() or "")
    return f"{name} ({plain})" if name.isalpha() and name != plain else plain


def _local(at: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at, dt.UTC).astimezone()


def lasting(seconds: float) -> str:
    """Return a duration: ``151 s``, ``12 min``, ``3 h 20 min``, ``2 days``."""
    whole = round(seconds)
    if whole < _SHORT_S:
        return f"{whole} s"
    if whole < _LONG_S:
        return f"{round(whole / _MINUTE_S)} min"
    hours, minutes = divmod(round(whole / _MINUTE_S), _MINUTE_S)
    if whole < 2 * _DAY_S:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(whole / _DAY_S)} days"


def names(some: Iterable[str]) -> str:
    """Return names in a row, groups named as such."""
    texts = [
        printable(f"the group {n[1:]}" if n.startswith(",") else n)
        for n in dict.fromkeys(some)
    ]
    if len(texts) > _MOST_NAMES:
        texts = [*texts[: _MOST_NAMES - 1], f"{len(texts) - _MOST_NAMES + 1} more"]
    return _row(texts) or "every channel"


def _row(texts: Sequence[str]) -> str:
    if len(texts) <= 1:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


def count(number: int, thing: str) -> str:
    """Return a number of things: ``1 heartbeat``, ``9 heartbeats``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def one(thing: str) -> str:
    """Return a thing at the beginning of a sentence: ``A heartbeat``."""
    thing = printable(thing)
    if thing.startswith("last"):
        return f"The {thing}"
    return f"An {thing}" if thing[:1] in set("aeiou") else f"A {thing}"


def many(number: int, thing: str) -> str:
    """Return several of a thing: ``9 heartbeats for lobby``."""
    thing = printable(thing)
    if thing.startswith("last heartbeat"):
        return f"{number:,} {thing.replace('heartbeat', 'heartbeats', 1)}"
    first, _, rest = thing.partition(" ")
    return f"{number:,} {first}s {rest}".rstrip()


def answer(failed: Failed) -> str:
    """Return what a request failed with, as the end of a sentence."""
    text = printable(failed.why)
    return f"the service answered {text}" if failed.status else text
