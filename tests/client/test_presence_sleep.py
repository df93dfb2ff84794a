"""Time that goes by unseen, in the midst of something; promise 16."""

from __future__ import annotations

import asyncio
import math

import pytest

from presence_async import LeaseHealth, PresenceClient, UnavailableError
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.testing.virtual_loop import VirtualLoop

TICK_S = 5.5


def virtual_loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


async def fresh_and_honest(client: PresenceClient, emulator: PresenceEmulator) -> None:
    """Check that everybody is fresh, and present as long as they think."""
    leases = client.heartbeats.leases
    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    users = {lease.user_id for lease in leases}
    assert set(emulator.occupants("lobby")) == users
    sent_s = {e.user_id: e.at_s for e in emulator.requests.of("heartbeat")}
    for lease in leases:
        timeout_s = lease.presence_timeout_s
        assert lease.expires_at_s <= sent_s[lease.user_id] + timeout_s + 0.001


async def test_heartbeats_that_are_out_while_the_machine_sleeps_count_from_before(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = [
        await client.join("lobby", user_id=f"u{n}", presence_timeout_s=60)
        for n in range(5)
    ]
    emulator.inject(Fault(operation="heartbeat", delay_s=4, at="after_effect"))
    while emulator.requests.total < 6:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.1)
    out = emulator.requests[-1].user_id
    (lease,) = [lease for lease in leases if lease.user_id == out]

    virtual_loop().suspend(1000)
    worst_s = 0.0
    for _ in range(200):
        await asyncio.sleep(0.1)
        if len(emulator.requests.of("heartbeat")) == 6:
            worst_s = max(worst_s, lease.remaining_s)

    assert worst_s <= 60 - 0
    await asyncio.sleep(20)
    await fresh_and_honest(client, emulator)


async def test_an_answer_to_a_heartbeat_from_before_a_sleep_makes_nobody_fresh(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=60)
    emulator.inject(Fault(operation="heartbeat", delay_s=9, times=1))
    while emulator.requests.total < 2:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.1)
    emulator.inject(Fault(operation="heartbeat", delay_s=math.inf))
    virtual_loop().suspend(1000)
    await asyncio.sleep(TICK_S)

    for _ in range(60):
        await asyncio.sleep(0.5)
        assert lease.health is LeaseHealth.LOST
        assert lease.remaining_s == 0


@pytest.mark.parametrize("slept_s", [30, 100_000])
@pytest.mark.parametrize("kind", [{"cut": True}, {"status": 503}, {"delay_s": 60}])
async def test_a_sleep_during_an_outage_leaves_recovery_as_quick(
    client: PresenceClient,
    emulator: PresenceEmulator,
    slept_s: float,
    kind: dict[str, bool],
) -> None:
    for n in range(10):
        await client.join("lobby", user_id=f"u{n}", presence_timeout_s=60)
    emulator.inject(Fault(operation="heartbeat", for_s=200, **kind))  # type: ignore[arg-type]
    for _ in range(4):
        await asyncio.sleep(25)
        virtual_loop().suspend(slept_s)
        await asyncio.sleep(25)
    stats = client.heartbeats.stats()
    assert stats.fresh == 0
    await asyncio.sleep(15)

    await fresh_and_honest(client, emulator)


async def test_a_sleep_during_a_linger_does_not_lose_the_leave(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.join("lobby", linger_s=60, presence_timeout_s=1000):
        pass
    await asyncio.sleep(1)
    virtual_loop().suspend(30)
    await asyncio.sleep(40)
    still_there = set(emulator.occupants("lobby"))
    await asyncio.sleep(25)

    assert still_there == {"bob"}  # the linger time is the loop's
    assert not emulator.occupants("lobby")
    assert client.heartbeats.stats().leaving == 0


async def test_a_user_back_from_a_sleep_within_the_linger_time_is_kept(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.join("lobby", linger_s=60):
        pass
    virtual_loop().suspend(1000)
    await asyncio.sleep(TICK_S)
    lease = await client.join("lobby", linger_s=60)
    await asyncio.sleep(600)

    assert lease.health is LeaseHealth.FRESH
    assert emulator.requests.of("leave") == []


async def test_a_sleep_during_a_join_makes_no_fresh_lease_out_of_an_old_answer(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=8, times=1))
    joining = asyncio.ensure_future(client.join("lobby", presence_timeout_s=60))
    await asyncio.sleep(1)
    virtual_loop().suspend(1000)
    lease = await joining

    told = lease.health, lease.remaining_s
    assert told[0] is not LeaseHealth.FRESH or told[1] > 0
    await asyncio.sleep(TICK_S)
    await fresh_and_honest(client, emulator)
    assert {e.action for e in emulator.events("lobby")} == {"join"}


@pytest.mark.parametrize("seed", range(8))
async def test_a_short_sleep_during_a_join_is_seen_by_nobody(
    client: PresenceClient, emulator: PresenceEmulator, seed: int
) -> None:
    for n in range(seed):
        await client.join("other", user_id=f"u{n}")
    emulator.inject(Fault(operation="heartbeat", delay_s=4, at="after_effect", times=1))
    joining = asyncio.ensure_future(client.join("lobby", presence_timeout_s=60))
    await asyncio.sleep(1)
    virtual_loop().suspend(50)
    lease = await joining
    over_s = lease.expires_at_s
    while len(emulator.requests.of("heartbeat")) < seed + 2:  # noqa: ASYNC110
        await asyncio.sleep(0.1)

    assert emulator.requests[-1].at_s < over_s
    assert lease.health is LeaseHealth.FRESH


async def test_a_sleep_during_a_join_that_never_gives_up_does_not_end_it(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=100))
    joining = asyncio.ensure_future(client.join("lobby", timeout_s=math.inf))
    await asyncio.sleep(10)
    virtual_loop().suspend(100_000)
    await asyncio.sleep(80)
    was_done = joining.done()
    await asyncio.sleep(25)

    assert not was_done
    assert joining.result().health is LeaseHealth.FRESH


async def test_a_sleep_during_a_leave_that_failed_does_not_lose_it(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=300)
    emulator.inject(Fault(operation="leave", status=503, for_s=60))
    with pytest.raises(UnavailableError):
        await lease.leave()
    virtual_loop().suspend(100)
    await asyncio.sleep(70)

    assert not emulator.occupants("lobby")
    assert client.heartbeats.stats().leaving == 0


@pytest.mark.parametrize("back_s", [10, 3600, 1e8])
async def test_a_clock_set_back_changes_nothing_whatever_is_out(
    client: PresenceClient, emulator: PresenceEmulator, back_s: float
) -> None:
    lease = await client.join("lobby", presence_timeout_s=60)
    emulator.inject(Fault(operation="heartbeat", delay_s=4, times=3))
    changes: list[str] = []

    async def follow() -> None:
        changes.extend([change.health async for change in lease.changes()])

    following = asyncio.create_task(follow())
    for _ in range(10):
        await asyncio.sleep(13)
        virtual_loop().suspend(-back_s)
    sent = len(emulator.requests.of("heartbeat"))
    await fresh_and_honest(client, emulator)
    await lease.leave()
    await following

    assert changes == ["fresh", "released"]
    assert sent == pytest.approx(1 + 130 / 29, abs=1.5)


async def test_a_sleep_right_after_the_clock_was_set_back_is_noticed(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    virtual_loop().suspend(-3600)
    await asyncio.sleep(20)
    asked = emulator.requests.total
    virtual_loop().suspend(1000)
    await asyncio.sleep(TICK_S)

    assert emulator.requests.total == asked + 1
    assert lease.health is LeaseHealth.FRESH
