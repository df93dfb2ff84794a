"""Registers that answer nonsense, or always the same: presence goes on, calmly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from presence_async import InvalidArgumentError, PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator
from presence_async.register import MemoryRegister
from presence_async.register.values import (
    UNKNOWN,
    Attendance,
    Claimed,
    Departures,
    Holding,
    Worker,
)

from .scene import Line

SPAN_S = 200
TIMEOUT_S = 60
USERS = ("ann", "bob", "cyd")


class ForgetsAtOnce(Line):
    async def claim(self, *about: Any) -> Sequence[Claimed]:
        self.calls["claim"] = self.calls.get("claim", 0) + 1
        await asyncio.sleep(0)
        return [UNKNOWN for _ in about[1]]


class NeverContent(Line):
    async def beaten(self, *about: Any) -> Sequence[tuple[str, ...]]:
        return [beat.names for beat in about[1]]


class AlwaysHasMore(Line):
    async def depart(self, worker: Worker, attendance: Attendance) -> Departures:
        answer = await super().depart(worker, attendance)
        return answer._replace(has_more=True)


class AnswersTooFew(Line):
    async def claim(self, *about: Any) -> Sequence[Claimed]:
        return (await super().claim(*about))[:-1]


class HoldsTwice(Line):
    async def hold(self, worker: Worker, holdings: Sequence[Holding]) -> Any:
        return 2 * list(await super().hold(worker, holdings))


class ClaimsNonsense(Line):
    async def claim(self, *about: Any) -> Any:
        return ["?" for _ in about[1]]


class HoldsNonsense(Line):
    async def hold(self, *about: Any) -> Any:
        return [7 for _ in about[1]]


class AnswersANumber(Line):
    async def claim(self, *about: Any) -> Any:
        return len(about)


class DepartsNonsense(Line):
    async def depart(self, *about: Any) -> Any:
        return len(about)


class RaisesBeforeItIsAwaited(Line):
    def claim(self, *about: Any) -> Any:
        raise RuntimeError(f"at once, asked {len(about)} things")


class CancelsItself(Line):
    async def claim(self, *about: Any) -> Sequence[Claimed]:
        raise asyncio.CancelledError(*about)


@contextlib.asynccontextmanager
async def opened(
    emulator: PresenceEmulator, register: Line
) -> AsyncIterator[PresenceClient]:
    config = emulator.config(user_id="worker", presence_timeout_s=TIMEOUT_S)
    async with PresenceClient(config, register=register) as client:
        yield client


@pytest.mark.parametrize(
    "kind",
    [
        ForgetsAtOnce,
        NeverContent,
        AlwaysHasMore,
        AnswersTooFew,
        HoldsTwice,
        ClaimsNonsense,
        HoldsNonsense,
        AnswersANumber,
        DepartsNonsense,
        RaisesBeforeItIsAwaited,
        CancelsItself,
    ],
    ids=lambda kind: kind.__name__,
)
async def test_presence_goes_on_calmly(
    emulator: PresenceEmulator, kind: type[Line], caplog: pytest.LogCaptureFixture
) -> None:
    register = kind(MemoryRegister())
    async with opened(emulator, register) as client:
        leases = [await client.join("lobby", user_id=user) for user in USERS]
        await asyncio.sleep(SPAN_S)
        healths = [lease.health for lease in leases]
        seen = [(e.user_id, e.action) for e in emulator.events("lobby")]
        sent = sum("/heartbeat" in r.path for r in emulator.requests)

    assert healths == ["fresh"] * len(USERS)
    assert seen == [(user, "join") for user in USERS]
    assert sent <= len(USERS) * SPAN_S
    assert sum(register.calls.values()) <= 60 * SPAN_S
    assert len(caplog.records) <= SPAN_S / 3
    assert not [r for r in caplog.records if r.levelno > logging.WARNING]


class HangsAtTheEnd(Line):
    async def close(self) -> None:
        await asyncio.sleep(math.inf)


class FailsAtTheEnd(Line):
    async def close(self) -> None:
        raise OSError("the folder is gone")


@pytest.mark.parametrize("kind", [HangsAtTheEnd, FailsAtTheEnd])
async def test_a_register_that_cannot_be_closed_is_worth_a_warning(
    emulator: PresenceEmulator, kind: type[Line], caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(30), opened(emulator, kind(MemoryRegister())) as client:
        await client.join("lobby", user_id="ann")

    assert not emulator.occupants("lobby")
    assert [
        "closing the register failed" in x.getMessage() for x in caplog.records
    ] == [True]


def test_the_name_of_a_register_is_no_register() -> None:
    config = PresenceConfig(subscribe_key="demo", user_id="ann")
    with pytest.raises(InvalidArgumentError, match="register_at"):
        PresenceClient(config, register="presence.db")  # type: ignore[arg-type]
