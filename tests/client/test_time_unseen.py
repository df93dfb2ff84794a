"""Suspend and a blocked event loop; promise 16."""

from __future__ import annotations

import asyncio
import logging
import re

import pytest

from presence_async import LeaseHealth, PresenceClient
from presence_async.client.presence_log import log_blocked
from presence_async.emulator import PresenceEmulator
from presence_async.testing.virtual_loop import VirtualLoop


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def test_a_sleep_of_the_machine_beats_everybody_at_once(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    users = [f"user-{n}" for n in range(30)]
    leases = [await client.join("lobby", user_id=user) for user in users]
    changes = leases[0].changes()
    assert (await anext(changes)).health is LeaseHealth.FRESH
    asked = emulator.requests.total
    caplog.set_level(logging.WARNING)

    virtual_loop().suspend(1000)
    await asyncio.sleep(5.5)

    beaten = {e.user_id for e in emulator.requests[asked:]}
    assert beaten == set(users)
    assert emulator.requests.total - asked == 30
    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    assert [r.getMessage() for r in caplog.records] == [
        "the machine slept for 1000 s; sending a heartbeat for every user"
    ]


async def test_the_deadline_counts_the_sleep(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    changes = lease.changes()
    await anext(changes)
    before_s = lease.remaining_s
    emulator.requests.clear()

    virtual_loop().suspend(100)
    change = await anext(changes)

    assert change.health is LeaseHealth.AT_RISK
    assert before_s - 106 < change.remaining_s < before_s - 99
    assert (await anext(changes)).health is LeaseHealth.FRESH


async def test_a_clock_set_back_does_nothing(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    asked = emulator.requests.total

    virtual_loop().suspend(-5000)
    await asyncio.sleep(30)

    assert emulator.requests.total == asked
    assert lease.health is LeaseHealth.FRESH


async def test_a_blocked_loop_is_told_once_an_episode(
    client: PresenceClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await client.join("lobby")
    await asyncio.sleep(20)

    for _ in range(4):
        virtual_loop().advance(7)
        await asyncio.sleep(0.01)
    first = len(caplog.records)
    await asyncio.sleep(30)
    virtual_loop().advance(7)
    await asyncio.sleep(30)

    assert first == 1
    assert len(caplog.records) == 2
    assert re.fullmatch(
        r"the event loop was blocked for at least \d\.\d s",
        caplog.records[0].getMessage(),
    )


@pytest.mark.parametrize(
    ("users", "lost", "cost"),
    [
        ([], 0, ""),
        (["amy", "bob"], 0, ": 2 heartbeats are late (amy, bob)"),
        (
            list("abcdef"),
            2,
            ": 6 heartbeats are late (a, b, c, d, e, …), 2 presences have run out",
        ),
    ],
)
def test_only_what_a_block_cost_is_logged(
    caplog: pytest.LogCaptureFixture, users: list[str], lost: int, cost: str
) -> None:
    log_blocked(6.04, users, lost)

    assert [r.getMessage() for r in caplog.records] == [
        f"the event loop was blocked for at least 6.0 s{cost}"
    ]


async def test_a_long_block_names_what_it_cost_and_beats_all(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    lease = await client.join("lobby", user_id="amy")
    asked = emulator.requests.total

    virtual_loop().advance(400)
    await asyncio.sleep(0.5)

    assert ": 1 heartbeat is late (amy), 1 presence has run out" in caplog.text
    assert emulator.requests.total - asked == 1
    assert lease.health is LeaseHealth.FRESH
