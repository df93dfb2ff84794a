"""The loop that does what the presence engine says: send, answer, tell, sleep.

All decisions are the engine's. Here are the task that wakes up when the engine has
something due, a task for each request under way, and the futures that callers wait for.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import (
    ClientClosedError,
    ConnectionLostError,
    PresenceError,
    RequestError,
)
from ..presence.changes import Change, HealthChanged, Settled, UserForgotten
from ..presence.claims import Claim, Order, Params, Patience, State
from ..presence.engine import PresenceEngine
from ..presence.user import Settings
from ..presence.wire import Acknowledged, Outcome, Purpose, Send, judged
from ..protocol.exchange import Operation
from .aio import TaskOwner
from .clock_watch import LONGEST_TICK_S, ClockReport, ClockWatch
from .config import PresenceConfig
from .limits import check_fits
from .pipeline import Budget, RequestPipeline
from .presence_log import log_blocked, log_change
from .reports import ClosedPresence, CloseReport
from .retry import NoRetry

__all__ = ["HeartbeatLoop"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_RESTART_PAUSE_S = 1.0
_NO_RETRY = NoRetry()


class HeartbeatLoop:
    """The asyncio side of presence: one loop around the engine.

    Args:
        config: Intervals and limits.
        pipeline: Sends.
        on_orphaned: Awaited when the event loop ends while the client is open.
        on_unseen: Called with the seconds slept when time went by unseen.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
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
                max_in_flight=config.max_beats_in_flight,
                max_requests_per_s=config.max_requests_per_s,
                retry=config.retry,
            ),
            random.Random(),  # noqa: S311  # spreads load, guards nothing
        )
        self.lateness_s: deque[float] = deque(maxlen=1024)
        self._task = TaskOwner()
        self._sends: dict[Send, asyncio.Task[Outcome]] = {}
        self._waiting: dict[int, asyncio.Future[Settled]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._sleeps_until_s = 0.0
        self._is_stopping = False
        self._is_aborted = False

    def now_s(self) -> float:
        """Return the loop time."""
        return (self._loop or asyncio.get_running_loop()).time()

    def check_loop(self) -> None:
        """Refuse to be used from another event loop than the client's.

        Raises:
            ClientClosedError: The running loop is another one.
        """
        if self._loop is not None and self._loop is not asyncio.get_running_loop():
            raise ClientClosedError(
                "the client belongs to another event loop; make one for each loop"
            )

    # What callers want. Each waits for a change that the engine reports.

    def patience(self, timeout_s: float) -> Patience:
        """Return the patience of a call that begins now."""
        now_s = self.now_s()
        return Patience(now_s, now_s + timeout_s, self._config.retry)

    def check_fits(
        self,
        user_id: str,
        names: tuple[str, ...],
        *,
        state: State | None,
        params: Params,
    ) -> None:
        """Refuse what no heartbeat, and no change of state, could carry."""
        check_fits(
            self._pipeline, user_id=user_id, names=names, state=state, params=params
        )

    async def join(self, claim: Claim, timeout_s: float | None = None) -> None:
        """Join a claim; returns after its first acknowledged heartbeat.

        Cancellation: what the service may have been told is taken back by a leave.
        """
        names = (*claim.channels, *claim.channel_groups)
        state = (claim.extends or claim).state
        self.check_fits(claim.user_id, names, state=state, params=claim.params)
        limit_s = self._config.call_timeout_s if timeout_s is None else timeout_s
        patience = self.patience(limit_s)
        ticket = self.engine.join(claim, patience, self.now_s())
        await self._settled(claim.user_id, ticket)

    async def release(self, claim: Claim, *, is_closing: bool = False) -> None:
        """End a claim and wait for its leave, unless it lingers.

        Args:
            claim: The claim; nothing happens if it has ended before.
            is_closing: Whether it is the end of a block, which waits for
                ``close_timeout_s`` at most.

        Cancellation: ends the waiting, not the leave.
        """
        self.check_loop()
        config = self._config
        limit_s = config.close_timeout_s if is_closing else config.call_timeout_s
        patience = self.patience(limit_s)
        ticket = self.engine.release(claim, patience, self.now_s())
        if ticket is None:
            self._pump()
        else:
            await self._settled(claim.user_id, ticket)

    async def narrow(self, claim: Claim, channels: tuple[str, ...]) -> None:
        """Take channels out of a claim and wait for their leave.

        Cancellation: ends the waiting, not the leave.
        """
        patience = self.patience(self._config.call_timeout_s)
        ticket = self.engine.narrow(claim, channels, patience, self.now_s())
        await self._settled(claim.user_id, ticket)

    async def leave(
        self,
        user_id: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        *,
        params: Params,
        timeout_s: float,
    ) -> None:
        """Take names out of every claim of a user and leave them.

        Cancellation: ends the waiting, not the leave.
        """
        patience = self.patience(timeout_s)
        ticket = self.engine.leave(
            user_id,
            channels,
            channel_groups,
            params=params,
            patience=patience,
            now_s=self.now_s(),
        )
        await self._settled(user_id, ticket)

    async def set_claim_state(
        self, claim: Claim, state: State, *, gather_s: float | None = None
    ) -> None:
        """Give a claim another state and wait until the service has it."""
        names = (*claim.channels, *claim.channel_groups)
        self.check_fits(claim.user_id, names, state=state, params=claim.params)
        ticket = self.engine.set_claim_state(
            claim,
            state,
            self.patience(self._config.call_timeout_s),
            self.now_s(),
            gather_s=gather_s,
        )
        await self._settled(claim.user_id, ticket)

    async def say(self, order: Order) -> Any:  # noqa: ANN401  # the reply's own type
        """Say something once and return the reply."""
        ticket = self.engine.say(order, self.now_s())
        return await self._settled(order.user_id, ticket)

    def retry_refused(self, user_id: str | None) -> None:
        """Try at once what was refused, of one user or of all."""
        self.engine.retry_refused(user_id, self.now_s())
        self._pump()

    async def _settled(self, user_id: str, ticket: int) -> Any:  # noqa: ANN401
        future = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = future
        self._pump()
        try:
            settled = await future
        except BaseException:
            self._waiting.pop(ticket, None)
            self._give_up(user_id, ticket)
            raise
        if settled.error is not None:
            # A copy: several callers may wait for one request.
            raise copy.copy(settled.error)
        return settled.value

    def _give_up(self, user_id: str, ticket: int) -> None:
        send = self.engine.give_up(user_id, ticket, self.now_s())
        if send is not None and send in self._sends:
            self._sends[send].cancel()
        if not self._is_aborted:
            self._pump()

    # The loop.

    def start(self) -> None:
        """Start the task that keeps presence."""
        self._loop = asyncio.get_running_loop()
        self._task.start(self._run(), name="presence heartbeats")

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
        self._pump()
        began_s = self.now_s()
        due_s = min(self.engine.next_s, began_s + LONGEST_TICK_S)
        self._sleeps_until_s = due_s
        timer = asyncio.get_running_loop().call_at(due_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
        return max(due_s, began_s)

    def _pump(self) -> None:
        """Send everything that may go out now and tell what has changed."""
        now_s, engine = self.now_s(), self.engine
        while (send := engine.take(now_s)) is not None:
            if send.purpose is Purpose.KEEP:
                self.lateness_s.append(now_s - send.due_s)
            task = asyncio.get_running_loop().create_task(
                self._send(send), name=f"presence {send.operation.name}"
            )
            self._sends[send] = task
            task.add_done_callback(functools.partial(self._ended, send))
        for change in engine.drain():
            self._publish(change)
        self._hasten()

    def _hasten(self) -> None:
        """Wake the loop if something is due sooner than it sleeps."""
        if self.engine.next_s < self._sleeps_until_s:
            self._wake.set()

    def _publish(self, change: Change) -> None:
        if isinstance(change, Settled):
            future = self._waiting.pop(change.ticket, None)
            if future is not None and not future.done():
                future.set_result(change)
        elif isinstance(change, UserForgotten):
            pass
        else:
            if isinstance(change, HealthChanged):
                if change.claim.owner is None:
                    return
                change.claim.owner.publish(change)
            log_change(change)

    # One request.

    async def _send(self, send: Send) -> Outcome:
        doubt = _Doubt()
        place = _Place(self.engine, send, self._hasten)
        if not self._pipeline.has_token(send.user_id):
            place.leave()
        operation: Operation[Any] = send.operation
        try:
            answer = await self._pipeline.send(
                operation,
                budget=Budget(send.started_s, send.deadline_s),
                retry=_NO_RETRY,
                gate=place,
                attempt_timeout_s=send.attempt_s,
                params=send.params,
                on_unclear=doubt.note,
            )
        except PresenceError as error:
            is_about_service = True
            if isinstance(error, RequestError):
                error.attempts += send.attempts
                is_about_service = error.is_about_service
            return judged(
                error,
                has_effect=doubt.has_effect,
                is_in_doubt=doubt.is_pending,
                is_about_service=is_about_service,
            )
        return Acknowledged(
            answer.sent_at_s, answer.age_s, answer.value, doubt.is_pending
        )

    def _ended(self, send: Send, task: asyncio.Task[Outcome]) -> None:
        del self._sends[send]
        if self._is_aborted:
            if not task.cancelled():
                task.exception()
            return
        try:
            self.engine.answered(send, _outcome_of(send, task), self.now_s())
            self._pump()
        except Exception:
            logger.critical("taking in an answer crashed; going on", exc_info=True)
            self.engine.abandon(send, self.now_s())
            self._wake.set()
        if self._is_stopping:
            self._wake.set()

    # Time that went by unseen.

    def _catch_up(self, report: ClockReport) -> None:
        if report.blocked_s and not report.slept_s:
            users, lost = self.engine.late(self.now_s())
            log_blocked(report.blocked_s, users, lost)
        if not report.slept_s and not report.is_stop:
            return
        if report.slept_s:
            logger.warning(
                "the machine slept for %.0f s; sending a heartbeat for every user",
                report.slept_s,
            )
        self._pipeline.note_sleep(report.slept_s)
        self._on_unseen(report.slept_s)
        self.engine.slept(report.slept_s, self.now_s())

    # The end.

    async def close(self, timeout_s: float) -> None:
        """Leave everything; returns when nothing is left to say.

        Cancellation: call ``abort`` then; ``report`` tells how far it got.
        """
        self._is_stopping = True
        self._task.abort()
        leave = self._config.leave_on_close
        self.engine.close(self.patience(timeout_s), self.now_s(), leave=leave)
        while True:
            self._pump()
            if self.engine.is_done:
                return
            await self._sleep()

    def abort(self) -> None:
        """Cancel whatever is under way, without waiting."""
        self._is_stopping = self._is_aborted = True
        self._task.abort()
        self.engine.abort()
        for change in self.engine.drain():
            self._publish(change)
        for task in list(self._sends.values()):
            task.cancel()

    async def finish(self) -> None:
        """Wait until the tasks cancelled by ``abort`` have ended."""
        while self._sends:
            await asyncio.wait(list(self._sends.values()))
        await self._task.finish()

    def report(self) -> CloseReport:
        """Return which presences were left and which were not."""
        left: list[ClosedPresence] = []
        failed: list[ClosedPresence] = []
        skipped: list[ClosedPresence] = []
        for departure in self.engine.departures:
            order = departure.order
            error = None if order is None else order.error
            presence = ClosedPresence(
                user_id=departure.user_id,
                channels=departure.channels,
                channel_groups=departure.channel_groups,
                error=error if isinstance(error, PresenceError) else None,
            )
            kept = skipped if order is None else left if error is None else failed
            kept.append(presence)
        return CloseReport(
            left=tuple(left), failed=tuple(failed), skipped=tuple(skipped)
        )


class _Doubt:
    """What the pipeline tells of attempts without a clear answer."""

    __slots__ = ("has_effect", "is_pending")

    def __init__(self) -> None:
        self.has_effect = False
        self.is_pending = False

    def note(self, *, is_pending: bool) -> None:
        """Note an attempt that the service may have acted on, or still may."""
        self.has_effect = True
        self.is_pending |= is_pending


class _Place:
    """A request's place on the wire, in the shape of a gate.

    The engine has reserved it. A request leaves it while it waits for a token, so that
    a token provider that hangs holds back nobody but its own user.
    """

    __slots__ = ("_engine", "_on_left", "_send")

    def __init__(
        self, engine: PresenceEngine, send: Send, on_left: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._send = send
        self._on_left = on_left

    def try_enter(self) -> bool:
        """Take the place; there always is one."""
        self._engine.unpark(self._send)
        return True

    async def enter(self) -> None:
        """Take the place; never called, since ``try_enter`` does not fail."""

    def leave(self) -> None:
        """Give the place to others."""
        self._engine.park(self._send)
        self._on_left()


def _outcome_of(send: Send, task: asyncio.Task[Outcome]) -> Outcome:
    """Return the outcome of a request's task, whatever ended it."""
    error = None if task.cancelled() else task.exception()
    if not task.cancelled() and error is None:
        return task.result()
    if error is not None:
        name = send.operation.name
        logger.critical("a %s of %s crashed", name, send.user_id, exc_info=error)
        problem = f"{type(error).__name__} inside"
    else:
        problem = "it was cancelled"
    failure = ConnectionLostError(
        problem, operation=send.operation.name, attempts=send.attempts + 1
    )
    return judged(failure, has_effect=True, is_in_doubt=True, is_about_service=False)
