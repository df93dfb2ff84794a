"""RosterChanges: one reader of a roster, with a bounded buffer of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from ...errors import ConcurrencyError
from ...protocol.events import PresenceEvent, SnapshotEvent
from ..feed.listener import gap

__all__ = ["RosterChanges"]


class RosterChanges:
    """An iterator over what happens on a channel; made by ``roster.changes()``.

    The first item is a ``SnapshotEvent``; what follows leads from there to who is here
    now, one ``JoinEvent``, ``LeaveEvent``, ``TimeoutEvent`` or ``StateChangeEvent``
    at a time. When the buffer is full it is emptied: a ``GapEvent`` tells how many
    events were dropped, and a fresh ``SnapshotEvent`` says where things stand.

    Iteration ends once the roster is closed and the buffer is read.
    """

    def __init__(
        self, snapshot: Callable[[], SnapshotEvent], *, buffer_size: int
    ) -> None:
        self._snapshot = snapshot
        self._buffer_size = buffer_size
        self._buffer: deque[PresenceEvent] = deque((snapshot(),))
        self._dropped = 0
        self._is_over = False
        self._arrival: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PresenceEvent:
        """Return the next event, waiting for it.

        Raises:
            ConcurrencyError: Somebody else waits for an event of this reader.

        Cancellation: loses nothing.
        """
        if self._arrival is not None:
            raise ConcurrencyError(
                "changes", "is being read already; call changes() for each reader"
            )
        while not self._buffer and not self._dropped:
            if self._is_over:
                raise StopAsyncIteration
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        return self._renewed() if self._dropped else self._buffer.popleft()

    async def close(self) -> None:
        """Read no more."""
        self._buffer.clear()
        self._dropped = 0
        self.end()

    def _renewed(self) -> PresenceEvent:
        """Say that events were dropped; where things stand comes next."""
        now = self._snapshot()
        told = gap("slow_consumer", now.timetoken, self._dropped)
        self._buffer.append(now)
        self._dropped = 0
        return told

    # What the roster does.

    def put(self, events: Sequence[PresenceEvent]) -> None:
        """Take events into the buffer."""
        if self._is_over:
            return
        if self._dropped or len(self._buffer) + len(events) > self._buffer_size:
            self._dropped += len(self._buffer) + len(events)
            self._buffer.clear()
        else:
            self._buffer.extend(events)
        self._notify()

    def end(self) -> None:
        """Let nothing more come."""
        self._is_over = True
        self._notify()

    def _notify(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
