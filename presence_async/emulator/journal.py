"""The requests that arrived at the emulator, newest last. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, overload

import attrs

__all__ = ["Journal", "JournalEntry", "Status"]

Status = int | Literal["cut"]
"""The HTTP status of an answer; ``"cut"`` if the connection ended without one."""


# Only the status changes: an entry is added when its request arrives.
@attrs.define(kw_only=True, on_setattr=attrs.setters.frozen)
class JournalEntry:
    """One request.

    Attributes:
        at_s: Its arrival, in loop time.
        operation: The operation's name, such as ``"heartbeat"``; ``""`` for an unknown
            path.
        subscribe_key: The key set; ``""`` for an unknown path.
        path: As on the wire, still escaped, without the scheme and host that a target
            of absolute form has; path and query are cut where both are over 32 KiB.
        query: As on the wire, without ``?``.
        params: The query decoded; empty when its escapes are broken.
        user_id: The ``uuid`` parameter.
        method: The HTTP method.
        channels: The channels named.
        channel_groups: The groups named.
        status: The HTTP status of the answer; ``None`` while there is none yet, as with
            a poll that is held; ``"cut"`` if the connection ended without an answer,
            by a fault, by the client or because the emulator closed.
    """

    at_s: float
    operation: str
    subscribe_key: str
    path: str
    query: str
    params: Mapping[str, str]
    user_id: str | None
    method: str = "GET"
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()
    status: Status | None = attrs.field(default=None, on_setattr=attrs.setters.NO_OP)


class Journal(Sequence[JournalEntry]):
    """The newest requests.

    Args:
        size: The number of requests kept; older ones are only counted.
    """

    def __init__(self, size: int) -> None:
        self._entries: deque[JournalEntry] = deque(maxlen=size)
        self._total = 0

    def __repr__(self) -> str:
        return f"<Journal of {self._total} requests, {len(self)} kept>"

    @property
    def total(self) -> int:
        """The number of requests that arrived in all."""
        return self._total

    def add(self, entry: JournalEntry) -> None:
        """Record a request."""
        self._entries.append(entry)
        self._total += 1

    def clear(self) -> None:
        """Forget everything, the total too."""
        self._entries.clear()
        self._total = 0

    def copy(self) -> Journal:
        """Return a journal of the same requests, to which no others are added."""
        copy = Journal(self._entries.maxlen or 0)
        copy._entries.extend(self._entries)
        copy._total = self._total
        return copy

    def of(self, operation: str) -> list[JournalEntry]:
        """Return the requests of one operation."""
        return [entry for entry in self._entries if entry.operation == operation]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[JournalEntry]:
        return iter(list(self._entries))

    @overload
    def __getitem__(self, index: int) -> JournalEntry: ...

    @overload
    def __getitem__(self, index: slice) -> list[JournalEntry]: ...

    def __getitem__(self, index: int | slice) -> JournalEntry | list[JournalEntry]:
        if isinstance(index, int):
            return self._entries[index]
        start, stop, step = index.indices(len(self._entries))
        if step < 1:
            return list(self._entries)[index]
        return list(islice(self._entries, start, stop, step))
