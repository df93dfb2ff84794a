"""HeartbeatManager: the task that keeps leases alive."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable

from ..errors import ClientClosedError
from .beating import Beater
from .clock_watch import LONGEST_TICK_S, ClockWatch, Lapse
from .config import PresenceConfig
from .gates import Gate
from .lanes import Lanes
from .lease import Lease, LeaseHealth
from .outage import Outage
from .pipeline import RequestPipeline
from .register import PresenceRegister
from .reports import HeartbeatStats
from .schedule import Schedule, next_beat_s, phase, retry_gap_s
from .task_owner import TaskOwner
from .user_presence import UserPresence

__all__ = ["HeartbeatManager"]

logger = logging.getLogger("presence_async.client")

_RESTART_PAUSE_S = 1.0
_LONGEST_RETRY_AFTER_S = 15.0
_MOST_NAMED = 5


class HeartbeatManager:
    """Keeps every lease of a client present; ``client.heartbeats``.

    One long-lived task starts the heartbeats that are due, a bounded number at once.
    There is no state in which it gives up: a failed heartbeat is tried again for as
    long as its lease is held.

    Args:
        config: Intervals and time limits.
        pipeline: Sends.
        lanes: The users' lanes.
        gate: The gate of heartbeats and leaves.
        register: The leases.
        leaving: Counts the leaves that are owed.
        on_orphaned: Awaited when the event loop ends while the client is open.
        on_unseen: Called with the seconds slept when time went by unseen.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        lanes: Lanes,
        gate: Gate,
        register: PresenceRegister,
        *,
        leaving: Callable[[], int],
        on_orphaned: Callable[[], Awaitable[object]],
        on_unseen: Callable[[float], None],
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._register = register
        self._leaving = leaving
        self._on_orphaned = on_orphaned
        self._on_unseen = on_unseen
        self._beater = Beater(config, pipeline, lanes, gate)
        self._schedule: Schedule[UserPresence] = Schedule()
        self._lateness_s: deque[float] = deque(maxlen=1024)
        self._loop_task = TaskOwner()
        self._beats = TaskOwner()
        self._wake = asyncio.Event()
        self._random = random.Random()  # noqa: S311  # spreads load, guards nothing
        self._joins = 0
        self._outage = Outage()
        self._held_back_until_s = 0.0
        self._is_stopping = False

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Every lease held; those still joining are not among them."""
        return tuple(lease for user in self._register for lease in user.joined)

    def stats(self) -> HeartbeatStats:
        """Return how the heartbeats stand now."""
        healths = [lease.health for lease in self.leases]
        late_s = sorted(self._lateness_s) or [0.0]
        next_s = self._schedule.next_due_s() - _now_s()
        return HeartbeatStats(
            leases=len(healths),
            fresh=healths.count(LeaseHealth.FRESH),
            at_risk=healths.count(LeaseHealth.AT_RISK),
            lost=healths.count(LeaseHealth.LOST),
            refused=healths.count(LeaseHealth.REFUSED),
            leaving=self._leaving(),
            beats_sent=self._beater.counts["sent"],
            beats_failed=self._beater.counts["failed"],
            lateness_p50_s=late_s[len(late_s) // 2],
            lateness_p99_s=late_s[len(late_s) * 99 // 100],
            lateness_max_s=late_s[-1],
            next_due_s=max(0.0, next_s) if next_s < math.inf else None,
        )

    # What the presence desk asks for.

    def start(self) -> None:
        """Start the task that beats."""
        self._loop_task.start(self._run(), name="presence heartbeats")

    def joined(self, lease: Lease, presence: UserPresence, expires_at_s: float) -> None:
        """Keep a lease from its first acknowledged heartbeat on."""
        lease.expires_at_s = expires_at_s
        self._beater.note(lease, LeaseHealth.FRESH, "joined")
        self._joins += 1
        self._reached()
        # The first wait is a share of the interval, so that users who join together
        # do not beat together for ever.
        first_wait_s = self._interval_s(presence) * (1 - phase(self._joins))
        due_s = _now_s() + first_wait_s
        if not presence.is_beating:
            self._put(presence, min(due_s, presence.due_s))

    def beat_by(self, user_id: str, due_s: float) -> None:
        """Beat a user no later than at a loop time."""
        presence = self._register.get(user_id)
        if presence is None or not presence.joined:
            return
        if presence.is_beating:
            presence.again_by_s = min(due_s, presence.again_by_s)
        else:
            self._put(presence, min(due_s, presence.due_s))

    def beat_refused(self, user_id: str | None) -> None:
        """Beat at once what was refused, of one user or of all."""
        for presence in self._register:
            is_meant = user_id is None or presence.user_id == user_id
            if is_meant and any(
                lease.health is LeaseHealth.REFUSED for lease in presence.joined
            ):
                self.beat_by(presence.user_id, _now_s())

    def stop_beating(self) -> None:
        """Start no more heartbeats; those under way go on."""
        self._is_stopping = True
        self._loop_task.abort()

    def abort(self) -> None:
        """Cancel what is under way, without waiting."""
        self.stop_beating()
        self._beats.abort()

    async def finish(self) -> None:
        """Wait until the tasks have ended."""
        await self._beats.finish()
        await self._loop_task.finish()

    # The loop.

    async def _run(self) -> None:
        try:
            while True:
                await self._keep_beating()
        except asyncio.CancelledError:
            # The last cancel of asyncio.run: nobody will call close any more, and
            # this task is the one that the loop still waits for.
            if not self._is_stopping:
                await self._on_orphaned()
            raise

    async def _keep_beating(self) -> None:
        try:
            watch = ClockWatch()
            watch.look(_now_s())
            while True:
                self._wake.clear()
                self._start_due()
                began_s = _now_s()
                due_s = min(self._next_start_s(), began_s + LONGEST_TICK_S)
                await self._sleep_until(due_s)
                self._catch_up(watch.look(max(due_s, began_s)))
        except Exception:
            logger.critical("the heartbeat loop crashed; it goes on", exc_info=True)
        await asyncio.sleep(_RESTART_PAUSE_S)

    async def _sleep_until(self, due_s: float) -> None:
        timer = asyncio.get_running_loop().call_at(due_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _next_start_s(self) -> float:
        if self._outage.is_down:
            probe_s = max(self._outage.probe_at_s, self._held_back_until_s)
            due_s = self._schedule.next_due_s()
            return due_s if self._beats else min(due_s, probe_s)
        if len(self._beats) >= self._config.max_beats_in_flight:
            return math.inf
        return max(self._schedule.next_due_s(), self._held_back_until_s)

    def _start_due(self) -> None:
        now_s = _now_s()
        if self._outage.is_down:
            self._hold_due(now_s)
            if self._next_start_s() <= now_s:
                self._probe(now_s)
            return
        while self._next_start_s() <= now_s:
            due_s = self._schedule.next_due_s()
            presence = self._schedule.pop_due(now_s)
            if presence is None:
                return
            if presence.joined:
                self._lateness_s.append(now_s - due_s)
                self._begin(presence, due_s)

    def _begin(self, presence: UserPresence, due_s: float) -> None:
        self._beater.overtaken(presence, _now_s())
        presence.is_beating, presence.is_held = True, False
        self._beats.start(self._beat(presence, due_s), name="presence beat")

    # While the service cannot be reached.

    def _hold_due(self, now_s: float) -> None:
        """Keep back what is due; looked at again when its presence runs out."""
        while (presence := self._schedule.pop_due(now_s)) is not None:
            if presence.joined:
                self._hold(presence, now_s)

    def _hold(self, presence: UserPresence, now_s: float) -> None:
        presence.is_held = True
        reason = "the service cannot be reached"
        self._put(presence, self._beater.overtaken(presence, now_s, at_risk=reason))

    def _probe(self, now_s: float) -> None:
        presence = self._outage.next_probe(now_s)
        if presence is None:
            # Everybody who waited is gone.
            self._reached()
        elif not presence.is_beating:
            self._schedule.put(presence, math.inf)
            self._begin(presence, now_s)

    def _unreached(self, presence: UserPresence, gap_s: float) -> None:
        """Note a heartbeat that failed; decide whether it is all of them."""
        now_s = _now_s()
        if self._outage.failed(presence.user_id):
            users = [user for user in self._register if user.joined]
            self._outage.begin(users)
            logger.warning(
                "the service cannot be reached: one of %d users at a time tries",
                len(users),
            )
        self._outage.probe_at_s = now_s + gap_s

    def _reached(self) -> None:
        """Note a heartbeat that came through; after an outage beat all who wait."""
        if not self._outage.end():
            return
        logger.info("the service can be reached again")
        self._pipeline.forget_connections()
        self._beat_now([x for x in self._register if x.is_held or x.failures])

    def _beat_now(self, presences: list[UserPresence]) -> None:
        """Beat users within the bounds, first those who can still be saved."""
        now_s = _now_s()
        ends = {x: x.expires_at_s for x in presences if x.joined}
        for presence in sorted(ends, key=lambda x: (ends[x] <= now_s, ends[x])):
            presence.is_held = False
            self.beat_by(presence.user_id, now_s)

    # When time went by unseen.

    def _catch_up(self, lapse: Lapse) -> None:
        if lapse.blocked_s and not lapse.slept_s:
            self._tell_blocked(lapse.blocked_s)
        if not lapse.slept_s and not lapse.is_stop:
            return
        if lapse.slept_s:
            logger.warning(
                "the machine slept for %.0f s; every user is beaten now", lapse.slept_s
            )
        self._pipeline.note_sleep(lapse.slept_s)
        self._on_unseen(lapse.slept_s)
        self._outage.end()
        for presence in self._register:
            for lease in presence.leases:
                lease.expires_at_s -= lapse.slept_s
            self._beater.overslept(presence, _now_s())
        self._beat_now(list(self._register))

    def _tell_blocked(self, blocked_s: float) -> None:
        now_s = _now_s()
        late = [x for x in self._register if x.due_s <= now_s]
        lost = sum(x.expires_at_s <= now_s for x in late)
        who = ", ".join(repr(x.user_id) for x in late[:_MOST_NAMED])
        logger.warning(
            "the event loop was blocked for %.1f s: %d heartbeats are late (%s, …),"
            " %d presences have run out",
            blocked_s,
            len(late),
            who or "none",
            lost,
        )

    async def _beat(self, presence: UserPresence, due_s: float) -> None:
        retry_after_s: float | None = None
        try:
            retry_after_s = await self._beater.visit(presence)
        except ClientClosedError:
            return
        except Exception as error:
            logger.exception("a heartbeat of %s crashed", presence.user_id)
            self._beater.crashed(presence, error)
        finally:
            presence.is_beating = False
            self._wake.set()
        self._plan_next(presence, due_s, retry_after_s)

    def _plan_next(
        self, presence: UserPresence, due_s: float, retry_after_s: float | None
    ) -> None:
        now_s = _now_s()
        if retry_after_s is not None:
            held_back_s = min(retry_after_s, _LONGEST_RETRY_AFTER_S)
            self._held_back_until_s = now_s + held_back_s
        if presence.failures:
            remaining_s = presence.expires_at_s - now_s
            gap_s = retry_gap_s(remaining_s, self._random)
            next_s = now_s + gap_s
            if remaining_s > 0:
                next_s = min(next_s, presence.expires_at_s)
            self._unreached(presence, gap_s)
        else:
            next_s = next_beat_s(due_s, self._interval_s(presence), now_s)
            self._reached()
        next_s, presence.again_by_s = min(next_s, presence.again_by_s), math.inf
        if not presence.joined or self._is_stopping:
            return
        if self._outage.is_down:
            self._hold(presence, now_s)
        else:
            self._put(presence, next_s)

    def _interval_s(self, presence: UserPresence) -> float:
        return min(
            (self._config.interval_s(x.presence_timeout_s) for x in presence.joined),
            default=math.inf,
        )

    def _put(self, presence: UserPresence, due_s: float) -> None:
        is_sooner = due_s < self._schedule.next_due_s()
        self._schedule.put(presence, due_s)
        if is_sooner:
            self._wake.set()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
