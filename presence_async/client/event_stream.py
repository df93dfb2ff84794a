"""EventStream: presence events in a bounded buffer, read with ``async for``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from ..errors import ClientClosedError, ConcurrencyError, RequestError
from ..protocol.events import PresenceEvent
from .call import Params
from .event_buffer import EventBuffer
from .feed.feed import PresenceFeed
from .feed.listener import StreamHealth
from .lifecycle import check_loop
from .pipeline import Budget

__all__ = ["EventStream"]


class EventStream:
    """The presence events of some channels and groups; made by ``client.events``.

    ``async with client.events("lobby") as stream``, then ``async for event in
    stream``. Entering returns once the service has acknowledged the handshake, so no
    later event is missed. From then on no failure ends the stream: it reconnects and
    goes on where it was, with each event once. A ``GapEvent`` stands in the place of
    events that are lost nevertheless.

    A slow reader never delays the poll: when the buffer is full, its oldest events are
    dropped, and one ``GapEvent`` with ``reason="slow_consumer"`` counts them. Events
    of one channel come in the order in which the service sent them.

    A stream is entered once and has one reader at a time; open another stream for each
    reader, since all of them share one poll. Iteration ends when the stream or its
    client is closed and the buffer is empty.
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
        self._params = params
        self._buffer = EventBuffer("stream", buffer_size)
        self._listener = _StreamListener(channels, channel_groups, self._buffer)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return (
            f"<EventStream of {list(self.channels)!r}"
            f" groups {list(self.channel_groups)!r}: {self.health}>"
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels and wildcards it watches."""
        return self._listener.channels

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """The groups whose members it watches."""
        return self._listener.channel_groups

    @property
    def health(self) -> StreamHealth:
        """Whether events arrive; ``CLOSED`` before it is entered and after its end."""
        return self._listener.health

    @property
    def error(self) -> RequestError | None:
        """The failure behind the last change of ``health``, or ``None``."""
        return self._listener.error

    # Opening and closing.

    async def __aenter__(self) -> Self:
        """Open the stream; returns once the service has acknowledged the handshake.

        Raises:
            RequestError: As a query would.
            ClientClosedError: The client is not open.
            ConcurrencyError: The stream was entered before.

        Cancellation: opens nothing.
        """
        budget = self._begin()
        if self._loop is not None:
            raise ConcurrencyError("stream", "has one use; call events() again")
        self._loop = asyncio.get_running_loop()
        try:
            await self._feed.attach(self._listener, budget=budget, params=self._params)
        except BaseException:
            # Nothing will ever arrive, so nobody may wait for it.
            self._buffer.end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the stream at once; events in the buffer can still be read.

        Raises:
            ClientClosedError: It belongs to another event loop, where it goes on.

        Cancellation: waits for nothing, so there is nothing to cancel.
        """
        check_loop(self._loop, "the stream")
        self._feed.detach(self._listener)
        self._listener.set_health(StreamHealth.CLOSED, None)

    # Reading.

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PresenceEvent:
        """Return the next event, waiting for it.

        Raises:
            ClientClosedError: It was not entered, or belongs to another event loop.
            ConcurrencyError: Another task is waiting for the next event.

        Cancellation: loses nothing.
        """
        check_loop(self._loop, "the stream")
        if self._loop is None:
            raise ClientClosedError("the stream is not open; use 'async with'")
        return await self._buffer.get()


class _StreamListener:
    """Where the feed delivers the events and the health of one stream."""

    def __init__(
        self,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        buffer: EventBuffer,
    ) -> None:
        self.channels = channels
        self.channel_groups = channel_groups
        self.health: StreamHealth = StreamHealth.CLOSED
        self.error: RequestError | None = None
        self._buffer = buffer

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Take events into the buffer."""
        self._buffer.put(events)

    def set_health(self, health: StreamHealth, error: RequestError | None) -> None:
        """Change the health; the end of the stream ends its buffer."""
        self.health, self.error = health, error
        if health is StreamHealth.CLOSED:
            self._buffer.end()
