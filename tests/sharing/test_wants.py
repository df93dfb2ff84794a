"""What several processes want of one user: the newest state, the shortest timeout."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from presence_async import ExponentialRetry
from presence_async.emulator import Fault, PresenceEmulator

from .scene import Process, Scene

INTERVAL_S = 149


def state(scene: Scene, user_id: str = "alice") -> object:
    return scene.emulator.occupants("lobby")[user_id]


async def beats(scene: Scene) -> None:
    """Let whoever leads send its next heartbeat."""
    before = scene.sent("heartbeat", "alice")
    for _ in range(100):
        if scene.sent("heartbeat", "alice") > before:
            return
        await asyncio.sleep(5)
    pytest.fail("nobody sends heartbeats")


async def both(scene: Scene, **more: Any) -> tuple[Process, Process]:
    one, two = await scene.start(), await scene.start()
    await one.join("alice", **more)
    await two.join("alice", **more)
    return one, two


async def test_the_newest_state_counts_whoever_set_it(scene: Scene) -> None:
    one, two = await both(scene, state={"mood": "old"})

    for number, process in enumerate((one, two, one)):
        (lease,) = process.leases["alice"]
        await lease.set_state({"mood": number})
        assert state(scene) == {"mood": number}
        for _ in range(3):
            await beats(scene)
            assert state(scene) == {"mood": number}


async def test_a_state_survives_a_service_that_forgot_whoever_sends_heartbeats(
    scene: Scene,
) -> None:
    one, two = await both(scene)
    (lease,) = one.leases["alice"]
    await lease.set_state({"mood": "new"})

    scene.emulator.reset()
    await asyncio.sleep(2 * INTERVAL_S)
    await one.kill()
    scene.emulator.reset()
    await asyncio.sleep(2 * INTERVAL_S)

    assert two.leases["alice"][0].health == "fresh"
    assert scene.present() == {"alice"}


async def test_a_state_of_a_later_join_counts(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice", state={"mood": "old"})
    await two.join("alice", state={"mood": "new"})

    for _ in range(4):
        await beats(scene)

    assert state(scene) == {"mood": "new"}


async def test_when_its_process_leaves_the_state_of_the_rest_returns(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice", state={"mood": "old"})
    await two.join("alice", state={"mood": "new"})

    await two.leave("alice")
    for _ in range(3):
        await beats(scene)

    assert state(scene) == {"mood": "old"}
    assert scene.seen()[0] == "alice join"
    assert "alice leave" not in scene.seen()


async def test_a_state_set_by_a_process_that_does_not_hold_the_user_stays(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice", state={"mood": "old"})

    await two.client.set_state("lobby", state={"mood": "new"}, user_id="alice")
    for _ in range(3):
        await beats(scene)

    assert state(scene) == {"mood": "new"}


@pytest.mark.parametrize("is_first_shorter", [True, False])
async def test_the_shortest_timeout_counts(
    scene: Scene, *, is_first_shorter: bool
) -> None:
    one, two = await scene.start(), await scene.start()
    timeouts_s = (60, 300) if is_first_shorter else (300, 60)
    for process, timeout_s in zip((one, two), timeouts_s, strict=True):
        await process.join("alice", presence_timeout_s=timeout_s)

    await asyncio.sleep(320)

    assert all("heartbeat=60" in r.query for r in scene.emulator.requests[-5:])
    assert scene.seen() == ["alice join"]


async def test_after_the_shorter_timeout_the_longer_one_counts(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice", presence_timeout_s=300)
    await two.join("alice", presence_timeout_s=20)

    await two.leave("alice")
    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]
    assert "heartbeat=300" in scene.emulator.requests[-1].query


async def test_leaving_a_group_does_not_end_what_another_process_holds(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    await one.client.add_channels("rooms", ["lobby"])
    await one.client.join(channel_groups="rooms", user_id="alice")
    await two.join("alice", "lobby")

    await one.client.leave(channel_groups="rooms", user_id="alice")
    await asyncio.sleep(1)

    assert scene.present() == {"alice"}


async def test_a_call_to_leave_spares_what_another_process_holds(scene: Scene) -> None:
    one, _ = await both(scene)

    await one.client.leave("lobby", user_id="alice")
    spared = scene.present()
    await one.client.leave("lobby", user_id="stranger")

    assert spared == {"alice"}
    assert scene.sent("leave", "alice") == 0
    assert scene.sent("leave", "stranger") == 1


async def test_remaining_time_counts_from_the_heartbeat_of_whoever_sent_it(
    scene: Scene,
) -> None:
    one, two = await both(scene, presence_timeout_s=300)
    await asyncio.sleep(10 * INTERVAL_S)

    for _ in range(10):
        await asyncio.sleep(INTERVAL_S / 10 + 1)
        for process in (one, two):
            (lease,) = process.leases["alice"]
            assert 300 - INTERVAL_S - 5 < lease.remaining_s <= 300


async def test_users_who_stay_on_closing_stay_until_they_time_out(
    emulator: PresenceEmulator,
) -> None:
    scene = Scene(emulator, leave_on_close=False, presence_timeout_s=120)
    one, _ = await scene.start(), await scene.start()
    await one.join("alice")

    await one.close()
    await asyncio.sleep(100)
    before = scene.seen()
    await asyncio.sleep(100)

    report = one.client.close_report
    assert report is not None
    assert [presence.user_id for presence in report.skipped] == ["alice"]
    assert before == ["alice join"]
    assert scene.seen() == ["alice join", "alice timeout"]
    await scene.end()


async def test_a_join_that_is_refused_is_forgotten_by_the_register(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    await two.join("alice")
    scene.emulator.inject(Fault(operation="heartbeat", status=403, times=1))

    with pytest.raises(Exception, match="403"):
        await one.join("alice")
    await asyncio.sleep(5)
    await two.leave("alice")

    assert scene.present() == set()


async def test_a_join_cancelled_on_its_way_is_taken_back(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await two.join("bob")
    for user_id in ("alice", "bob"):
        scene.emulator.inject(
            Fault(operation="heartbeat", delay_s=5, at="after_effect", times=1)
        )
        joining = asyncio.create_task(one.join(user_id))
        await asyncio.sleep(1)
        joining.cancel()
        await asyncio.sleep(20)

    assert scene.present() == {"bob"}
    assert scene.seen().count("alice leave") == 1
    assert "bob leave" not in scene.seen()


async def test_a_leave_that_fails_asks_the_register_before_each_attempt(
    emulator: PresenceEmulator,
) -> None:
    scene = Scene(emulator, retry=ExponentialRetry(attempts=4, base_s=2, cap_s=2))
    one, two = await scene.start(), await scene.start()
    await one.join("alice")
    emulator.inject(Fault(operation="leave", status=503, for_s=1.5))

    leaving = asyncio.create_task(one.leave("alice"))
    await asyncio.sleep(0.1)
    await two.join("alice")
    await leaving
    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]
    await scene.end()


async def test_who_sends_the_heartbeats_keeps_the_pace_of_the_shortest_timeout(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice", presence_timeout_s=20)
    await asyncio.sleep(1)
    await one.kill()
    await two.join("alice", presence_timeout_s=300)

    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]
