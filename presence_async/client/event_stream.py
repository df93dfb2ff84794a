"""EventStream: presence events in a bounded buffer, read with ``async for``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from ..errors import ClientClosedError, ConcurrencyError, RequestError
from ..protocol.events import GapEvent, PresenceEvent
from .feed.feed import PresenceFeed
from .feed.listener import StreamHealth, gap
from .feed.subscriber import Params
from .pipeline import Budget

__all__ = ["EventStream"]


class EventStream:
    """The presence events of some channels and groups; made by ``client.events``.

    ``async with client.events("lobby") as stream``, then ``async for event in
    stream``. Entering returns once the service has acknowledged the handshake, so no
    later event is missed. From then on no failure ends the stream: it reconnects and
    goes on where it was, each event once. What is lost nevertheless is said by a
    ``GapEvent`` in its place.

    A slow reader never holds the poll back: when the buffer is full, its oldest
    events are dropped and one ``GapEvent`` with ``reason="slow_consumer"`` tells how
    many. Events of one channel come in the order in which the service sent them.

    One reader at a time, and one use: make another stream for each reader, they share
    one poll. Iteration ends once the stream or its client is closed and the buffer is
    read.
    """

    def __init__(
        self,
        feed: PresenceFeed,
        begin: Callable[[], Budget],
        *,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        buffer_size: int,
        params: Params,
    ) -> None:
        self._feed = feed
        self._begin = begin
        self._channels = channels
        self._channel_groups = channel_groups
        self._params = params
        self._buffer: deque[PresenceEvent] = deque()
        self._buffer_size = buffer_size
        self._dropped = 0
        self._dropped_until = 0
        self._health = StreamHealth.CLOSED
        self._error: RequestError | None = None
        self._is_used = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrival: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return (
            f"<EventStream of {list(self._channels)!r}"
            f" groups {list(self._channel_groups)!r}: {self._health}>"
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels and wildcards it listens to."""
        return self._channels

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """The groups it listens to."""
        return self._channel_groups

    @property
    def health(self) -> StreamHealth:
        """How it stands; ``CLOSED`` before it is entered and after its end."""
        return self._health

    @property
    def error(self) -> RequestError | None:
        """What it ran into when its health last changed, or ``None``."""
        return self._error

    # Its life.

    async def __aenter__(self) -> Self:
        """Open it; returns once the service has acknowledged the handshake.

        Raises:
            RequestError: As a query would.
            ClientClosedError: The client is not open.
            ConcurrencyError: The stream was used before.

        Cancellation: opens nothing.
        """
        budget = self._begin()
        if self._is_used:
            raise ConcurrencyError("stream", "has one use; call events() again")
        self._is_used = True
        self._loop = asyncio.get_running_loop()
        await self._feed.attach(self, budget=budget, params=self._params)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it at once; what is in the buffer can still be read.

        Cancellation: waits for nothing, so there is nothing to cancel.
        """
        self._feed.detach(self)
        self.turn(StreamHealth.CLOSED, None)

    # Reading.

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PresenceEvent:
        """Return the next event, waiting for it.

        Raises:
            ClientClosedError: It was not entered, or belongs to another event loop.
            ConcurrencyError: Somebody else waits for an event of this stream.

        Cancellation: loses nothing.
        """
        if self._arrival is not None:
            raise ConcurrencyError(
                "stream", "has a reader already; call events() once for each reader"
            )
        while True:
            if self._dropped:
                return self._dropped_gap()
            if self._buffer:
                return self._buffer.popleft()
            if self._health is StreamHealth.CLOSED:
                break
            await self._wait()
        if self._loop is None:
            raise ClientClosedError("the stream is not open; use 'async with'")
        raise StopAsyncIteration

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise ClientClosedError("the stream belongs to another event loop")
        self._arrival = loop.create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    def _dropped_gap(self) -> GapEvent:
        event = gap("slow_consumer", self._dropped_until, self._dropped)
        self._dropped = 0
        return event

    # What the feed tells.

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Take events into the buffer; the feed calls it."""
        self._buffer.extend(events)
        while len(self._buffer) > self._buffer_size:
            oldest = self._buffer.popleft()
            self._dropped += 1
            self._dropped_until = oldest.timetoken
        self._notify()

    def turn(self, health: StreamHealth, error: RequestError | None) -> None:
        """Change the health; the feed calls it."""
        self._health = health
        self._error = error
        if health is StreamHealth.CLOSED:
            self._notify()

    def _notify(self) -> None:
        arrival = self._arrival
        if arrival is not None and not arrival.done():
            arrival.set_result(None)
