"""Beats keep their schedule whatever else goes on; promises 1 and 3."""

from __future__ import annotations

import asyncio
import random
import signal
import sys

import pytest

from presence_async import LeaseHealth, PresenceClient
from presence_async.emulator import Fault, PresenceEmulator

STAY = """
import asyncio, sys
import presence_async
from presence_async import PresenceClient, PresenceConfig

async def main():
    config = PresenceConfig(
        subscribe_key="demo", user_id="bob", origin=sys.argv[1], presence_timeout_s=3
    )
    async with PresenceClient(config) as client, client.join("lobby"):
        await asyncio.Event().wait()

presence_async.run(main())
"""


@pytest.mark.slow
async def test_five_hundred_slow_queries_hold_no_beat_back(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [await client.join("lobby", user_id=f"user-{n}") for n in range(50)]
    emulator.inject(Fault(operation="here now", delay_s=5))

    async def ask() -> None:
        for _ in range(60):
            await client.here_now("lobby", timeout_s=600)

    queries = [asyncio.create_task(ask()) for _ in range(500)]
    await asyncio.sleep(400)

    stats = client.heartbeats.stats()
    assert stats.beats_sent >= 100
    assert stats.lateness_max_s < 0.01
    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    for query in queries:
        query.cancel()
    await asyncio.wait(queries)


@pytest.mark.slow
async def test_a_day_of_random_faults_ends_with_everybody_fresh(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    rng = random.Random(7)  # noqa: S311  # repeatable, guards nothing
    leases = [await client.join("lobby", user_id=f"user-{n}") for n in range(6)]
    faults = [
        {"cut": True},
        {"cut": True, "at": "after_effect"},
        {"status": 503, "retry_after_s": 30},
        {"status": 500},
        {"delay_s": 20},
        {"body": b"<html>"},
    ]
    for _ in range(144):
        fault = Fault(
            operation="heartbeat",
            probability=rng.uniform(0.1, 1),
            for_s=rng.uniform(1, 500),
            seed=rng.randrange(1000),
            **rng.choice(faults),  # type: ignore[arg-type]  # fields of several types
        )
        emulator.inject(fault)
        await asyncio.sleep(600)
    await asyncio.sleep(515)

    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    assert len(emulator.occupants("lobby")) == 6
    beats = [t for t in asyncio.all_tasks() if t.get_name().startswith("presence")]
    assert [t.get_name() for t in beats] == ["presence heartbeats"]


async def staying(emulator: PresenceEmulator) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STAY, f"http://{emulator.origin}"),
        stderr=asyncio.subprocess.DEVNULL,
    )
    await happening(emulator, "join", 1)
    return process


async def happening(emulator: PresenceEmulator, action: str, times: int) -> float:
    """Wait for something to have happened so often; returns when it did."""
    while True:
        found = [e for e in emulator.events("lobby") if e.action == action]
        if len(found) >= times:
            return found[-1].at_s
        await asyncio.sleep(0.01)


@pytest.mark.real_time
async def test_a_stopped_process_is_back_at_once(emulator: PresenceEmulator) -> None:
    process = await staying(emulator)
    process.send_signal(signal.SIGSTOP)
    await happening(emulator, "timeout", 1)

    woken_s = asyncio.get_running_loop().time()
    process.send_signal(signal.SIGCONT)
    await happening(emulator, "join", 2)
    assert asyncio.get_running_loop().time() - woken_s < 1

    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 128 + signal.SIGTERM
    assert not emulator.occupants("lobby")


@pytest.mark.real_time
async def test_a_killed_process_times_out_and_not_before_its_time(
    emulator: PresenceEmulator,
) -> None:
    process = await staying(emulator)
    process.kill()
    await process.wait()

    over_s = await happening(emulator, "timeout", 1)

    beaten_s = emulator.requests.of("heartbeat")[-1].at_s
    assert 3 <= over_s - beaten_s < 4


async def test_few_places_on_the_wire_are_handed_on_at_once(
    emulator: PresenceEmulator,
) -> None:
    config = emulator.config(presence_timeout_s=20, max_beats_in_flight=1)
    async with PresenceClient(config) as client:
        for number in range(5):
            await client.join("lobby", user_id=f"user-{number}")
        emulator.inject(Fault(operation="heartbeat", delay_s=1))

        await asyncio.sleep(300)

        stats = client.heartbeats.stats()
    assert stats.fresh == 5
    assert stats.lateness_max_s < 5
