"""Users who wait cost no timer and no task; promise 13."""

from __future__ import annotations

import asyncio
import math

import pytest

from presence_async import PresenceClient
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.testing.virtual_loop import VirtualLoop


def timers() -> int:
    """Return how many timers may fire, less those of the emulator's connections."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    scheduled: list[asyncio.TimerHandle] = loop._scheduled  # type: ignore[attr-defined]
    return sum(not (x.cancelled() or "keepalive" in repr(x)) for x in scheduled)


def presence_tasks() -> list[str]:
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("presence ")]


async def test_lingering_leaves_add_no_timer_and_no_task(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [
        await client.join("lobby", user_id=f"user-{n}", linger_s=60) for n in range(200)
    ]
    before = timers(), len(asyncio.all_tasks())
    for lease in leases:
        await lease.leave()
    await asyncio.sleep(30)

    assert (timers(), len(asyncio.all_tasks())) <= before
    assert client.heartbeats.stats().leaving == 200
    assert len(emulator.occupants("lobby")) == 200
    await asyncio.sleep(31)
    assert not emulator.occupants("lobby")


async def test_users_who_patch_add_no_timer_and_no_task_while_they_gather(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [await client.join("lobby", user_id=f"user-{n}") for n in range(50)]
    before = timers()
    patches = [asyncio.ensure_future(lease.patch_state(n=1)) for lease in leases]
    await asyncio.sleep(0.04)

    assert presence_tasks() == ["presence heartbeats"]
    assert timers() <= before + 1  # the test's own
    await asyncio.gather(*patches)
    assert list(emulator.occupants("lobby").values()) == [{"n": 1}] * 50


async def test_users_beyond_the_limit_wait_without_a_task(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [await client.join("lobby", user_id=f"user-{n}") for n in range(200)]
    emulator.inject(Fault(operation="set state", delay_s=2))
    states = [asyncio.ensure_future(lease.set_state({"n": 1})) for lease in leases]
    await asyncio.sleep(1)

    assert len(client._core.heartbeats._requests) == 64
    assert presence_tasks().count("presence set state") <= 64
    assert len(presence_tasks()) <= 65
    await asyncio.gather(*states)


@pytest.mark.slow
async def test_leaves_that_failed_wait_without_timer_and_task(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [await client.join("lobby", user_id=f"user-{n}") for n in range(100)]
    before = timers()
    emulator.inject(Fault(operation="leave", status=503, for_s=60))
    await asyncio.gather(*(x.leave() for x in leases), return_exceptions=True)
    await asyncio.sleep(4.9)

    assert client.heartbeats.stats().leaving == 100
    assert presence_tasks() == ["presence heartbeats"]
    assert timers() <= before + 1  # the test's own
    await asyncio.sleep(70)
    assert not emulator.occupants("lobby")


@pytest.mark.slow
async def test_joins_that_never_give_up_wait_without_timer_and_task(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(status=503, for_s=60))
    before = timers()
    joins = [
        asyncio.create_task(
            client.join("lobby", user_id=f"user-{n}", timeout_s=math.inf)
        )
        for n in range(50)
    ]
    await asyncio.sleep(1)

    assert presence_tasks() == ["presence heartbeats"]
    assert timers() <= before + 2  # the test's own, and the next deadline
    await asyncio.gather(*joins)
