"""Roster: who is on a channel, kept live and healed when events are lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from ..checks import checked_buffer_size, checked_timeout_s
from ..errors import (
    ClientClosedError,
    ConcurrencyError,
    DeadlineError,
    RequestError,
)
from ..protocol.events import PresenceEvent, SnapshotEvent
from ..protocol.occupancy import Occupant
from ..protocol.timetoken import TIMETOKENS_PER_S
from ..roster.schedule import RECONCILE_PERIOD_S
from .call import Params
from .event_buffer import EventBuffer
from .feed.feed import PresenceFeed
from .feed.listener import StreamHealth
from .lifecycle import check_loop
from .pipeline import Budget
from .roster_sync import RosterSync
from .snapshot_requests import SnapshotRequests

__all__ = ["RECONCILE_PERIOD_S", "Roster", "RosterChanges"]


class Roster:
    """Who is on one channel, kept live; made by ``client.roster``.

    ``async with client.roster("lobby") as roster`` subscribes first and asks here now
    second; entering returns once both are answered. From then on events keep the list,
    whether or not anybody reads it. Here now corrects it, soon after anything that
    casts doubt on it: an occupancy that does not fit for longer than a few seconds, a
    gap, a long outage, an interval event without names. A correction is an
    event with ``synthesized=True``. The list is correct again ``RECONCILE_PERIOD_S``
    (15 s) after the end of any detectable fault, or 20 s where here now takes several
    pages.

    Undetectable losses, of events that no other event follows, are found by periodic
    here-now requests: every ten seconds in the first two minutes and for two minutes
    after any sign of trouble, such as a failed poll, or an event that is out of order
    or does not follow from the last; then less and less often, every five minutes once
    all has gone well for an hour. So a calm roster costs about 60 here-now requests in
    its first hour and 13 in each later one. It costs one every 7 to 10 s in constant
    trouble, where interval events list who joins, and where events come so quickly that
    answers often run ahead of them. Each page of 1,000 occupants is a request. Once
    open, all rosters of a client together begin at most 25 snapshots a second.

    ``async for event in roster`` is one reader of ``changes()``. There may be any
    number of readers, and none ever sees two joins or two leaves of a user in a row.
    """

    def __init__(
        self,
        feed: PresenceFeed,
        snapshots: SnapshotRequests,
        begin: Callable[[], Budget],
        *,
        channel: str,
        params: Params,
    ) -> None:
        self._sync = RosterSync(feed, snapshots, channel=channel, params=params)
        self._begin = begin
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        sync = "in sync" if self.is_synced else "not in sync"
        return f"<Roster of {self.channel!r}: {self.occupancy} here, {sync}>"

    @property
    def channel(self) -> str:
        """The channel it follows."""
        return self._sync.state.channel

    @property
    def occupants(self) -> tuple[Occupant, ...]:
        """Who is here, with states; ``state`` is ``None`` until it is known."""
        return self._sync.occupants

    @property
    def user_ids(self) -> frozenset[str]:
        """The IDs of everybody who is here."""
        return self._sync.user_ids

    @property
    def occupancy(self) -> int:
        """How many are here."""
        return len(self._sync.state.members)

    @property
    def is_synced(self) -> bool:
        """True if the list is known to be correct, as of ``as_of``.

        That is, a here now that was asked for 5 s after the last known loss has
        confirmed it, the occupancy of the newest event fits, and the stream is
        ``LIVE``. First true 5 s after entering, since the first answer may come from a
        cache.
        """
        return self._sync.is_synced

    @property
    def as_of(self) -> datetime:
        """When the service was last heard, in UTC, by this machine's clock.

        Raises:
            ClientClosedError: The roster was never entered.
        """
        if not self._sync.heard_at_s:
            raise ClientClosedError("the roster is not open; use 'async with'")
        return datetime.fromtimestamp(self._sync.heard_at_s, UTC)

    @property
    def health(self) -> StreamHealth:
        """Whether events arrive; ``CLOSED`` before it is entered and after its end."""
        return self._sync.health

    @property
    def error(self) -> RequestError | None:
        """The failure behind the last change of ``health``, or ``None``."""
        return self._sync.error

    # Opening and closing.

    async def __aenter__(self) -> Self:
        """Open the roster; returns once handshake and first here now are answered.

        Raises:
            RequestError: As a query would.
            ClientClosedError: The client is not open.
            ConcurrencyError: The roster was entered before.

        Cancellation: opens nothing.
        """
        budget = self._begin()
        if self._loop is not None:
            raise ConcurrencyError("roster", "has one use; call roster() again")
        self._loop = asyncio.get_running_loop()
        await self._sync.open(budget)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the roster at once; its list and its events can still be read.

        Raises:
            ClientClosedError: It belongs to another event loop, where it goes on.

        Cancellation: it is closed nevertheless.
        """
        check_loop(self._loop, "the roster")
        self._sync.end()
        await self._sync.finish()

    # Following it.

    async def wait_for(
        self, predicate: Callable[[Roster], object], timeout_s: float | None = None
    ) -> None:
        """Wait until something is true of the roster; at once if it already is.

        ``await roster.wait_for(lambda r: "bob" in r.user_ids)``. A moment between two
        batches of events may go unseen; ``changes()`` shows everything.

        Args:
            predicate: Called with the roster after each change; an exception in it
                ends the waiting.
            timeout_s: Seconds; ``None`` or ``math.inf``: no limit.

        Raises:
            DeadlineError: A ``TimeoutError``: it did not come true in time.
            ClientClosedError: The roster is closed, so it never will, or belongs to
                another event loop.

        Cancellation: ends the waiting.
        """
        check_loop(self._loop, "the roster")
        limit_s = math.inf if timeout_s is None else checked_timeout_s(timeout_s)
        scope = asyncio.timeout(None if limit_s == math.inf else limit_s)
        try:
            async with scope:
                while not predicate(self):
                    if self.health is StreamHealth.CLOSED:
                        raise ClientClosedError(
                            "the roster is closed, or was never entered"
                        )
                    await self._sync.wait_for_change()
        except TimeoutError:
            # Another one comes from the predicate, and is its caller's business.
            if not scope.expired():
                raise
            raise DeadlineError(
                f"it did not come true within {limit_s:g} s",
                operation="waiting for a roster",
                attempts=0,
                elapsed_s=limit_s,
            ) from None

    def changes(self, *, buffer_size: int = 1000) -> RosterChanges:
        """Follow the events: first a ``SnapshotEvent``, then what changes it.

        Each call makes an independent reader.

        Args:
            buffer_size: Events that may wait for it; beyond that, all are dropped, and
                a ``GapEvent`` and another ``SnapshotEvent`` take their place.

        Raises:
            ClientClosedError: The roster was never entered, or belongs to another
                event loop.
        """
        check_loop(self._loop, "the roster")
        size = checked_buffer_size(buffer_size)
        buffer = EventBuffer("changes", size, self._snapshot_event)
        buffer.put((self._snapshot_event(),))
        if self.health is StreamHealth.CLOSED:
            buffer.end()
        self._sync.readers.add(buffer)
        return RosterChanges(buffer, self._loop)

    def __aiter__(self) -> RosterChanges:
        return self.changes()

    def _snapshot_event(self) -> SnapshotEvent:
        at_s = self.as_of.timestamp()
        return SnapshotEvent(
            channel=self.channel,
            occupancy=self.occupancy,
            timetoken=int(at_s * TIMETOKENS_PER_S),
            timestamp_ms=int(at_s * 1000),
            occupants=self.occupants,
        )


class RosterChanges:
    """An iterator over the events of a channel; made by ``roster.changes()``.

    The first item is a ``SnapshotEvent``. Each later ``JoinEvent``, ``LeaveEvent``,
    ``TimeoutEvent`` or ``StateChangeEvent`` changes one user, so that together they
    always lead to the current list. When the buffer is full it is emptied: a
    ``GapEvent`` counts the dropped events, and a new ``SnapshotEvent`` shows
    the current list.

    Iteration ends when the roster is closed and the buffer is empty.
    """

    def __init__(
        self, buffer: EventBuffer, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._buffer = buffer
        self._loop = loop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PresenceEvent:
        """Return the next event, waiting for it.

        Raises:
            ClientClosedError: It belongs to another event loop.
            ConcurrencyError: Another task is waiting for the next event.

        Cancellation: loses nothing.
        """
        check_loop(self._loop, "the reader")
        return await self._buffer.get()

    async def close(self) -> None:
        """Read no more.

        Raises:
            ClientClosedError: It belongs to another event loop.

        Cancellation: waits for nothing, so there is nothing to cancel.
        """
        check_loop(self._loop, "the reader")
        self._buffer.clear()
        self._buffer.end()
