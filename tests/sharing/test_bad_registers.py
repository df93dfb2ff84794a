"""Registers that answer nonsense: presence goes on, and nothing spins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from presence_async import PresenceClient
from presence_async.emulator import PresenceEmulator
from presence_async.register import MemoryRegister
from presence_async.register.values import UNKNOWN

Twist = Callable[[Sequence[Any]], Any]


def too_few(answers: Sequence[Any]) -> Any:
    return list(answers)[1:]


def none_at_all(_: Sequence[Any]) -> Any:
    return None


def nonsense(answers: Sequence[Any]) -> Any:
    return [object() for _ in answers]


def unknown(answers: Sequence[Any]) -> Any:
    return [UNKNOWN for _ in answers]


def always_behind(answers: Sequence[Any]) -> Any:
    return [("lobby",) for _ in answers]


class Twisted(MemoryRegister):
    """A register one of whose operations answers something else."""

    def __init__(self, operation: str, twist: Twist) -> None:
        super().__init__()
        self.calls = 0
        sound = getattr(self, operation)

        async def twisted(*arguments: Any) -> Any:
            self.calls += 1
            return twist(await sound(*arguments))

        setattr(self, operation, twisted)


@pytest.mark.parametrize(
    ("operation", "twist"),
    [
        *(
            (operation, twist)
            for operation in ("hold", "claim", "beaten", "release", "departed")
            for twist in (too_few, none_at_all, nonsense)
        ),
        ("claim", unknown),
        ("beaten", always_behind),
    ],
)
async def test_whatever_a_register_answers_presence_goes_on(
    emulator: PresenceEmulator,
    operation: str,
    twist: Twist,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "presence_async")
    register = Twisted(operation, twist)
    config = emulator.config(user_id="worker", presence_timeout_s=60)
    async with PresenceClient(config, register=register) as client:
        lease = await client.join("lobby", user_id="alice")
        await asyncio.sleep(600)

        assert lease.health == "fresh"
        assert [event.action for event in emulator.events("lobby")] == ["join"]
        assert register.calls < 3000
        await lease.leave()
