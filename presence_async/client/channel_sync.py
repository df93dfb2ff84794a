"""ChannelSync: keeps what is known of one channel in sync by listening and asking.

The decisions are those of ``presence_async.roster``; here they meet the clock, the feed
and the service. ``RosterSync`` keeps a list this way, ``CountSync`` a number.
"""

from __future__ import annotations

import asyncio
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar, Generic, TypeVar

from ..errors import ClientClosedError, RequestError
from ..protocol.events import PresenceEvent
from ..roster.schedule import SETTLE_S, SnapshotSchedule
from ..roster.snapshot import Dated
from . import wall_clock
from .aio import loop_s
from .call import Params
from .feed.feed import PresenceFeed
from .feed.listener import StreamHealth
from .pipeline import Budget
from .safe_log import SafeLogger
from .snapshot_requests import SnapshotRequests

__all__ = ["ChannelSync"]

logger: SafeLogger = SafeLogger("presence_async.client")

AnswerT = TypeVar("AnswerT", bound=Dated)

_LONG_OUTAGE_S = 30.0


class ChannelSync(ABC, Generic[AnswerT]):
    """A listener of the feed with a task that asks here now when it is time.

    What is known, and what events and answers change about it, is the subclass's.

    Args:
        feed: Brings the events.
        snapshots: Asks here now.
        params: Sent beside the config's query parameters.

    Attributes:
        kind: What it keeps, as logs, errors and its task call it.
        schedule: When to ask, and whether what is known is beyond doubt.
        health: Whether events arrive.
        error: The failure behind the last change of ``health``, or ``None``.
        heard_at_s: Unix time when the service was last heard; 0 if never.
        has_answer: Whether it was ever told who is there; events alone do not say.
        channel: The channel.
        channels: The same, as the feed asks a listener for it; no ``channel_groups``.
    """

    kind: ClassVar[str]

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
        self.health: StreamHealth = StreamHealth.CLOSED
        self.error: RequestError | None = None
        self.heard_at_s: float = 0.0
        self.has_answer: bool = False
        self.channel: str = channel
        self.channels: tuple[str, ...] = (channel,)
        self.channel_groups: tuple[str, ...] = ()
        self._name = f"{self.kind} of {channel}"
        self._task: asyncio.Task[None] | None = None
        # Set when the schedule may have an earlier time than the task sleeps until.
        self._alarm = asyncio.Event()
        self._sleeps_until_s = -math.inf
        # Set at the next change; made when somebody waits for it.
        self._change: asyncio.Event | None = None
        # Since when no event could arrive; inf while they can.
        self._unreached_s = math.inf
        # An unexpected exception; ends with the next answer that is taken in.
        self._has_crashed = False

    @property
    def is_synced(self) -> bool:
        """True if what is known is known to be correct."""
        is_live = self.health is StreamHealth.LIVE and not self._has_crashed
        return is_live and self.schedule.is_trusted

    @property
    def is_closed(self) -> bool:
        """True before it is open and after its end."""
        return self.health is StreamHealth.CLOSED

    # What a subclass knows.

    @property
    @abstractmethod
    def occupancy(self) -> int:
        """How many are on the channel."""

    @abstractmethod
    def _apply(self, events: Sequence[PresenceEvent], *, now_s: float) -> None:
        """Take in events."""

    @abstractmethod
    async def _ask(self, budget: Budget | None) -> AnswerT:
        """Ask here now."""

    @abstractmethod
    def _reconcile(self, answer: AnswerT, *, now_s: float) -> None:
        """Take in an answer to here now."""

    def _forget_old(self, *, now_s: float) -> None:
        """Forget what is too old to matter, where no answer settles it."""

    def _start_over(self) -> None:
        """Let readers start over, as a change may not have reached them."""

    def _end_readers(self) -> None:
        """Let readers come to their end."""

    # Opening and closing.

    async def open(self, budget: Budget) -> None:
        """Subscribe, then ask here now, then go on alone.

        In this order, so that nothing is missed between the two.

        Raises:
            RequestError: As a query would; nothing is open.
            ClientClosedError: The client was closed meanwhile.

        Cancellation: opens nothing.
        """
        self.schedule.begin(now_s=loop_s())
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
        # Events of the last seconds are replayed: all is known since now.
        self.schedule.begin(now_s=loop_s())
        await self._ask_and_reconcile(budget)
        if self.health is StreamHealth.CLOSED:
            raise ClientClosedError(f"closed while the {self.kind} was being opened")

    def end(self) -> None:
        """Stop listening and asking, without waiting."""
        self._feed.detach(self)
        self.set_health(StreamHealth.CLOSED, None)

    async def finish(self) -> None:
        """Wait until the task has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def wait_for_change(self) -> None:
        """Wait until what is known, ``health`` or ``is_synced`` may have changed."""
        if self._change is None:
            self._change = asyncio.Event()
        await self._change.wait()

    # What the feed calls.

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Take in events."""
        with self._crash_contained("events"):
            self._apply(events, now_s=loop_s())
            self.heard_at_s = wall_clock.now_s()
            self._notify()

    def set_health(self, health: StreamHealth, error: RequestError | None) -> None:
        """Change the health."""
        self.health, self.error = health, error
        with self._crash_contained("a change of health"):
            if health is StreamHealth.CLOSED:
                self._end_all()
            elif health is not StreamHealth.LIVE:
                self._unreached_s = min(self._unreached_s, loop_s())
                self.schedule.record_trouble(now_s=loop_s())
            elif self._unreached_s < math.inf:
                self._reached_again()
            self._notify()

    def _end_all(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._end_readers()

    def _reached_again(self) -> None:
        now_s, schedule = loop_s(), self.schedule
        is_long = now_s - self._unreached_s > _LONG_OUTAGE_S
        (schedule.doubt if is_long else schedule.record_trouble)(now_s=now_s)
        self._unreached_s = math.inf

    def _notify(self) -> None:
        """Tell waiters, and the task if it has to ask sooner now."""
        self._wake_waiters()
        if self.schedule.due_s < self._sleeps_until_s:
            self._alarm.set()

    def _wake_waiters(self) -> None:
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
        """Distrust what is known, which may have changed half-way."""
        self._has_crashed = True
        self._start_over()
        self._wake_waiters()
        self._alarm.set()
        # Last, as it may be the schedule that crashes.
        self.schedule.doubt(now_s=loop_s())

    # Asking.

    async def _keep_checking(self) -> None:
        try:
            await self._check_for_ever()
        finally:
            # If somebody else cancelled the task, nobody heals anything any more.
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
        while (due_s := self.schedule.due_s) > loop_s():
            self._sleeps_until_s = due_s
            self._alarm.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self._alarm.wait()
        self._sleeps_until_s = -math.inf

    async def _check(self) -> None:
        await self._snapshots.wait_turn()
        try:
            await self._ask_and_reconcile(None)
        except RequestError as error:
            logger.info("the %s could not be checked: %s", self._name, error)
            now_s, is_refused = loop_s(), not error.is_transient
            self.schedule.failed(now_s=now_s, is_refused=is_refused)
            self._forget_old(now_s=now_s)

    async def _ask_and_reconcile(self, budget: Budget | None) -> None:
        self.schedule.sent(now_s=loop_s())
        answer = await self._ask(budget)
        self._reconcile(answer, now_s=loop_s())
        self.has_answer = True
        self.heard_at_s = max(self.heard_at_s, answer.timestamp_ms / 1000)
        self._has_crashed = False
        self._notify()
        if self.is_synced:
            self._snapshots.note_occupancy(
                self.channel, self.occupancy, shown_s=answer.sent_at_s
            )
