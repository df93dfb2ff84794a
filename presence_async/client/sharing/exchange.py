"""RegisterExchange: what is said to a register and asked of it, batch by batch.

What is asked and what follows from the answers is the engine's affair. Here is the
order: what was said comes before what is asked, and signs of life wait for neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from ...errors import RegisterError
from ...presence.listing import Ask, AskKind
from ...presence.listings import Listings
from ...register.register import Register
from ...register.values import Departures
from ..aio import loop_s
from .pace import RegisterPace
from .register_call import asked, asked_each

__all__ = ["RegisterExchange"]

ItemT = TypeVar("ItemT")

_ASKED_WITHIN_S = 15.0
_AT_ONCE = 256


class RegisterExchange:
    """Carries signs of life, notes and questions to a register, and answers back.

    Args:
        register: Is asked.
        listings: Has what is to be said, and takes the answers in.
        pace: Says what is due.
        pump: Sends what the answers allow.

    Attributes:
        attended: Set by every sign of life, also by one that failed.
    """

    def __init__(
        self,
        register: Register,
        listings: Listings,
        pace: RegisterPace,
        pump: Callable[[], None],
    ) -> None:
        self._register = register
        self._listings = listings
        self._member = listings.membership
        self._pace = pace
        self._pump = pump
        self._at_once = getattr(register, "at_once", _AT_ONCE)
        self.attended: asyncio.Event = asyncio.Event()

    async def speak(self) -> None:
        """Say and ask what there is, and give a sign of life if it is due.

        Raises:
            RegisterError: The register failed. Nobody waits for an answer any more.
        """
        await self._attend_if_due()
        if self._member.is_up:
            await self.note()
            await self._ask()

    # Signs of life.

    async def attend(self) -> None:
        """Give a sign of life, and take in what others have left to this client.

        Raises:
            RegisterError: There was no answer.
        """
        sent_s = loop_s()
        register, worker = self._register, self._member.worker
        attendance = self._member.attendance()
        try:
            answer = await asked(
                register.engine, lambda: register.depart(worker, attendance)
            )
            if not isinstance(answer, Departures):
                raise RegisterError(f"the {register.engine} register answered nonsense")
        finally:
            self.attended.set()
        self._pace.attended(loop_s(), has_more=answer.has_more)
        self._listings.attended(answer, sent_s, loop_s())

    async def _attend_if_due(self) -> None:
        if self._pace.attend_s <= loop_s():
            await self.attend()

    # What was said to the service.

    async def note(self) -> None:
        """Have noted what was said to the service.

        Raises:
            RegisterError: The register failed; what was not noted is forgotten.
        """
        member, register = self._member, self._register
        if self._pace.must_note(loop_s()) or len(member.beaten) >= self._at_once:
            await self._note_beaten()
        departed, member.departed = member.departed, []
        for gone in self._parts(departed):
            owed = await self._each(register.departed, gone)
            for leave, again in zip(gone, owed, strict=True):
                self._listings.say_again(leave.user_id, again, loop_s())
        states, member.states = member.states, []
        for some in self._parts(states):
            await self._each(register.hold, some)

    async def _note_beaten(self) -> None:
        beaten, self._member.beaten = self._member.beaten, []
        self._pace.noted()
        for part in self._parts(beaten):
            now_s = loop_s()
            beats = [x._replace(age_s=max(0.0, now_s - sent_s)) for x, sent_s in part]
            answers = await self._each(self._register.beaten, beats)
            for beat, behind in zip(beats, answers, strict=True):
                if behind:
                    self._listings.noted(beat.user_id, behind, loop_s())

    # What is asked.

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
        if ask.taken_s + _ASKED_WITHIN_S < loop_s():
            raise RegisterError(
                f"the {self._register.engine} register is too slow; questions wait for"
                f" more than {_ASKED_WITHIN_S:g} s"
            )

    def _answers(self, kind: str, values: Sequence[Any]) -> Awaitable[Sequence[Any]]:
        register, attempt_s = self._register, self._member.attempt_s
        if kind is AskKind.RELEASE:
            return self._each(register.release, values, attempt_s)
        if kind is AskKind.HOLD:
            return self._each(register.hold, values)
        return self._each(register.claim, values, attempt_s)

    def _answer(
        self, asks: Sequence[Ask], answers: Sequence[Any] | None
    ) -> RegisterError | None:
        """Take in answers, each whatever another one is; return if any is none."""
        now_s, found = loop_s(), None
        for ask, answer in zip(asks, answers or [None] * len(asks), strict=True):
            try:
                self._listings.answered(ask, answer, now_s)
            except Exception as error:  # noqa: BLE001  # whatever an answer may cause
                found = error
        self._pump()
        if found is None:
            return None
        nonsense = RegisterError(f"the {self._register.engine} register: {found!r}")
        nonsense.__cause__ = found
        return nonsense

    # One call about many users.

    def _parts(self, items: Sequence[ItemT]) -> list[Sequence[ItemT]]:
        step = self._at_once
        return [items[at : at + step] for at in range(0, len(items), step)]

    async def _each(
        self,
        operation: Callable[..., Awaitable[Sequence[ItemT]]],
        values: Sequence[Any],
        *more: float,
    ) -> Sequence[ItemT]:
        """Ask one thing about many users; signs of life do not wait for that."""
        await self._attend_if_due()
        worker = self._member.worker
        return await asked_each(
            self._register.engine,
            len(values),
            lambda: operation(worker, values, *more),
        )
