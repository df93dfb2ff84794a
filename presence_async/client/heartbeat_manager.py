"""HeartbeatManager: the task that keeps leases alive."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable

from ..errors import ClientClosedError
from .config import PresenceConfig
from .lease import Lease, LeaseHealth
from .pipeline import RequestPipeline
from .presence.beat_plan import BeatPlan
from .presence.beating import Beater, Visit
from .presence.clock_watch import LONGEST_TICK_S, ClockWatch, Lapse
from .presence.lanes import Lanes
from .presence.register import PresenceRegister
from .presence.user_presence import UserPresence
from .reports import HeartbeatStats
from .request.gates import Gate
from .task_owner import TaskOwner

__all__ = ["HeartbeatManager"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_RESTART_PAUSE_S = 1.0
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
        self._lateness_s: deque[float] = deque(maxlen=1024)
        self._loop_task = TaskOwner()
        self._beats = TaskOwner(self._beat_ended)
        self._wake = asyncio.Event()
        self._plan = BeatPlan(
            config,
            register,
            overtaken=self._beater.overtaken,
            on_sooner=self._wake.set,
        )
        self._is_stopping = False

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Every lease held; those still joining are not among them."""
        return tuple(lease for user in self._register for lease in user.joined)

    def stats(self) -> HeartbeatStats:
        """Return how the heartbeats stand now."""
        healths = [lease.health for lease in self.leases]
        late_s = sorted(self._lateness_s) or [0.0]
        next_s = self._plan.next_due_s() - _now_s()
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
        self._reached()
        place_s = self._plan.place(presence, _now_s())
        if not presence.is_beating:
            # The shorter wait counts, and is the place then.
            presence.place_s = min(place_s, presence.due_s)
            self._plan.put(presence, presence.place_s)

    def beat_by(self, user_id: str, due_s: float) -> None:
        """Beat a user no later than at a loop time."""
        presence = self._register.get(user_id)
        if presence is not None and presence.joined:
            self._beat_by(presence, due_s)

    def _beat_by(self, presence: UserPresence, due_s: float) -> None:
        if presence.is_beating:
            presence.again_by_s = min(due_s, presence.again_by_s)
        else:
            self._plan.hasten(presence, due_s)

    def beat_refused(self, user_id: str | None) -> None:
        """Beat at once what was refused, of one user or of all."""
        for presence in self._register:
            is_meant = user_id is None or presence.user_id == user_id
            if is_meant and any(
                lease.health is LeaseHealth.REFUSED for lease in presence.joined
            ):
                self._beat_by(presence, _now_s())

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
            self._pick_up()
            while True:
                self._wake.clear()
                self._start_due()
                began_s = _now_s()
                look_s = self._plan.next_look_s(len(self._beats))
                due_s = min(look_s, began_s + LONGEST_TICK_S)
                await self._sleep_until(due_s)
                self._catch_up(watch.look(max(due_s, began_s)))
        except Exception:
            logger.critical("the heartbeat loop crashed; it goes on", exc_info=True)
        await asyncio.sleep(_RESTART_PAUSE_S)

    def _pick_up(self) -> None:
        """Plan those again whose turn a crash has cut short."""
        for presence in self._register:
            if presence.due_s == math.inf and not (
                presence.is_beating or presence.is_held
            ):
                self.beat_by(presence.user_id, _now_s())

    async def _sleep_until(self, due_s: float) -> None:
        timer = asyncio.get_running_loop().call_at(due_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _start_due(self) -> None:
        now_s = _now_s()
        while (due := self._plan.take(now_s, len(self._beats))) is not None:
            presence, due_s = due
            self._lateness_s.append(now_s - due_s)
            self._beater.overtaken(presence, now_s)
            presence.is_beating, presence.is_held = True, False
            self._beats.start(self._beat(presence), name="presence beat")

    def _reached(self) -> None:
        """Note that the service answers; after an outage beat all who wait."""
        if not self._plan.restored():
            return
        logger.info("the service can be reached again")
        self._pipeline.forget_connections()
        self._beat_now([x for x in self._register if x.is_held or x.failures])

    def _beat_now(self, presences: list[UserPresence]) -> None:
        """Beat users within the bounds, first those who can still be saved."""
        now_s = _now_s()
        ends = {x: x.end_s(now_s) for x in presences if x.joined}
        for presence in sorted(ends, key=lambda x: (ends[x] <= now_s, ends[x])):
            presence.is_held = False
            self._beat_by(presence, now_s)

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
        self._plan.start_over()
        for presence in self._register:
            for lease in presence.leases:
                lease.expires_at_s -= lapse.slept_s
            self._beater.overslept(presence, _now_s())
        self._beat_now(list(self._register))

    def _tell_blocked(self, blocked_s: float) -> None:
        now_s = _now_s()
        late = [x for x in self._register if x.due_s <= now_s]
        lost = sum(x.end_s(now_s) <= now_s for x in late)
        who = ", ".join(x.user_id for x in late[:_MOST_NAMED])
        logger.warning(
            "the event loop was blocked for %.1f s: %d heartbeats are late (%s%s),"
            " %d presences have run out",
            blocked_s,
            len(late),
            who or "none",
            ", …" if len(late) > _MOST_NAMED else "",
            lost,
        )

    async def _beat(self, presence: UserPresence) -> None:
        visit = Visit(is_answered=False, retry_after_s=None)
        try:
            attempt_s = self._plan.attempt_s(presence, _now_s())
            visit = await self._beater.visit(presence, attempt_s)
        except ClientClosedError:
            return
        except Exception as error:
            logger.exception("a heartbeat of %s crashed", presence.user_id)
            self._beater.crashed(presence, error)
        finally:
            presence.is_beating = False
        self._plan_next(presence, visit)

    def _beat_ended(self) -> None:
        """Look again if somebody may have waited for this one to end."""
        if self._plan.waits_for_ends(len(self._beats) + 1):
            self._wake.set()

    def _plan_next(self, presence: UserPresence, visit: Visit) -> None:
        now_s = _now_s()
        if visit.is_answered:
            self._reached()
        if presence.failures:
            next_s = self._plan.failed(
                presence,
                now_s,
                is_answered=visit.is_answered,
                retry_after_s=visit.retry_after_s,
            )
        else:
            next_s = self._plan.succeeded(presence, now_s)
        again_by_s, presence.again_by_s = presence.again_by_s, math.inf
        if not presence.joined or self._is_stopping:
            return
        self._plan.put(presence, next_s)
        if again_by_s < math.inf:
            self._plan.hasten(presence, again_by_s)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
