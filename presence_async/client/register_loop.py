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

from ..errors import InvalidArgumentError, RegisterError
from ..presence.engine import PresenceEngine
from ..presence.listing import Ask, AskKind
from ..presence.listings import Listings
from ..presence.membership import Membership
from ..register.register import Register
from ..register.values import Worker
from .aio import TaskOwner
from .config import PresenceConfig
from .heartbeat_manager import RegisterStats
from .safe_log import SafeLogger

__all__ = ["RegisterLoop"]

logger: SafeLogger = SafeLogger("presence_async.client")

AnswerT = TypeVar("AnswerT")

_LIMIT_S = 1.0
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
        label = f"{platform.node()}:{os.getpid()}"
        worker = Worker(config.subscribe_key, secrets.token_urlsafe(6), 1, label)
        self._member = Membership(
            worker, register.crash_grace_s, config.attempt_timeout_s
        )
        self.register: Register = register
        self.hand_over_s: float = register.hand_over_s
        self.listings: Listings = Listings(self._member, engine.shared, engine.dispatch)
        engine.shared.sharing = self.listings
        self._pump = pump
        self._rng = engine.shared.rng
        self._task = TaskOwner()
        self._wake = asyncio.Event()
        self._attended = asyncio.Event()
        self._attend_at_s = -math.inf
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
            InvalidArgumentError: It cannot work here.
        """
        try:
            await self._limited(self.register.open())
            await self._attend()
        except RegisterError as error:
            self.listings.lose(error, _now_s())
        self._is_open = True

    def start(self) -> None:
        """Start the task that speaks to the register."""
        self._task.start(self._run(), name="presence register")

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
            self.listings.lose(error, _now_s())
            self._attend_at_s = _now_s() + self._rng.uniform(*_ATTEND_S)
        self._pump()

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
        try:
            answer = await self._limited(
                self.register.depart(self._member.worker, attendance)
            )
        finally:
            self._attended.set()
        wait_s = 0.0 if answer.has_more else self._rng.uniform(*_ATTEND_S)
        self._attend_at_s = _now_s() + wait_s
        self.listings.attended(answer, sent_s, _now_s())

    async def _note(self) -> None:
        """Have noted what was said to the service."""
        member, worker = self._member, self._member.worker
        is_old = self._noted_since_s + _NOTED_WITHIN_S <= _now_s()
        if is_old or member.has_questions or len(member.beaten) >= _AT_ONCE:
            beaten, member.beaten = member.beaten, []
            self._noted_since_s = math.inf
            for part in _parts(beaten):
                now_s = _now_s()
                beats = [
                    x._replace(age_s=max(0.0, now_s - sent_s)) for x, sent_s in part
                ]
                noting = self.register.beaten(worker, beats)
                answers = await self._answers_to(noting, beats)
                for beat, behind in zip(beats, answers, strict=True):
                    if behind:
                        self.listings.noted(beat.user_id, behind, _now_s())
        departed, member.departed = member.departed, []
        for gone in _parts(departed):
            owed = await self._answers_to(self.register.departed(worker, gone), gone)
            for leave, again in zip(gone, owed, strict=True):
                self.listings.say_again(leave.user_id, again, _now_s())
        states, member.states = member.states, []
        for some in _parts(states):
            await self._limited(self.register.hold(worker, some))

    async def _ask(self) -> None:
        for kind in (AskKind.RELEASE, AskKind.HOLD, AskKind.CLAIM):
            asks, self._member.asks[kind] = self._member.asks[kind], []
            rest = list(asks)
            try:
                for part in _parts(asks):
                    answers = await self._answers_to(self._question(kind, part), part)
                    del rest[: len(part)]
                    self._answer(part, answers)
            finally:
                # What is not answered goes on without.
                self._answer(rest, [None] * len(rest))

    def _question(self, kind: str, asks: Sequence[Ask]) -> Awaitable[Sequence[Any]]:
        register, worker = self.register, self._member.worker
        values: list[Any] = [ask.value for ask in asks]
        if kind is AskKind.HOLD:
            return register.hold(worker, values)
        if kind is AskKind.RELEASE:
            return register.release(worker, values, self._member.attempt_s)
        return register.claim(worker, values, self._member.attempt_s)

    def _answer(self, asks: Sequence[Ask], answers: Sequence[Any]) -> None:
        """Take answers in, all of them.

        Raises:
            RegisterError: One of them made no sense.
        """
        now_s, failed = _now_s(), None
        for ask, answer in zip(asks, answers, strict=True):
            try:
                self.listings.answered(ask, answer, now_s)
            except Exception as error:
                failed = error
                logger.critical("an answer of the register crashed", exc_info=True)
        if asks:
            self._pump()
        if failed is not None:
            problem = f"answered what makes no sense: {failed!r}"
            raise RegisterError(f"the {self.register.engine} register {problem}")

    async def _answers_to(
        self, call: Awaitable[Sequence[AnswerT]], asked: Sequence[object]
    ) -> Sequence[AnswerT]:
        """Wait for as many answers as were asked for.

        Raises:
            RegisterError: There were none, or another number of them.
        """
        answers = await self._limited(call)
        if len(answers) != len(asked):
            problem = f"gave {len(answers)} answers to {len(asked)} questions"
            raise RegisterError(f"the {self.register.engine} register {problem}")
        return answers

    async def _limited(self, call: Awaitable[AnswerT]) -> AnswerT:
        """Wait for an answer, for a second.

        Raises:
            RegisterError: There was none, whatever the reason.
            InvalidArgumentError: As the register raised it.
        """
        engine = self.register.engine
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await call
        except TimeoutError:
            problem = f"the {engine} register did not answer within {_LIMIT_S:g} s"
            raise RegisterError(problem) from None
        except (RegisterError, ImportError, InvalidArgumentError):
            raise
        except Exception as error:
            problem = f"the {engine} register failed: {error}"
            raise RegisterError(problem) from error

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
        if not self._task:
            return
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
        self._task.abort()

    async def finish(self) -> None:
        """Wait for the end of the task and close the register."""
        await self._task.finish()
        if self._is_open:
            self._is_open = False
            await self.register.close()


def _parts(items: Sequence[AnswerT]) -> list[Sequence[AnswerT]]:
    return [items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE)]


def _now_s() -> float:
    return asyncio.get_running_loop().time()
