"""EventBuffer: the events that wait for one reader, as many as fit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from ..errors import ConcurrencyError
from ..protocol.events import GapEvent, GapReason, PresenceEvent, SnapshotEvent
from .feed.listener import gap

__all__ = ["EventBuffer"]


class EventBuffer:
    """A bounded queue with one reader, who gets a ``GapEvent`` for every loss.

    Putting never waits. When the buffer is full, the oldest events are dropped and a
    gap in their place counts them. A reader who follows *changes* could do nothing with
    those after a gap: with a ``snapshot``, all events are dropped, and a fresh snapshot
    follows the gap.

    Args:
        name: What is being read, as an error calls it.
        size: Events it holds.
        snapshot: Returns the state that the events change; ``None`` if each event
            means something by itself.
    """

    def __init__(
        self,
        name: str,
        size: int,
        snapshot: Callable[[], SnapshotEvent] | None = None,
    ) -> None:
        self._name = name
        self._size = size
        self._snapshot = snapshot
        self._events: deque[PresenceEvent] = deque()
        # Why and how many events were dropped since the reader last got a gap.
        self._gap_reason: GapReason | None = None
        self._dropped = 0
        self._dropped_until = 0
        self._is_ended = False
        self._arrival: asyncio.Future[None] | None = None

    # Writing.

    def put(self, events: Sequence[PresenceEvent]) -> None:
        """Add events, dropping others where there is no room."""
        if self._is_ended:
            return
        self._events.extend(events)
        is_full = len(self._events) > self._size
        if self._snapshot is None:
            while len(self._events) > self._size:
                self._drop_oldest("slow_consumer")
        elif is_full or self._gap_reason is not None:
            # The snapshot that follows the gap shows what these events change.
            self._drop_all(self._gap_reason or "slow_consumer")
        self._wake_reader()

    def start_over(self) -> None:
        """Drop all events, as they may not lead to the state that a snapshot shows."""
        if not self._is_ended:
            self._drop_all("reconnect")
            self._wake_reader()

    def end(self) -> None:
        """Take no more events; those that are waiting can still be read."""
        self._is_ended = True
        self._wake_reader()

    def clear(self) -> None:
        """Forget all events, and those that were dropped."""
        self._events.clear()
        self._gap_reason, self._dropped = None, 0

    def _drop_all(self, reason: GapReason) -> None:
        self._gap_reason = reason
        while self._events:
            self._drop_oldest(reason)

    def _drop_oldest(self, reason: GapReason) -> None:
        self._gap_reason = reason
        self._dropped += 1
        self._dropped_until = self._events.popleft().timetoken

    # Reading.

    async def get(self) -> PresenceEvent:
        """Return the next event, waiting for it.

        Raises:
            StopAsyncIteration: The buffer is empty and has ended.
            ConcurrencyError: Another task is waiting for the next event.

        Cancellation: loses nothing, since an event is taken out only when there is
        nothing left to wait for.
        """
        if self._arrival is not None:
            raise ConcurrencyError(
                self._name, "has a reader already; open another for each reader"
            )
        while self._gap_reason is None and not self._events:
            if self._is_ended:
                raise StopAsyncIteration
            await self._wait()
        if self._gap_reason is not None:
            return self._take_gap(self._gap_reason)
        return self._events.popleft()

    async def _wait(self) -> None:
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _take_gap(self, reason: GapReason) -> GapEvent:
        timetoken = self._dropped_until
        if self._snapshot is not None:
            snapshot = self._snapshot()
            timetoken = snapshot.timetoken
            self._events.append(snapshot)
        event = gap(reason, timetoken, self._dropped)
        self._gap_reason, self._dropped = None, 0
        return event

    def _wake_reader(self) -> None:
        # Also while the reader has been woken but has not run yet.
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
