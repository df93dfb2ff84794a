"""What the console shows: the state of the service in one value of JSON. Pure.

Every list is bounded, in items and in characters, and its total stands beside it. Times
are on the clock of ``now_s``; ``null`` stands for never. Tokens and signatures are
hidden.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from ..protocol.exchange import HttpRequest
from ..protocol.identity import loggable
from .active_faults import ActiveFault
from .event_faults import EventFault
from .faults import Fault
from .journal import Journal, JournalEntry
from .keyset import Keyset
from .occupancy import OccupancyChange
from .router import OPERATION_NAMES
from .service import Service

__all__ = ["overview", "shown_key"]

Row = list[object]
ItemT = TypeVar("ItemT")

_KEYS = 100
_CHANNELS = 1000
_OCCUPANTS = 1000
_EVENTS = 500
_REQUESTS = 100
_REQUESTS_SEARCHED = 2000
_LIST_CHARS = 200_000
_TEXT_CHARS = 300


def shown_key(service: Service, own_key: str) -> str:
    """Return the emulator's own key, or one in use while nobody uses that one."""
    used = [key for key in service.subscribe_keys() if service.keyset(key).events_total]
    return own_key if own_key in used or not used else used[0]


def overview(
    service: Service, *, key: str, channel: str, since: str, now_s: float
) -> dict[str, object]:
    """Return everything that the console shows.

    Args:
        service: The service.
        key: The subscribe key.
        channel: The channel whose occupants are listed.
        since: The ``cursor`` of the answer before, to get only the events after it;
            ``""``, or one of before a reset: the newest that are kept.
        now_s: The time.
    """
    keyset = service.keyset(key)
    service.expire(now_s)
    occupancy = keyset.occupancy
    channels = occupancy.channels()
    new = _new_events(keyset, since)
    return {
        "subscribe_key": key,
        "subscribe_keys": service.subscribe_keys()[:_KEYS],
        "operations": sorted(OPERATION_NAMES),
        "now_s": now_s,
        "unix_s": service.unix_s(),
        "jumped_s": service.jumped_s,
        "channels": _rows(
            sorted(channels), _CHANNELS, lambda name: [name, occupancy.occupancy(name)]
        ),
        "channels_total": len(channels),
        "users_total": occupancy.users_total(),
        "channel": channel,
        "occupants": _rows(
            occupancy.occupants(channel).items(),
            _OCCUPANTS,
            lambda one: [
                one[0],
                _short(json.dumps(one[1], ensure_ascii=False)) if one[1] else "",
                occupancy.deadline_s(channel, one[0]),
                occupancy.timeout_s(channel, one[0]),
            ],
        ),
        "occupants_total": occupancy.occupancy(channel),
        "cursor": f"{keyset.generation}.{keyset.events_total}",
        "generation": keyset.generation,
        # The newest first, so that a bound leaves out the oldest.
        "events": _rows(reversed(new), _EVENTS, _event_row),
        "events_new": len(new),
        "requests": _rows(_requests(service.journal, key), _REQUESTS, _request_row),
        "requests_total": service.journal.total,
        "faults": [_fault(active) for active in service.faults.active(now_s=now_s)],
        "event_faults": [
            _event_fault(active) for active in service.event_faults.active(now_s=now_s)
        ],
    }


def _new_events(keyset: Keyset, since: str) -> list[OccupancyChange]:
    generation, _, number = since.partition(".")
    missing = keyset.events_total
    if generation == keyset.generation and number.isascii() and number.isdecimal():
        missing = max(0, missing - int(number))
    kept = keyset.events
    return list(islice(kept, max(0, len(kept) - missing), None))


def _requests(journal: Journal, key: str) -> Iterator[tuple[int, JournalEntry]]:
    """Return the newest requests of a key or of none, numbered, newest first."""
    newest = journal[-_REQUESTS_SEARCHED:]
    for age, entry in enumerate(reversed(newest), 1):
        if entry.subscribe_key in {key, ""}:
            yield journal.total - age, entry


def _rows(items: Iterable[ItemT], most: int, row: Callable[[ItemT], Row]) -> list[Row]:
    """Return a row for each item, as long as they are neither too many nor too long."""
    rows, left = [], _LIST_CHARS
    for item in islice(items, most):
        one = row(item)
        left -= sum(len(cell) for cell in one if isinstance(cell, str))
        if left < 0:
            break
        rows.append(one)
    return rows


def _event_row(event: OccupancyChange) -> Row:
    return [event.at_s, event.action, event.channel, event.user_id, event.occupancy]


def _request_row(numbered: tuple[int, JournalEntry]) -> Row:
    number, entry = numbered
    target = loggable(HttpRequest(path=entry.path, query=entry.query))
    names = ", ".join([
        *entry.channels,
        *[f"{n} (group)" for n in entry.channel_groups],
    ])
    return [
        number,
        entry.at_s,
        _short(entry.method),
        entry.operation,
        _short(entry.user_id or ""),
        _short(names),
        entry.status,
        _short(target),
    ]


def _fault(active: ActiveFault[Fault]) -> dict[str, object]:
    return {
        "id": active.number,
        "subscribe_key": active.subscribe_key,
        "fault": active.fault.to_dict(),
        "until_s": _or_never(active.until_s),
        "left": _or_never(active.left),
        "hits": active.hits,
    }


def _event_fault(active: ActiveFault[EventFault]) -> dict[str, object]:
    return {
        "id": active.number,
        "subscribe_key": active.subscribe_key,
        "fault": active.fault.to_dict(),
        "until_s": _or_never(active.until_s),
    }


def _or_never(value: float) -> float | None:
    return None if value == math.inf else value


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]}…"
