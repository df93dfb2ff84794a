"""The loop that does what the presence engine says: send, answer, tell, sleep.

All decisions are the engine's. Here are the task that wakes up when the engine has
something due, the requests under way, and the futures that callers wait for.
"""

from __future__ import annotations

import asyncio
import copy
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ..presence import overview
from ..presence.claims import LeaseHealth, Patience
from ..presence.engine import PresenceEngine
from ..presence.settings import Settings
from ..presence.wire import Outcome, Purpose, Send
from .aio import TaskOwner
from .clock_watch import LONGEST_TICK_S, ClockReport, ClockWatch
from .config import PresenceConfig
from .lifecycle import check_loop
from .observers import Observers
from .pipeline import RequestPipeline
from .presence_news import PresenceNews
from .presence_request import PlaceQueue, PresenceRequest
from .register_shell import RegisterShell
from .safe_log import SafeLogger

__all__ = ["HeartbeatLoop"]

logger: SafeLogger = SafeLogger("presence_async.client")

_RESTART_PAUSE_S = 1.0
_CUT_AFTER = 1 / 4


class HeartbeatLoop:
    """The asyncio side of presence: one loop around the engine.

    Args:
        config: Intervals and limits.
        pipeline: Sends.
        observers: Told of heartbeats, of leases and of a blocked loop.
        on_orphaned: Awaited when the event loop ends while the client is open.
        on_unseen: Called with the seconds slept when time went by unseen.

    Attributes:
        engine: Decides everything.
        register: Speaks to the register, if there is one; set before the start.
        news: Tells whoever waits, follows or watches.
        lateness_s: How late the latest heartbeats went out.
        now_s: Returns the loop time.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        observers: Observers,
        *,
        on_orphaned: Callable[[], Awaitable[object]],
        on_unseen: Callable[[float], None],
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._on_orphaned = on_orphaned
        self._on_unseen = on_unseen
        self.engine: PresenceEngine = PresenceEngine(
            Settings(
                subscribe_key=config.subscribe_key,
                interval_s=config.interval_s,
                presence_timeout_s=config.presence_timeout_s,
                attempt_timeout_s=config.attempt_timeout_s,
                close_timeout_s=config.close_timeout_s,
                max_in_flight=pipeline.heartbeats_at_once,
                max_requests_per_s=config.max_requests_per_s,
                retry=config.retry,
            ),
            random.Random(),  # noqa: S311  # spreads load, guards nothing
        )
        self.register: RegisterShell | None = None
        self.news: PresenceNews = PresenceNews(
            self.engine, observers, pipeline.forget_user
        )
        self.lateness_s: deque[float] = deque(maxlen=1024)
        self._places = PlaceQueue(self.engine.places, self._hasten)
        self._task = TaskOwner()
        self._requests: dict[Send, PresenceRequest] = {}
        # Since when heartbeats had been due when the process stood still.
        self._overdue: dict[str, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self.now_s: Callable[[], float] = _running_time_s
        self._wake = asyncio.Event()
        self._sleeps_until_s = 0.0
        self._is_pump_due = False
        self._is_stopping = False
        self._is_aborted = False

    @property
    def lost(self) -> int:
        """How many leases have run out."""
        claims = overview.claims(self.engine)
        return sum(claim.health is LeaseHealth.LOST for claim in claims)

    def check_loop(self) -> None:
        """Refuse to be used from another event loop than the client's.

        Raises:
            ClientClosedError: The running loop is another one.
        """
        check_loop(self._loop, "the client")

    # What callers want: each waits for a change that the engine reports.

    def retry_refused(self, user_id: str | None) -> None:
        """Try at once what was refused, of one user or of all."""
        self.engine.retry_refused(user_id, self.now_s())
        self.pump()

    async def settled(self, user_id: str, ticket: int) -> Any:  # noqa: ANN401  # the reply's own type
        """Wait until a wish has come true; return the service's reply to it.

        Cancellation: forgets the wish, but for a leave, and cuts its request.
        """
        future = self.news.expect(ticket)
        try:
            self.pump()
            settled = await future
        except BaseException:
            self.news.forget(ticket)
            self._give_up(user_id, ticket)
            raise
        self.news.forget(ticket)
        if settled.error is not None:
            # A copy: several callers may wait for one request.
            raise copy.copy(settled.error)
        return settled.value

    def _give_up(self, user_id: str, ticket: int) -> None:
        try:
            send = self.engine.give_up(user_id, ticket, self.now_s())
        except Exception:
            # Raised, it would take the place of the caller's cancellation.
            logger.critical("giving up a call crashed; going on", exc_info=True)
            return
        if send is not None and send in self._requests:
            self._requests[send].cancel()
        self.pump()

    # The loop.

    def start(self) -> None:
        """Start the task that keeps presence."""
        self._loop = asyncio.get_running_loop()
        self.now_s = self._loop.time
        self._task.start(self._run(), name="presence heartbeats")
        if self.register is not None:
            self.register.start()

    async def _run(self) -> None:
        try:
            while True:
                await self._keep()
        except asyncio.CancelledError:
            # The last cancel of asyncio.run: nobody will call close any more, and
            # this task is the one that the loop still waits for.
            if not self._is_stopping:
                await self._on_orphaned()
            raise

    async def _keep(self) -> None:
        try:
            watch = ClockWatch()
            watch.look(self.now_s())
            while True:
                due_s = await self._sleep()
                self._catch_up(watch.look(due_s))
        except Exception:
            logger.critical("the heartbeat loop crashed; restarting", exc_info=True)
        await asyncio.sleep(_RESTART_PAUSE_S)

    async def _sleep(self) -> float:
        """Send what is due and sleep until the engine is due next; returns when."""
        self._wake.clear()
        self._send_and_tell()
        began_s = self.now_s()
        due_s = min(self.engine.next_s, began_s + LONGEST_TICK_S)
        self._sleeps_until_s = due_s
        timer = asyncio.get_running_loop().call_at(due_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
        return max(due_s, began_s)

    def pump(self) -> None:
        """Send what may go out now and tell what has changed; never raises.

        A crash may concern another user than the caller's; the loop tries again.
        """
        try:
            self._send_and_tell()
        except Exception:
            logger.critical("sending what is due crashed; going on", exc_info=True)
            self._wake.set()
        if self._is_stopping:
            # An answer of the register may have been the last that was waited for.
            self._wake.set()

    def _send_and_tell(self) -> None:
        if self._is_aborted:
            # Nobody would wait for what is sent now, nor cancel it.
            return
        now_s, engine = self.now_s(), self.engine
        self._places.admit()
        next_s = engine.next_s
        while next_s <= now_s and (send := engine.take(now_s)) is not None:
            since_s = self._overdue.pop(send.user_id, math.inf)
            if send.purpose is Purpose.KEEP:
                send.due_s = min(send.due_s, since_s)
                self.lateness_s.append(now_s - send.due_s)
            request = PresenceRequest(self._pipeline, send, self._places, self._ended)
            request.context = self.news.context_of(send)
            self._requests[send] = request
            request.begin()
            next_s = engine.next_s
        self.news.tell()
        if self.register is not None:
            self.register.hasten()
        if next_s < self._sleeps_until_s:
            self._hasten()

    def _hasten(self) -> None:
        """Wake the loop if something is due sooner than it sleeps."""
        if self.engine.next_s < self._sleeps_until_s:
            self._wake.set()

    # One request.

    def _ended(self, send: Send, outcome: Outcome) -> None:
        del self._requests[send]
        self.news.answered(send, outcome, self.now_s())
        if self._is_aborted:
            return
        recorder = self.news.recorder
        is_told = recorder is not None and recorder.hears(send, outcome, self.now_s())
        try:
            self.engine.answered(send, outcome, self.now_s())
        except Exception:
            logger.critical("taking in an answer crashed; going on", exc_info=True)
            self.engine.abandon(send, self.now_s())
            self._wake.set()
        if recorder is not None and is_told:
            recorder.answered(send, outcome)
        if not self._is_pump_due:
            # Once for all answers of one turn of the event loop.
            self._is_pump_due = True
            asyncio.get_running_loop().call_soon(self._pump_once)
        if self._is_stopping:
            self._wake.set()

    def _pump_once(self) -> None:
        self._is_pump_due = False
        self.pump()

    # Time that went by unseen.

    def _catch_up(self, report: ClockReport) -> None:
        if self.news.recorder is not None:
            self.news.recorder.looked(report, self.now_s())
        if not report.slept_s:
            self.news.unseen(report, self.now_s())
        if report.slept_s or report.is_stop:
            self._make_up_for(report)

    def _make_up_for(self, report: ClockReport) -> None:
        """Do at once what was due while the machine slept or the process stopped."""
        self._overdue = overview.overdue(self.engine, self.now_s())
        # First: it must not be lost, whatever fails below.
        self.engine.slept(report.slept_s, self.now_s())
        if report.slept_s:
            self.news.unseen(report, self.now_s())
        self._pipeline.note_sleep(report.slept_s)
        self._on_unseen(report.slept_s)

    # The end.

    async def close(self, timeout_s: float, hand_over_s: float | None) -> None:
        """Leave or hand over everything; returns when nothing is left to say.

        Cancellation: call ``abort`` then; ``engine.departures`` tell how far it got.
        """
        self._is_stopping = True
        self._task.abort()
        leave = self._config.leave_on_close
        has_successors = False
        if self.register is not None:
            has_successors = await self.register.begin_closing()
            if hand_over_s is None and leave and has_successors:
                hand_over_s = self.register.hand_over_s
        now_s = self.now_s()
        patience = Patience(now_s, now_s + timeout_s, self._config.retry)
        self.engine.close(patience, now_s, leave=leave, hand_over_s=hand_over_s)
        cut_s = now_s + timeout_s * _CUT_AFTER
        cut = asyncio.get_running_loop().call_at(cut_s, self._cut_pointless)
        try:
            await self._drain()
            if self.register is not None:
                await self.register.flush()
                is_last = leave and not hand_over_s and not has_successors
                while is_last and await self.register.see_off():
                    await self._drain()
                    await self.register.flush()
        finally:
            cut.cancel()

    async def _drain(self) -> None:
        """Send until nothing is left to say."""
        while True:
            self.pump()
            if self.engine.is_done:
                return
            await self._sleep()

    def _cut_pointless(self) -> None:
        """Cut what nobody wants any more, for the leaves that wait behind it.

        Not at once: whatever is cut is in doubt, and a leave after it is repeated.
        """
        for send, request in list(self._requests.items()):
            if send.is_pointless:
                request.cancel()

    def abort(self) -> None:
        """Cancel whatever is under way, without waiting."""
        self._is_stopping = self._is_aborted = True
        self._task.abort()
        self.engine.abort(self.now_s())
        self.news.tell()
        for request in list(self._requests.values()):
            request.cancel()
        if self.register is not None:
            self.register.abort()

    async def finish(self) -> None:
        """Wait until the tasks cancelled by ``abort`` have ended."""
        while tasks := [x.task for x in self._requests.values() if x.task is not None]:
            await asyncio.wait(tasks)
        await self._task.finish()
        if self.register is not None:
            await self.register.finish()


def _running_time_s() -> float:
    return asyncio.get_running_loop().time()
