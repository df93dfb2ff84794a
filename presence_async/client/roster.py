"""Roster: who is on a channel, kept live and healed when events are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, Self

from ..checks import checked_buffer_size
from ..protocol.events import PresenceEvent, SnapshotEvent
from ..protocol.occupancy import Occupant
from ..protocol.timetoken import TIMETOKENS_PER_S
from ..roster.schedule import RECONCILE_PERIOD_S
from .call import Params
from .channel_view import ChannelView
from .event_buffer import EventBuffer
from .feed.feed import PresenceFeed
from .lifecycle import check_loop
from .pipeline import Budget
from .roster_sync import RosterSync
from .snapshot_requests import SnapshotRequests

__all__ = ["RECONCILE_PERIOD_S", "Roster", "RosterChanges"]


class Roster(ChannelView):
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

    _sync: RosterSync
    _method: ClassVar[str] = "roster"

    def __init__(
        self,
        feed: PresenceFeed,
        snapshots: SnapshotRequests,
        begin: Callable[[], Budget],
        *,
        channel: str,
        params: Params,
    ) -> None:
        super().__init__(begin)
        self._sync = RosterSync(feed, snapshots, channel=channel, params=params)

    def __repr__(self) -> str:
        if self._is_new:
            return f"<Roster of {self.channel!r}: not open>"
        sync = "in sync" if self.is_synced else "not in sync"
        return f"<Roster of {self.channel!r}: {self.occupancy} here, {sync}>"

    @property
    def occupants(self) -> tuple[Occupant, ...]:
        """Who is here, with states; ``state`` is ``None`` until it is known.

        Raises:
            ClientClosedError: Entering it has not succeeded yet.
        """
        self._check_open()
        return self._sync.occupants

    @property
    def user_ids(self) -> frozenset[str]:
        """The IDs of everybody who is here.

        Raises:
            ClientClosedError: Entering it has not succeeded yet.
        """
        self._check_open()
        return self._sync.user_ids

    @property
    def occupancy(self) -> int:
        """How many are here.

        Raises:
            ClientClosedError: Entering it has not succeeded yet.
        """
        self._check_open()
        return self._sync.occupancy

    @property
    def is_synced(self) -> bool:
        """True if the list is known to be correct, as of ``as_of``.

        That is, a here now that was asked for 5 s after the last known loss has
        confirmed it, the occupancy of the newest event fits, and the stream is
        ``LIVE``. First true 5 s after entering, since the first answer may come from a
        cache.
        """
        return self._sync.is_synced

    def changes(self, *, buffer_size: int = 1000) -> RosterChanges:
        """Follow the events: first a ``SnapshotEvent``, then what changes it.

        Each call makes an independent reader.

        Args:
            buffer_size: Events that may wait for it; beyond that, all are dropped, and
                a ``GapEvent`` and another ``SnapshotEvent`` take their place.

        Raises:
            ClientClosedError: Entering it has not succeeded yet, or it belongs to
                another event loop.
        """
        check_loop(self._loop, "the roster")
        size = checked_buffer_size(buffer_size)
        buffer = EventBuffer("changes", size, self._snapshot_event)
        buffer.put((self._snapshot_event(),))
        if self._sync.is_closed:
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
