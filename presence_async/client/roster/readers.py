"""RosterChanges: one reader of a roster, with a bounded buffer of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from ...errors import InvalidArgumentError
from ...protocol.events import GapReason, PresenceEvent, SnapshotEvent
from ..feed.listener import gap
from ..lifecycle import check_loop

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
        self,
        snapshot: Callable[[], SnapshotEvent],
        *,
        loop: asyncio.AbstractEventLoop | None,
        buffer_size: int,
    ) -> None:
        self._loop = loop
        self._snapshot = snapshot
        self._buffer_size = buffer_size
        self._buffer: deque[PresenceEvent] = deque((snapshot(),))
        self._dropped = 0
        # Why events were dropped, until the reader has been told.
        self._reason: GapReason | None = None
        self._is_over = False
        self._arrival: asyncio.Future[None] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PresenceEvent:
        """Return the next event, waiting for it.

        Raises:
            InvalidArgumentError: Somebody else waits for an event of this reader.

            ClientClosedError: It belongs to another event loop.

        Cancellation: loses nothing.
        """
        check_loop(self._loop, "the reader")
        if self._arrival is not None:
            raise InvalidArgumentError(
                "changes", "is being read already; call changes() for each reader"
            )
        while not self._buffer and self._reason is None:
            if self._is_over:
                raise StopAsyncIteration
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        if self._reason is not None:
            return self._renewed(self._reason)
        return self._buffer.popleft()

    async def close(self) -> None:
        """Read no more.

        Raises:
            ClientClosedError: It belongs to another event loop.
        """
        check_loop(self._loop, "the reader")
        self._buffer.clear()
        self._dropped, self._reason = 0, None
        self.end()

    def _renewed(self, reason: GapReason) -> PresenceEvent:
        """Say that events were dropped; where things stand comes next."""
        now = self._snapshot()
        told = gap(reason, now.timetoken, self._dropped)
        self._buffer.append(now)
        self._dropped, self._reason = 0, None
        return told

    # What the roster does.

    def put(self, events: Sequence[PresenceEvent]) -> None:
        """Take events into the buffer."""
        if self._is_over:
            return
        self._buffer.extend(events)
        if self._reason is not None or len(self._buffer) > self._buffer_size:
            self._drop(self._reason or "slow_consumer")
        self._notify()

    def start_over(self) -> None:
        """Begin again with a snapshot, as what was told may not lead to the list."""
        if not self._is_over:
            self._drop("reconnect")
            self._notify()

    def _drop(self, reason: GapReason) -> None:
        self._reason = reason
        self._dropped += len(self._buffer)
        self._buffer.clear()

    def end(self) -> None:
        """Let nothing more come."""
        self._is_over = True
        self._notify()

    def _notify(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
