"""Short outages go unnoticed whatever a client's users hold; promises 1 to 3."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter

import pytest

from presence_async import Lease, LeaseHealth, PresenceClient
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.testing.virtual_loop import VirtualLoop

from .outages import KINDS, outage

pytestmark = pytest.mark.slow

CHANNELS = ("lobby", "news", "sport")


def timeouts(emulator: PresenceEmulator) -> list[str]:
    found = [e for channel in CHANNELS for e in emulator.events(channel)]
    return [e.user_id for e in found if e.action == "timeout"]


async def join_mixed(
    client: PresenceClient, users: int, attempt_s: float, rng: random.Random
) -> tuple[list[Lease], float]:
    """Join one to three leases a user; returns how long an outage may last."""
    interval_s = client.config.interval_s
    choice = [
        timeout_s
        for timeout_s in (3, 5, 8, 12, 20, 30, 60, 120, 300, 320)
        if timeout_s - interval_s(timeout_s) - attempt_s > 0.3
    ]
    leases = [
        await client.join(
            rng.sample(CHANNELS, rng.randint(1, 3)),
            user_id=f"user-{user}",
            presence_timeout_s=rng.choice(choice),
            state=rng.choice([None, {}, {"n": user}]),
        )
        for user in range(users)
        for _ in range(rng.randint(1, 3))
    ]
    shortest = min(
        x.presence_timeout_s - interval_s(x.presence_timeout_s) for x in leases
    )
    return leases, shortest - attempt_s


@pytest.mark.parametrize("seed", range(8))
def test_no_timeout_with_mixed_timeouts_and_several_leases(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # repeatable, guards nothing

    async def story() -> None:
        attempt_s = rng.choice([1, 2, 5, 10])
        async with PresenceEmulator() as emulator:
            config = emulator.config(attempt_timeout_s=attempt_s)
            async with PresenceClient(config) as client:
                users = rng.choice([1, 2, 3, 8])
                leases, longest_s = await join_mixed(client, users, attempt_s, rng)
                await asyncio.sleep(rng.uniform(0, 150))
                outage_s = longest_s * rng.uniform(0.1, 0.999)
                kind = rng.choice(list(KINDS))
                emulator.inject(outage(kind, "heartbeat", for_s=outage_s))
                await asyncio.sleep(outage_s + 15)
                assert {x.health for x in leases} == {LeaseHealth.FRESH}
                await asyncio.sleep(150)
                assert timeouts(emulator) == []

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())


async def test_a_retry_after_is_obeyed_no_longer_than_a_presence_can_wait(
    emulator: PresenceEmulator,
) -> None:
    async with PresenceClient(emulator.config(attempt_timeout_s=5)) as client:
        lease = await client.join("lobby", presence_timeout_s=20)
        await asyncio.sleep(8.9)
        emulator.inject(
            Fault(operation="heartbeat", status=503, retry_after_s=3600, for_s=5)
        )
        await asyncio.sleep(60)

        assert timeouts(emulator) == []
        assert lease.health is LeaseHealth.FRESH


async def test_one_stalled_heartbeat_takes_no_other_lease_of_the_user_down(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("news", presence_timeout_s=300)
    await client.join("sport", presence_timeout_s=60)
    await client.join("lobby", presence_timeout_s=22)
    emulator.inject(Fault(operation="heartbeat", delay_s=math.inf, times=1))

    await asyncio.sleep(120)

    assert timeouts(emulator) == []


async def test_a_user_comes_through_while_half_of_everything_hangs(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [
        await client.join(channel, presence_timeout_s=timeout_s)
        for channel, timeout_s in (("lobby", 60), ("news", 80), ("sport", 120))
    ]
    emulator.inject(Fault(delay_s=math.inf, probability=0.5, for_s=3600))
    seen: dict[Lease, set[LeaseHealth]] = {lease: set() for lease in leases}
    for _ in range(360):
        await asyncio.sleep(10)
        for lease in leases:
            seen[lease].add(lease.health)

    assert all(LeaseHealth.FRESH in healths for healths in seen.values())


async def test_a_short_presence_is_saved_while_others_have_time(
    emulator: PresenceEmulator,
) -> None:
    async with PresenceClient(emulator.config(attempt_timeout_s=1)) as client:
        for number in range(8):
            await client.join("news", user_id=f"user-{number}")
        await client.join("lobby", user_id="short", presence_timeout_s=5)
        await asyncio.sleep(200)
        for _ in range(20):
            emulator.inject(Fault(operation="heartbeat", status=500, for_s=2.4))
            await asyncio.sleep(20)

        assert timeouts(emulator) == []


async def test_a_refused_lease_does_not_slow_the_others_of_its_user(
    emulator: PresenceEmulator,
) -> None:
    async with PresenceClient(emulator.config(attempt_timeout_s=1)) as client:
        refused = await client.join("secret", presence_timeout_s=5)
        kept = await client.join("lobby", presence_timeout_s=5)
        body = (
            b'{"message":"Forbidden","payload":{"channels":["secret"]},"error":true,'
            b'"service":"Access Manager","status":403}\n'
        )
        emulator.inject(Fault(operation="heartbeat", status=403, body=body, times=1))
        await asyncio.sleep(1.6)
        assert (refused.health, kept.health) == ("refused", "fresh")
        for _ in range(20):
            emulator.inject(Fault(operation="heartbeat", cut=True, for_s=2.4))
            await asyncio.sleep(20)

        assert "bob" not in timeouts(emulator)
        assert kept.health is LeaseHealth.FRESH


async def test_no_herd_beats_together_after_an_outage(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    for number in range(300):
        await client.join("lobby", user_id=f"user-{number}")
    emulator.inject(Fault(operation="heartbeat", cut=True, for_s=600))
    await asyncio.sleep(600 + 15 + 2 * 149)

    began = len(emulator.requests)
    await asyncio.sleep(149)

    per_window = Counter(int(e.at_s / 14.9) for e in emulator.requests[began:])
    assert max(per_window.values()) <= 1.25 * 30


async def test_a_user_who_left_while_probing_does_not_end_the_outage(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [await client.join("lobby", user_id=f"user-{n}") for n in range(40)]
    emulator.inject(Fault(cut=True, for_s=3000))
    await asyncio.sleep(1000)
    began = len(emulator.requests)

    for lease in leases[:20]:
        with pytest.raises(Exception, match="leave failed"):
            await lease.leave()
    await asyncio.sleep(60)

    beats = [e for e in emulator.requests[began:] if e.operation == "heartbeat"]
    per_second = Counter(int(e.at_s) for e in beats)
    assert max(per_second.values()) <= 3


async def test_a_new_token_for_all_makes_no_herd(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    for number in range(300):
        await client.join("lobby", user_id=f"user-{number}")
    emulator.inject(Fault(operation="heartbeat", status=403, for_s=160))
    await asyncio.sleep(160)
    client.set_auth("another")
    await asyncio.sleep(1)
    assert client.heartbeats.stats().fresh == 300
    await asyncio.sleep(149)

    began = len(emulator.requests)
    await asyncio.sleep(149)

    per_window = Counter(int(e.at_s / 14.9) for e in emulator.requests[began:])
    assert max(per_window.values()) <= 1.25 * 30
