"""The health of a lease is never better than the time it has left; promise 2."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from presence_async import Lease, LeaseHealth, PresenceClient
from presence_async.emulator import Fault, PresenceEmulator

from .outages import KINDS, outage

pytestmark = pytest.mark.slow

STEP_S = 0.05
HANG = Fault(operation="heartbeat", delay_s=math.inf, times=1)


def timeouts(emulator: PresenceEmulator) -> list[str]:
    return [e.user_id for e in emulator.events("lobby") if e.action == "timeout"]


async def watch(leases: list[Lease], seconds: float) -> None:
    """Look at leases every 50 ms; their health and their time have to agree."""
    for _ in range(round(seconds / STEP_S)):
        await asyncio.sleep(STEP_S)
        for lease in leases:
            if lease.health is not LeaseHealth.REFUSED:
                is_lost = lease.health is LeaseHealth.LOST
                assert is_lost == (lease.remaining_s == 0), lease


@pytest.mark.parametrize("presence_timeout_s", [4, 5, 7, 10, 12, 20, 300])
async def test_no_timeout_is_seen_when_one_heartbeat_is_never_answered(
    client: PresenceClient, emulator: PresenceEmulator, presence_timeout_s: int
) -> None:
    lease = await client.join("lobby", presence_timeout_s=presence_timeout_s)
    for _ in range(5):
        emulator.inject(HANG)
        await watch([lease], 2 * presence_timeout_s)

    assert timeouts(emulator) == []
    assert lease.health is LeaseHealth.FRESH


async def test_no_timeout_is_seen_when_each_of_many_loses_a_heartbeat(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    for n in range(30):
        timeout_s = (4, 10, 12)[n % 3]
        await client.join("lobby", user_id=f"u{n}", presence_timeout_s=timeout_s)
    for _ in range(20):
        emulator.inject(HANG)
        await asyncio.sleep(5)

    assert timeouts(emulator) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_lease_without_time_left_is_lost_at_once(
    client: PresenceClient, emulator: PresenceEmulator, kind: str
) -> None:
    leases = [
        await client.join("lobby", user_id=f"u{n}", presence_timeout_s=timeout_s)
        for n, timeout_s in enumerate((4, 10, 12, 30))
    ]
    emulator.inject(outage(kind, "heartbeat", for_s=60))

    await watch(leases, 90)

    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}


@pytest.mark.parametrize(
    "limits",
    [{"max_beats_in_flight": 1}, {"max_requests_per_s": 0.2}],
    ids=["one at once", "one in five seconds"],
)
async def test_a_lease_that_waits_for_its_turn_is_lost_at_once(
    emulator: PresenceEmulator, limits: dict[str, Any]
) -> None:
    async with PresenceClient(emulator.config(**limits)) as client:
        leases = [
            await client.join("lobby", user_id=f"u{n}", presence_timeout_s=timeout_s)
            for n, timeout_s in enumerate((4, 10, 60, 61, 62))
        ]
        emulator.inject(Fault(operation="heartbeat", delay_s=math.inf, for_s=120))

        await watch(leases, 200)


async def test_a_lease_that_waits_behind_an_order_of_its_user_is_lost_at_once(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=8)
    emulator.inject(Fault(operation="set state", delay_s=9))
    states = [
        asyncio.create_task(client.set_state("news", state={"n": n}, timeout_s=60))
        for n in range(4)
    ]

    await watch([lease], 60)
    # Too slow for them, since heartbeats have to fit in between.
    await asyncio.gather(*states, return_exceptions=True)


@pytest.mark.parametrize("presence_timeout_s", [4, 10, 12, 300])
@pytest.mark.parametrize("operation", ["heartbeat", "set state", "leave"])
async def test_no_timeout_is_seen_when_any_request_of_a_user_is_never_answered(
    client: PresenceClient,
    emulator: PresenceEmulator,
    operation: str,
    presence_timeout_s: int,
) -> None:
    lease = await client.join("lobby", presence_timeout_s=presence_timeout_s)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "heartbeat": lambda: client.heartbeat("news"),
        "set state": lambda: client.set_state("news", state={"n": 1}),
        "leave": lambda: client.leave("news"),
    }
    for n in range(5):
        await asyncio.sleep(n * presence_timeout_s / 7)
        emulator.inject(attrs.evolve(HANG, operation=operation))
        await calls[operation]()
        await watch([lease], presence_timeout_s)

    assert timeouts(emulator) == []


async def test_a_lost_lease_says_so_while_its_heartbeat_is_out(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=4)
    changes = lease.changes()
    await anext(changes)
    emulator.inject(Fault(operation="heartbeat", delay_s=math.inf, for_s=60))

    while (change := await anext(changes)).health is not LeaseHealth.LOST:
        assert change.remaining_s > 0

    assert change.at == pytest.approx(lease.expires_at_s)
    assert timeouts(emulator) == [lease.user_id]


@pytest.mark.parametrize("others", range(8))
async def test_no_timeout_is_seen_after_a_join_that_was_answered_late(
    client: PresenceClient, emulator: PresenceEmulator, others: int
) -> None:
    # Each user has another place in the interval.
    for n in range(others):
        await client.join("other", user_id=f"u{n}")
    slow = Fault(operation="heartbeat", delay_s=9, at="after_effect", times=1)
    emulator.inject(slow)
    lease = await client.join("lobby", presence_timeout_s=12)
    emulator.inject(slow)
    await lease.add("news")

    await watch([lease], 30)
    assert timeouts(emulator) == []
    assert [e.action for e in emulator.events("news")] == ["join"]
