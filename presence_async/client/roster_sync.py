"""RosterSync: keeps the list of one channel in sync by listening and asking.

The decisions are those of ``presence_async.roster``; here they meet the clock, the feed
and the service.
"""

from __future__ import annotations

import asyncio
import math
import random
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..errors import ClientClosedError, RequestError
from ..protocol.events import PresenceEvent
from ..protocol.occupancy import Occupant
from ..roster.schedule import SETTLE_S, SnapshotSchedule
from ..roster.state import RosterState
from . import wall_clock
from .call import Params
from .event_buffer import EventBuffer
from .feed.feed import PresenceFeed
from .feed.listener import StreamHealth
from .pipeline import Budget
from .safe_log import SafeLogger
from .snapshot_requests import SnapshotRequests

__all__ = ["RosterSync"]

logger: SafeLogger = SafeLogger("presence_async.client")

_LONG_OUTAGE_S = 30.0


class RosterSync:
    """The machine behind one roster: a listener of the feed with a task that asks.

    Args:
        feed: Brings the events.
        snapshots: Asks here now.
        channel: The channel.
        params: Sent beside the config's query parameters.

    Attributes:
        state: Who is here.
        schedule: When to ask, and whether the list is beyond doubt.
        readers: The buffers that receive every change.
        health: Whether events arrive.
        error: The failure behind the last change of ``health``, or ``None``.
        heard_at_s: Unix time when the service was last heard; 0 if never.
        channels: The channel, as the feed asks a listener for it.
        channel_groups: None.
    """

    def __init__(
        self,
        feed: PresenceFeed,
        snapshots: SnapshotRequests,
        *,
        channel: str,
        params: Params,
    ) -> None:
        self._feed = feed
        self._snapshots = snapshots
        self._params = params
        self._random = random.Random()  # noqa: S311  # spreads load, guards nothing
        self.schedule: SnapshotSchedule = SnapshotSchedule(self._random)
        self.state: RosterState = RosterState(channel, self.schedule)
        self.readers: weakref.WeakSet[EventBuffer] = weakref.WeakSet()
        self.health: StreamHealth = StreamHealth.CLOSED
        self.error: RequestError | None = None
        self.heard_at_s: float = 0.0
        self.channels: tuple[str, ...] = (channel,)
        self.channel_groups: tuple[str, ...] = ()
        self._name = f"roster of {channel}"
        self._task: asyncio.Task[None] | None = None
        # Set when the schedule may have an earlier time than the task sleeps until.
        self._alarm = asyncio.Event()
        self._sleeps_until_s = -math.inf
        # Set at the next change; made when somebody waits for it.
        self._change: asyncio.Event | None = None
        # Made when they are asked for, until the next change.
        self._occupants: tuple[Occupant, ...] | None = None
        self._user_ids: frozenset[str] | None = None
        # Since when no event could arrive; inf while they can.
        self._unreached_s = math.inf
        # An unexpected exception; ends with the next snapshot that is taken in.
        self._has_crashed = False

    @property
    def is_synced(self) -> bool:
        """True if the list is known to be correct."""
        is_live = self.health is StreamHealth.LIVE and not self._has_crashed
        return is_live and self.schedule.is_trusted

    @property
    def occupants(self) -> tuple[Occupant, ...]:
        """Who is here."""
        if self._occupants is None:
            self._occupants = tuple(self.state.members.values())
        return self._occupants

    @property
    def user_ids(self) -> frozenset[str]:
        """The IDs of everybody who is here."""
        if self._user_ids is None:
            self._user_ids = frozenset(self.state.members)
        return self._user_ids

    # Opening and closing.

    async def open(self, budget: Budget) -> None:
        """Subscribe, then ask here now, then go on alone.

        In this order, so that nothing is missed between the two.

        Raises:
            RequestError: As a query would; nothing is open.
            ClientClosedError: The client was closed meanwhile.

        Cancellation: opens nothing.
        """
        self.schedule.begin(now_s=_now_s())
        try:
            await self._attach(budget)
        except BaseException:
            self.end()
            raise
        self._task = self._feed.create_task(self._keep_checking(), name=self._name)

    async def _attach(self, budget: Budget) -> None:
        await self._feed.attach(
            self, budget=budget, replay_s=SETTLE_S, params=self._params
        )
        # Events of the last seconds are replayed: the list is known since now.
        self.schedule.begin(now_s=_now_s())
        await self._reconcile(budget)
        if self.health is StreamHealth.CLOSED:
            raise ClientClosedError("closed while the roster was being opened")

    def end(self) -> None:
        """Stop listening and asking, without waiting."""
        self._feed.detach(self)
        self.set_health(StreamHealth.CLOSED, None)

    async def finish(self) -> None:
        """Wait until the task has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def wait_for_change(self) -> None:
        """Wait until the list, ``health`` or ``is_synced`` may have changed."""
        if self._change is None:
            self._change = asyncio.Event()
        await self._change.wait()

    # What the feed calls.

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Take in events."""
        with self._crash_contained("events"):
            now_s = _now_s()
            changes: list[PresenceEvent] = []
            for event in events:
                changes += self.state.apply(event, now_s=now_s)
            self.heard_at_s = wall_clock.now_s()
            self._publish(changes)

    def set_health(self, health: StreamHealth, error: RequestError | None) -> None:
        """Change the health."""
        self.health, self.error = health, error
        with self._crash_contained("a change of health"):
            if health is StreamHealth.CLOSED:
                self._end_all()
            elif health is not StreamHealth.LIVE:
                self._unreached_s = min(self._unreached_s, _now_s())
                self.schedule.record_trouble(now_s=_now_s())
            elif self._unreached_s < math.inf:
                self._reached_again()
            self._publish(())

    def _end_all(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        for reader in list(self.readers):
            reader.end()

    def _reached_again(self) -> None:
        now_s = _now_s()
        if now_s - self._unreached_s > _LONG_OUTAGE_S:
            self.schedule.doubt(now_s=now_s)
        else:
            self.schedule.record_trouble(now_s=now_s)
        self._unreached_s = math.inf

    def _publish(self, changes: Sequence[PresenceEvent]) -> None:
        """Tell readers and waiters, and the task if it has to ask sooner now."""
        if changes:
            for reader in list(self.readers):
                reader.put(changes)
        self._notify_waiters()
        if self.schedule.due_s < self._sleeps_until_s:
            self._alarm.set()

    def _notify_waiters(self) -> None:
        self._occupants = self._user_ids = None
        if self._change is not None:
            self._change.set()
            self._change = None

    # Unexpected exceptions.

    @contextmanager
    def _crash_contained(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception:
            logger.critical("the %s crashed on %s", self._name, what, exc_info=True)
            self._crashed()

    def _crashed(self) -> None:
        """Distrust the list, which may have changed half-way.

        Readers start over from it, since a change that was made before the crash may
        not have reached them.
        """
        self._has_crashed = True
        for reader in list(self.readers):
            reader.start_over()
        self._notify_waiters()
        self._alarm.set()
        # Last, as it may be the schedule that crashes.
        self.schedule.doubt(now_s=_now_s())

    # Asking.

    async def _keep_checking(self) -> None:
        try:
            await self._check_for_ever()
        finally:
            # If somebody else cancelled the task, nobody heals the list any more.
            self.end()

    async def _check_for_ever(self) -> None:
        is_due = False
        while True:
            try:
                if not is_due:
                    await self._until_due()
                is_due = False
                await self._check()
            except ClientClosedError:
                return
            except Exception:
                logger.critical("a check of the %s crashed", self._name, exc_info=True)
                self._crashed()
                # Without asking the schedule, which may be what crashed.
                is_due = True
                await asyncio.sleep(SETTLE_S + self._random.random())

    async def _until_due(self) -> None:
        while (due_s := self.schedule.due_s) > _now_s():
            self._sleeps_until_s = due_s
            self._alarm.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self._alarm.wait()
        self._sleeps_until_s = -math.inf

    async def _check(self) -> None:
        await self._snapshots.wait_turn()
        try:
            await self._reconcile(None)
        except RequestError as error:
            logger.info("a roster could not be checked: %s", error)
            now_s, is_refused = _now_s(), not error.is_transient
            self.schedule.failed(now_s=now_s, is_refused=is_refused)
            self.state.forget_old(now_s=now_s)

    async def _reconcile(self, budget: Budget | None) -> None:
        self.schedule.sent(now_s=_now_s())
        snapshot = await self._snapshots.ask(
            self.state.channel, self._params, budget=budget
        )
        changes = self.state.reconcile(snapshot, now_s=_now_s())
        self.heard_at_s = max(self.heard_at_s, snapshot.timestamp_ms / 1000)
        self._has_crashed = False
        self._publish(changes)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
