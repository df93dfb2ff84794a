"""The loop that speaks to the register: batches of questions, signs of life.

What is asked and what follows from the answers is the engine's affair. Here are the
task, the time limit, and the order: what was said comes before what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import platform
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from ..checks import checked_hand_over_s, number
from ..errors import InvalidArgumentError, RegisterError
from ..presence.engine import PresenceEngine
from ..presence.listing import Ask, AskKind
from ..presence.listings import Listings
from ..presence.membership import Membership
from ..register.register import Register
from ..register.values import Departures, Worker
from .aio import TaskOwner
from .config import PresenceConfig
from .heartbeat_manager import RegisterStats
from .register_call import asked, asked_each
from .safe_log import SafeLogger

__all__ = ["RegisterLoop"]

logger: SafeLogger = SafeLogger("presence_async.client")

ItemT = TypeVar("ItemT")

_CLOSED_WITHIN_S = 3.0
_ASKED_WITHIN_S = 15.0
_MORE_AFTER_S = 0.02
_CALM_AFTER_S = 30.0
_MOST_PAUSES = 8
_ATTEND_S = (0.75, 1.25)
_NOTED_WITHIN_S = 0.2
_AT_ONCE = 256
_RESTART_PAUSE_S = 1.0


class RegisterLoop:
    """The asyncio side of a register.

    Args:
        register: Is asked.
        config: Whose users they are, and how long an attempt may take.
        engine: Asks, and takes the answers in.
        pump: Sends what the answers allow.

    Attributes:
        register: As given.
        hand_over_s: Seconds in which users of a client that closes may come back.
        listings: What the engine has to do with a register.
    """

    def __init__(
        self,
        register: Register,
        config: PresenceConfig,
        engine: PresenceEngine,
        pump: Callable[[], None],
    ) -> None:
        worker = Worker(config.subscribe_key, "")
        self.register: Register = register
        self.hand_over_s: float = checked_hand_over_s(register.hand_over_s)
        grace_s = number(
            register.crash_grace_s, "crash_grace_s", least=0, may_be_infinite=True
        )
        self._member = Membership(worker, grace_s, config.attempt_timeout_s)
        self.listings: Listings = Listings(self._member, engine.shared, engine.dispatch)
        engine.shared.sharing = self.listings
        self._pump = pump
        self._rng = engine.shared.rng
        self._at_once = getattr(register, "at_once", _AT_ONCE)
        self._tasks = TaskOwner()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._attended = asyncio.Event()
        self._attend_at_s = -math.inf
        self._failed_s = -math.inf
        self._pauses = 1
        self._noted_since_s = math.inf
        self._sleeps_until_s = 0.0
        self._is_closing = False
        self._is_last = False
        self._is_open = False
        self._is_aborted = False
        self._close_timeout_s = 2 * config.close_timeout_s

    def stats(self) -> RegisterStats:
        """Return the figures of this moment."""
        return RegisterStats(
            engine=self.register.engine,
            is_up=self._member.is_up,
            leading=self.listings.leading,
            following=self.listings.following,
            lingering=self._member.lingering,
            unasked=self._member.unasked,
        )

    # Opening, and the task.

    async def open(self) -> None:
        """Get ready, up to the first sign of life; if it is away, later.

        Raises:
            ImportError: A package for it is not installed.
            InvalidArgumentError: It cannot work here.

        Cancellation: closes the register.
        """
        # Not before: the process may have been forked since the client was made.
        label = f"{platform.node()}:{os.getpid()}"
        self._member.worker = self._member.worker._replace(
            worker_id=secrets.token_urlsafe(6), label=label
        )
        try:
            await asked(self.register.engine, self.register.open)
            self._is_open = True
            await self._attend()
        except RegisterError as error:
            self._is_open = True
            self.listings.lose(error, _now_s())
        except (ImportError, InvalidArgumentError):
            await self._close()
            raise
        except BaseException:
            self._is_open = True
            await self._close()
            raise

    def start(self) -> None:
        """Start the task that speaks to the register."""
        self._task = self._tasks.create(self._run(), name="presence register")

    async def _run(self) -> None:
        try:
            await self._keep()
        except asyncio.CancelledError:
            # The last cancel of asyncio.run: the task that sends heartbeats closes the
            # client then, and the leaves that it sends have to be allowed.
            if not self._is_aborted:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._close_timeout_s):
                        await self._keep()
            raise

    async def _keep(self) -> None:
        while True:
            try:
                while True:
                    await self._speak()
                    await self._sleep()
            except Exception as error:
                logger.critical("the register loop crashed; restarting", exc_info=True)
                self.listings.lose(error, _now_s())
            await asyncio.sleep(_RESTART_PAUSE_S)

    async def _speak(self) -> None:
        """Say and ask what there is, a batch of each kind, and give signs of life."""
        try:
            if self._attend_at_s <= _now_s():
                await self._attend()
            if self._member.is_up:
                await self._note()
                await self._ask()
        except RegisterError as error:
            self._attend_at_s = _now_s() + self._pause_s()
            self.listings.lose(error, _now_s())
        self._pump()

    def _pause_s(self) -> float:
        """Return how long to wait after a failure; longer if it fails on and on."""
        if self._member.is_up:
            # It gives signs of life and then fails, which might go on for ever.
            is_again = _now_s() < self._failed_s + _CALM_AFTER_S
            self._pauses = min(2 * self._pauses, _MOST_PAUSES) if is_again else 1
            self._failed_s = _now_s()
        return self._pauses * self._rng.uniform(*_ATTEND_S)

    async def _sleep(self) -> None:
        member = self._member
        is_busy = member.is_up and member.has_questions
        until_s = self._attend_at_s
        if member.beaten and member.is_up:
            self._noted_since_s = min(self._noted_since_s, _now_s())
            until_s = min(until_s, self._noted_since_s + _NOTED_WITHIN_S)
        if is_busy or until_s <= _now_s():
            await asyncio.sleep(0)
            return
        self._wake.clear()
        self._sleeps_until_s = until_s
        timer = asyncio.get_running_loop().call_at(until_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
            self._sleeps_until_s = -math.inf

    def hasten(self) -> None:
        """Wake the loop if there is something to say sooner than it sleeps."""
        member = self._member
        if not member.is_up:
            return
        due_s = math.inf
        if member.has_questions:
            due_s = -math.inf
        elif member.beaten:
            due_s = _now_s() + _NOTED_WITHIN_S
        if due_s < self._sleeps_until_s:
            self._wake.set()

    # One exchange.

    async def _attend(self) -> None:
        sent_s = _now_s()
        attendance = self._member.attendance(
            is_closing=self._is_closing, is_last=self._is_last
        )
        register, worker = self.register, self._member.worker
        try:
            answer = await asked(
                register.engine, lambda: register.depart(worker, attendance)
            )
            if not isinstance(answer, Departures):
                raise RegisterError(f"the {register.engine} register answered nonsense")
        finally:
            self._attended.set()
        wait_s = _MORE_AFTER_S if answer.has_more else self._rng.uniform(*_ATTEND_S)
        self._attend_at_s = _now_s() + wait_s
        self.listings.attended(answer, sent_s, _now_s())

    async def _each(
        self,
        operation: Callable[..., Awaitable[Sequence[ItemT]]],
        values: Sequence[Any],
        *more: float,
    ) -> Sequence[ItemT]:
        """Ask one thing about many users; signs of life do not wait for that."""
        if self._attend_at_s <= _now_s():
            await self._attend()
        worker = self._member.worker
        return await asked_each(
            self.register.engine,
            len(values),
            lambda: operation(worker, values, *more),
        )

    async def _note(self) -> None:
        """Have noted what was said to the service."""
        member, register = self._member, self.register
        is_old = self._noted_since_s + _NOTED_WITHIN_S <= _now_s()
        if is_old or member.has_questions or len(member.beaten) >= self._at_once:
            beaten, member.beaten = member.beaten, []
            self._noted_since_s = math.inf
            for part in self._parts(beaten):
                now_s = _now_s()
                beats = [
                    x._replace(age_s=max(0.0, now_s - sent_s)) for x, sent_s in part
                ]
                answers = await self._each(register.beaten, beats)
                for beat, behind in zip(beats, answers, strict=True):
                    if behind:
                        self.listings.noted(beat.user_id, behind, _now_s())
        departed, member.departed = member.departed, []
        for gone in self._parts(departed):
            owed = await self._each(register.departed, gone)
            for leave, again in zip(gone, owed, strict=True):
                self.listings.say_again(leave.user_id, again, _now_s())
        states, member.states = member.states, []
        for some in self._parts(states):
            await self._each(register.hold, some)

    async def _ask(self) -> None:
        for kind in (AskKind.RELEASE, AskKind.HOLD, AskKind.CLAIM):
            asks, self._member.asks[kind] = self._member.asks[kind], []
            for place, part in enumerate(self._parts(asks)):
                try:
                    self._check_pace(part[0])
                    answers = await self._answers(kind, [ask.value for ask in part])
                except BaseException:
                    self._answer(asks[place * self._at_once :], None)
                    raise
                if error := self._answer(part, answers):
                    self._answer(asks[(place + 1) * self._at_once :], None)
                    raise error

    def _check_pace(self, ask: Ask) -> None:
        """Refuse to wait for a register that answers, but ever later.

        Raises:
            RegisterError: The question has waited for too long.
        """
        if ask.taken_s + _ASKED_WITHIN_S < _now_s():
            raise RegisterError(
                f"the {self.register.engine} register is too slow; questions wait for"
                f" more than {_ASKED_WITHIN_S:g} s"
            )

    def _answers(self, kind: str, values: Sequence[Any]) -> Awaitable[Sequence[Any]]:
        register, attempt_s = self.register, self._member.attempt_s
        if kind is AskKind.RELEASE:
            return self._each(register.release, values, attempt_s)
        if kind is AskKind.HOLD:
            return self._each(register.hold, values)
        return self._each(register.claim, values, attempt_s)

    def _answer(
        self, asks: Sequence[Ask], answers: Sequence[Any] | None
    ) -> RegisterError | None:
        """Take in answers, each whatever another one is; return if any is none."""
        now_s, found = _now_s(), None
        for ask, answer in zip(asks, answers or [None] * len(asks), strict=True):
            try:
                self.listings.answered(ask, answer, now_s)
            except Exception as error:  # noqa: BLE001  # whatever an answer may cause
                found = error
        self._pump()
        if found is None:
            return None
        nonsense = RegisterError(f"the {self.register.engine} register: {found!r}")
        nonsense.__cause__ = found
        return nonsense

    def _parts(self, items: Sequence[ItemT]) -> list[Sequence[ItemT]]:
        step = self._at_once
        return [items[at : at + step] for at in range(0, len(items), step)]

    # The end.

    async def begin_closing(self) -> bool:
        """Say that this client takes no users any more; return if others do.

        Cancellation: as a register that is away.
        """
        self._is_closing = True
        await self._attend_now()
        return self._member.is_up and self._member.workers > 0

    async def see_off(self) -> bool:
        """As the last client: take the departures that would come later.

        Returns:
            True if there were any, so that there may be more.
        """
        self._is_last = True
        await self._attend_now()
        return self._member.is_up and self._member.departures > 0

    async def _attend_now(self) -> None:
        if self._task is None:
            return
        if self._task.done() or self._task.cancelling():
            # By the end of ``asyncio.run``, which nobody closed the client before.
            self.start()
        self._attended.clear()
        self._attend_at_s = -math.inf
        self._wake.set()
        await self._attended.wait()

    async def flush(self) -> None:
        """Have noted what is still to be noted."""
        if self._member.is_up and self._is_open:
            self._noted_since_s = -math.inf
            try:
                await self._note()
            except RegisterError as error:
                self.listings.lose(error, _now_s())

    def abort(self) -> None:
        """Cancel the task, without waiting."""
        self._is_aborted = True
        self._tasks.abort()

    async def finish(self) -> None:
        """Wait for the end of the task and close the register."""
        await self._tasks.finish()
        await self._close()

    async def _close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        register = self.register
        try:
            await asked(register.engine, register.close, _CLOSED_WITHIN_S)
        except Exception as error:  # noqa: BLE001  # the client is closed all the same
            logger.warning("closing the register failed: %s", error)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
