"""Roster: who is on a channel, kept live and healed when events are lost."""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from ...errors import (
    ClientClosedError,
    ConcurrencyError,
    DeadlineError,
    RequestError,
)
from ...protocol.events import PresenceEvent, SnapshotEvent
from ...protocol.occupancy import Occupant
from .. import wall_clock
from ..aio import TaskOwner
from ..checks import checked_buffer_size, checked_timeout_s
from ..feed.listener import StreamHealth
from ..feed.subscriber import Params
from ..pipeline import Budget
from .book import RosterBook
from .checks import RosterChecks
from .desk import RosterDesk
from .plan import RECONCILE_PERIOD_S, SETTLE_S
from .readers import RosterChanges

__all__ = ["RECONCILE_PERIOD_S", "Roster"]

_LONG_OUTAGE_S = 30.0


class Roster:
    """Who is on one channel, kept live; made by ``client.roster``.

    ``async with client.roster("lobby") as roster`` subscribes first and asks here now
    second; entering returns once both are answered. From then on events keep the list,
    whether or not anybody reads it, and here now corrects it, soon after anything that
    casts doubt on it: an occupancy that does not fit for longer than a few seconds, a
    gap, a long outage, an interval event that does not say who. A correction is an
    event with ``synthesized=True``. ``RECONCILE_PERIOD_S`` (15 s) after the end of a
    trouble that shows itself the list is right again, or 20 s where here now takes
    several pages.

    An event that is lost without a trace, none following, is found by asking
    regularly: every ten seconds in the first two minutes and for two minutes after any
    sign of trouble, such as a failed poll, or an event out of order or that does not
    follow from the last; then more and more seldom, every five minutes once all has
    gone well for an hour. So a roster in calm costs about 65 here-now requests in its
    first hour and 13 in each later one. It costs one every ten seconds in constant
    trouble, where interval events tell who comes, and where events come so quickly
    that answers often run ahead of them. Each page of 1,000 occupants is a request.
    Once open, all rosters of a client together begin at most 25 questions a second.

    ``async for event in roster`` is one reader of ``changes()``; there may be any
    number, and none ever sees two joins or two leaves of one user in a row.
    """

    def __init__(
        self,
        desk: RosterDesk,
        begin: Callable[[], Budget],
        *,
        channel: str,
        params: Params,
    ) -> None:
        self._desk = desk
        self._begin = begin
        self._params = params
        self._book = RosterBook(channel, desk.random)
        self._tasks = TaskOwner()
        self._health = StreamHealth.CLOSED
        self._error: RequestError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unreached_s = math.inf
        self._heard_at_s = 0.0
        self._occupants: tuple[Occupant, ...] | None = None
        self._user_ids: frozenset[str] | None = None
        self._readers: weakref.WeakSet[RosterChanges] = weakref.WeakSet()
        self._change: asyncio.Event | None = None
        self._checks = RosterChecks(
            self._book.plan, check=self._check_anew, failed=self._check_failed
        )

    def __repr__(self) -> str:
        sync = "in sync" if self.is_synced else "not in sync"
        return f"<Roster of {self.channel!r}: {self.occupancy} here, {sync}>"

    # What it knows.

    @property
    def channel(self) -> str:
        """Which channel."""
        return self._book.channel

    @property
    def occupants(self) -> tuple[Occupant, ...]:
        """Who is here, with states; ``state`` is ``None`` until it is known."""
        if self._occupants is None:
            self._occupants = tuple(self._book.members.values())
        return self._occupants

    @property
    def user_ids(self) -> frozenset[str]:
        """The ids of who is here."""
        if self._user_ids is None:
            self._user_ids = frozenset(self._book.members)
        return self._user_ids

    @property
    def occupancy(self) -> int:
        """How many are here."""
        return len(self._book.members)

    @property
    def is_synced(self) -> bool:
        """Whether the list is known to be right, as of ``as_of``.

        That is, a here now asked for 5 s after the last known loss has confirmed it,
        the newest event's occupancy fits, and the stream is ``LIVE``. First true 5 s
        after entering, since the first answer may come from a cache.
        """
        return self._health is StreamHealth.LIVE and self._book.plan.is_trusted

    @property
    def as_of(self) -> datetime:
        """When the service last told who is here, in UTC, by this machine's clock.

        Raises:
            ClientClosedError: It was never entered.
        """
        if not self._heard_at_s:
            raise ClientClosedError("the roster is not open; use 'async with'")
        return datetime.fromtimestamp(self._heard_at_s, UTC)

    @property
    def health(self) -> StreamHealth:
        """How its stream stands; ``CLOSED`` before it is entered and after its end."""
        return self._health

    @property
    def error(self) -> RequestError | None:
        """What the stream ran into when its health last changed, or ``None``."""
        return self._error

    # Its life.

    async def __aenter__(self) -> Self:
        """Open it; returns once handshake and first here now are answered.

        Raises:
            RequestError: As a query would.
            ClientClosedError: The client is not open.
            ConcurrencyError: The roster was used before.

        Cancellation: opens nothing.
        """
        budget = self._begin()
        if self._loop is not None:
            raise ConcurrencyError("roster", "has one use; call roster() again")
        self._loop = asyncio.get_running_loop()
        self._book.plan.begin(now_s=self._loop.time())
        self._desk.hold(self._tasks)
        try:
            await self._open(budget)
        except BaseException:
            self._end()
            self._desk.release(self._tasks)
            raise
        self._tasks.start(self._checks.run(), name=f"roster of {self.channel}")
        return self

    async def _open(self, budget: Budget) -> None:
        await self._desk.feed.attach(
            self, budget=budget, replay_s=SETTLE_S, params=self._params
        )
        self._book.plan.begin(now_s=self._now_s())
        await self._check(budget)
        if self._health is StreamHealth.CLOSED:
            raise ClientClosedError("closed while the roster was being opened")

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it at once; what it knew can still be read, and so can its events.

        Cancellation: it is closed nevertheless.
        """
        self._end()
        await self._tasks.finish()
        self._desk.release(self._tasks)

    def _end(self) -> None:
        self._desk.feed.detach(self)
        self.turn(StreamHealth.CLOSED, None)

    # Following it.

    async def wait_for(
        self, predicate: Callable[[Roster], object], timeout_s: float | None = None
    ) -> None:
        """Wait until something is true of the roster; at once if it is already.

        ``await roster.wait_for(lambda r: "bob" in r.user_ids)``. What is true for a
        moment only, between two batches of events, may go unseen; ``changes()`` shows
        everything.

        Args:
            predicate: Called with the roster after each change; what it raises ends
                the waiting.
            timeout_s: Seconds; ``None`` or ``math.inf``: no limit.

        Raises:
            DeadlineError: A ``TimeoutError``: it did not come true in time.
            ClientClosedError: The roster is closed, so it never will.

        Cancellation: ends the waiting.
        """
        limit_s = math.inf if timeout_s is None else checked_timeout_s(timeout_s)
        scope = asyncio.timeout(None if limit_s == math.inf else limit_s)
        try:
            async with scope:
                while not predicate(self):
                    await self._wait_for_change()
        except TimeoutError:
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

        Each call makes a reader of its own.

        Args:
            buffer_size: Events kept for it; beyond, all are dropped for a
                ``GapEvent`` and another ``SnapshotEvent``.

        Raises:
            ClientClosedError: The roster was never entered.
        """
        size = checked_buffer_size(buffer_size)
        reader = RosterChanges(self._snapshot_event, buffer_size=size)
        if self._health is StreamHealth.CLOSED:
            reader.end()
        self._readers.add(reader)
        return reader

    def __aiter__(self) -> RosterChanges:
        return self.changes()

    def _snapshot_event(self) -> SnapshotEvent:
        at_s = self.as_of.timestamp()
        return SnapshotEvent(
            channel=self.channel,
            occupancy=self.occupancy,
            timetoken=int(at_s * 10_000_000),
            timestamp_ms=int(at_s * 1000),
            occupants=self.occupants,
        )

    async def _wait_for_change(self) -> None:
        if self._health is StreamHealth.CLOSED:
            raise ClientClosedError("the roster is closed, or was never entered")
        if self._change is None:
            self._change = asyncio.Event()
        await self._change.wait()

    # What the feed tells.

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Take events in; the feed calls it."""
        now_s = self._now_s()
        told: list[PresenceEvent] = []
        for event in events:
            told += self._book.apply(event, now_s=now_s)
        self._heard_at_s = wall_clock.now_s()
        self._tell(told)

    def turn(self, health: StreamHealth, error: RequestError | None) -> None:
        """Change the health; the feed calls it."""
        self._health, self._error = health, error
        if health is StreamHealth.CLOSED:
            self._tasks.abort()
            for reader in list(self._readers):
                reader.end()
        elif health is not StreamHealth.LIVE:
            self._unreached_s = min(self._unreached_s, self._now_s())
            self._book.plan.note_trouble(now_s=self._now_s())
        elif self._unreached_s < math.inf:
            self._reached_again()
        self._tell(())

    def _reached_again(self) -> None:
        now_s, plan = self._now_s(), self._book.plan
        is_long = now_s - self._unreached_s > _LONG_OUTAGE_S
        (plan.doubt if is_long else plan.note_trouble)(now_s=now_s)
        self._unreached_s = math.inf

    def _tell(self, events: Sequence[PresenceEvent]) -> None:
        """Let those know who read or wait, and the task if its time has changed."""
        self._occupants = self._user_ids = None
        if events:
            for reader in list(self._readers):
                reader.put(events)
        if self._change is not None:
            self._change.set()
            self._change = None
        self._checks.hurry()

    # What it asks.

    async def _check_anew(self) -> None:
        await self._desk.turn()
        await self._check(None)

    def _check_failed(self, error: RequestError) -> None:
        is_refused = not error.is_transient
        self._book.check_failed(now_s=self._now_s(), is_refused=is_refused)

    async def _check(self, budget: Budget | None) -> None:
        self._book.plan.sent(now_s=self._now_s())
        snapshot = await self._desk.read(
            self.channel, budget=budget, params=self._params
        )
        told = self._book.reconcile(snapshot, now_s=self._now_s())
        self._heard_at_s = max(self._heard_at_s, snapshot.timestamp_ms / 1000)
        self._tell(told)

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()

    # The protocol of listeners.

    @property
    def channels(self) -> tuple[str, ...]:
        """The channel, as the feed asks for it."""
        return (self.channel,)

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """None."""
        return ()
