"""What users see when something breaks: each row of the README's table."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import pytest

from presence_async.emulator import Fault, PresenceEmulator
from presence_async.register import MemoryRegister

from .scene import Process, Scene

NOTICED_S = 15
GRACE_S = 10
ROUND_S = 2.5
"""Two signs of life, which are when a worker looks at what is due."""


def register_stats(process: Process) -> dict[str, Any]:
    stats = process.client.heartbeats.stats().register
    assert stats is not None
    return stats.to_dict()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage().split(";")[0]
        for record in caplog.records
        if record.levelno == logging.WARNING
    ]


# A worker is killed.


@pytest.mark.parametrize("presence_timeout_s", [12, 20, 60, 300])
async def test_nobody_sees_a_worker_killed_who_is_held_by_another(
    scene: Scene, presence_timeout_s: int
) -> None:
    processes = [await scene.start() for _ in range(3)]
    for process in processes[:2]:
        await process.join("alice", presence_timeout_s=presence_timeout_s)
    await asyncio.sleep(320)
    leads = [register_stats(process)["leading"] for process in processes[:2]]

    await processes[leads.index(1)].kill()
    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]
    (heir,) = [p for p in processes[:2] if p.is_alive]
    assert register_stats(heir)["leading"] == 1


async def test_who_was_held_by_a_killed_worker_alone_leaves_once_and_soon(
    scene: Scene,
) -> None:
    one, _, _ = [await scene.start() for _ in range(3)]
    for user_id in ("alice", "bob"):
        await one.join(user_id)

    await one.kill()
    await asyncio.sleep(NOTICED_S + GRACE_S - 1)
    before = scene.present()
    await asyncio.sleep(1 + 2 * ROUND_S)

    assert before == {"alice", "bob"}
    assert sorted(scene.seen()) == [
        "alice join",
        "alice leave",
        "bob join",
        "bob leave",
    ]
    assert scene.sent("leave", "alice") == scene.sent("leave", "bob") == 1


async def test_who_is_back_within_the_grace_is_not_left(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice")

    await one.kill()
    await asyncio.sleep(NOTICED_S + GRACE_S - 2)
    await two.join("alice")
    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]


async def test_a_shorter_timeout_of_a_killed_worker_is_made_good(scene: Scene) -> None:
    one, two, _ = [await scene.start() for _ in range(3)]
    await two.join("alice", presence_timeout_s=300)
    await one.join("alice", presence_timeout_s=60)

    await one.kill()
    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]


# A rolling restart.


@pytest.mark.parametrize("more", [{}, {"hand_over_s": 20}, {"hand_over_s": 60}])
@pytest.mark.parametrize("presence_timeout_s", [20, 300])
async def test_a_rolling_restart_shows_nothing(
    scene: Scene, more: dict[str, float], presence_timeout_s: int
) -> None:
    running = [await scene.start() for _ in range(3)]
    for number, process in enumerate(running):
        for user_id in (f"u{number}", f"u{(number + 1) % 3}", f"only{number}"):
            await process.join(user_id, presence_timeout_s=presence_timeout_s)
    before = scene.seen()

    for old in running:
        tabs = list(old.leases)
        await old.close(**more)
        await asyncio.sleep(15)
        fresh = await scene.start()
        for user_id in tabs:
            await fresh.join(user_id, presence_timeout_s=presence_timeout_s)
    await asyncio.sleep(320)

    assert scene.seen() == before
    assert len(scene.present()) == 6


async def test_who_does_not_come_back_after_a_restart_is_left_by_another(
    scene: Scene,
) -> None:
    one, _ = await scene.start(), await scene.start()
    await one.join("alice")

    await one.close()
    await asyncio.sleep(19)
    before = scene.present()
    await asyncio.sleep(1 + ROUND_S)

    assert before == {"alice"}
    assert scene.seen() == ["alice join", "alice leave"]


async def test_the_last_worker_to_close_leaves_everybody_at_once(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice")
    await two.join("bob")

    await one.close()
    before = scene.present()
    await two.close()

    assert before == {"alice", "bob"}
    assert scene.present() == set()


async def test_workers_that_close_together_leave_everybody(scene: Scene) -> None:
    running = [await scene.start() for _ in range(4)]
    for number, process in enumerate(running):
        await process.join(f"u{number}")
        await process.join("everywhere")

    await asyncio.gather(*[process.close() for process in running])

    assert scene.present() == set()
    assert scene.sent("leave", "everywhere") == 1


async def test_a_tab_that_closes_elsewhere_cuts_no_hand_over_short(
    scene: Scene,
) -> None:
    one, two, _ = [await scene.start() for _ in range(3)]
    await one.join("alice")
    await two.join("alice")

    await one.close(hand_over_s=20)
    await asyncio.sleep(5)
    await two.leave("alice")
    await asyncio.sleep(10)
    fresh = await scene.start()
    await fresh.join("alice")
    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]


# All workers are gone.


async def test_the_next_worker_leaves_those_of_the_dead_who_do_not_come_back(
    scene: Scene,
) -> None:
    old = [await scene.start() for _ in range(2)]
    for user_id in ("alice", "bob"):
        for process in old:
            await process.join(user_id)
    for process in old:
        await process.kill()
    await asyncio.sleep(60)

    fresh = await scene.start()
    await fresh.join("alice")
    await asyncio.sleep(GRACE_S + 2 * ROUND_S)

    assert scene.present() == {"alice"}
    assert sorted(scene.seen()) == ["alice join", "bob join", "bob leave"]


async def test_without_another_worker_the_service_times_them_out(scene: Scene) -> None:
    one = await scene.start()
    await one.join("alice", presence_timeout_s=60)

    await one.kill()
    await asyncio.sleep(61)

    assert scene.seen() == ["alice join", "alice timeout"]


# The register is away.


@pytest.mark.parametrize("trouble", ["is_cut", "is_hanging"])
async def test_presence_goes_on_without_the_register(
    scene: Scene, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = await scene.start(), await scene.start()
    for process in (one, two):
        await process.join("alice", presence_timeout_s=60)
        setattr(process.line, trouble, True)
    loop = asyncio.get_running_loop()

    await asyncio.sleep(5)
    began_s = loop.time()
    await two.join("bob", presence_timeout_s=60)
    joined_in_s = loop.time() - began_s
    await one.leave("alice")
    left_in_s = loop.time() - began_s - joined_in_s
    await two.leave("bob")
    await asyncio.sleep(600)
    away = [register_stats(process) for process in (one, two)]
    for process in (one, two):
        setattr(process.line, trouble, False)
    await asyncio.sleep(2 * ROUND_S)

    assert (joined_in_s, left_in_s) == pytest.approx((0, 0), abs=0.1)
    assert [stats["is_up"] for stats in away] == [False, False]
    assert away[1]["unasked"] > 15
    # Alice has a tab open all the time; nobody can know that Bob has none.
    assert scene.seen() == ["alice join", "bob join", "bob timeout"]
    assert [register_stats(x)["is_up"] for x in (one, two)] == [True, True]
    assert (
        sorted(warnings(caplog))
        == 2 * ["the register is away"]
        + 2
        * [
            "the register is back after 605 s"
            if trouble == "is_cut"
            else "the register is back after 604 s"
        ]
        or len(warnings(caplog)) == 4
    )


async def test_a_leave_waits_for_the_register(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    for process in (one, two):
        await process.join("both")
    await one.join("alone")
    for process in (one, two):
        process.line.is_cut = True
    await asyncio.sleep(2)

    await one.leave("both")
    await one.leave("alone")
    await asyncio.sleep(60)
    waiting = scene.seen(), one.client.heartbeats.stats().leaving
    for process in (one, two):
        process.line.is_cut = False
    # Until then others may come forward who were cut off as well.
    await asyncio.sleep(20 + 2 * ROUND_S)

    assert waiting == (["both join", "alone join"], 2)
    assert scene.seen() == ["both join", "alone join", "alone leave"]


async def test_a_worker_starts_and_joins_while_the_register_is_away(
    scene: Scene,
) -> None:
    scene.is_away = True
    one = await scene.start()
    await one.join("alice")
    assert scene.present() == {"alice"}

    one.line.is_cut = scene.is_away = False
    await asyncio.sleep(2 * ROUND_S)
    two = await scene.start()
    await two.join("alice")
    await two.leave("alice")

    assert scene.seen() == ["alice join"]


async def test_closing_while_the_register_is_away_leaves_nobody(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    for process in (one, two):
        await process.join("alice")
    one.line.is_cut = True
    await asyncio.sleep(2)

    await one.close()

    report = one.client.close_report
    assert report is not None
    assert [presence.user_id for presence in report.failed] == ["alice"]
    assert "register is away" in str(report.failed[0].error)
    await asyncio.sleep(320)
    assert scene.seen() == ["alice join"]


# The register has lost its memory.


async def test_everybody_is_held_again_after_the_register_was_restarted_empty(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    users = [f"u{n}" for n in range(50)]
    for user_id in users:
        await one.join(user_id)
        await two.join(user_id)

    scene.register.forget()
    await asyncio.sleep(NOTICED_S)
    for user_id in users:
        await one.leave(user_id)
    await asyncio.sleep(320)

    assert scene.present() == set(users)
    assert len(scene.seen()) == len(users)


async def test_a_tab_closed_just_after_the_register_forgot_is_no_leave(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    for process in (one, two):
        await process.join("alice")

    scene.register.forget()
    await one.leave("alice")
    await asyncio.sleep(320)

    assert scene.seen() == ["alice join"]


async def test_the_last_tab_closed_while_a_register_lost_its_memory_is_left_soon(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    for process in (one, two):
        await process.join("both")
    await one.join("alone")
    for process in (one, two):
        process.line.is_cut = True
    await asyncio.sleep(2)
    await one.leave("both")
    await one.leave("alone")
    await asyncio.sleep(30)

    scene.register.forget()
    for process in (one, two):
        process.line.is_cut = False
    await asyncio.sleep(20)
    early = scene.seen()
    await asyncio.sleep(25)

    assert early == ["both join", "alone join"]
    assert scene.seen() == ["both join", "alone join", "alone leave"]


async def test_a_record_that_was_evicted_is_no_reason_to_leave(scene: Scene) -> None:
    one, two = await scene.start(), await scene.start()
    for process in (one, two):
        await process.join("alice")

    (shelf,) = scene.register._shelves.values()
    shelf._records.clear()
    await one.leave("alice")
    await asyncio.sleep(320)
    seen = scene.seen()
    await two.leave("alice")

    assert seen == ["alice join"]
    assert scene.present() == set()


# A worker is cut off from the register alone.


async def test_who_is_held_by_a_worker_cut_off_alone_is_away_for_a_while(
    scene: Scene,
) -> None:
    one, _ = await scene.start(), await scene.start()
    lease = await one.join("alice")
    one.line.is_cut = True

    away_s = 0.0
    for _ in range(200):
        await asyncio.sleep(0.5)
        away_s += 0.5 * (scene.present() == set())
    one.line.is_cut = False
    await asyncio.sleep(320)

    assert 0 < away_s <= 20
    assert scene.seen() == ["alice join", "alice leave", "alice join"]
    assert lease.health == "fresh"


async def test_without_a_limit_to_the_grace_nobody_leaves_the_dead(
    emulator: PresenceEmulator,
) -> None:
    register = MemoryRegister(crash_grace_s=math.inf)
    scene = Scene(emulator, register, presence_timeout_s=60)
    one, two = await scene.start(), await scene.start()
    await one.join("cut off")
    one.line.is_cut = True
    await two.join("killed")
    await asyncio.sleep(300)
    before = scene.seen()
    await two.kill()
    await asyncio.sleep(300)

    assert before == ["cut off join", "killed join"]
    assert scene.seen() == [*before, "killed timeout"]
    await scene.end()


# A leave overtakes a join on the wire.


async def test_who_is_left_just_after_joining_is_back_within_an_attempt(
    scene: Scene,
) -> None:
    one, two = await scene.start(), await scene.start()
    await one.join("alice")
    scene.emulator.inject(Fault(operation="leave", delay_s=6, times=1))

    leaving = asyncio.create_task(one.leave("alice"))
    await asyncio.sleep(1)
    await two.join("alice")
    away_s = 0.0
    for _ in range(100):
        await asyncio.sleep(0.25)
        away_s += 0.25 * (scene.present() == set())
    await leaving

    assert scene.seen() == ["alice join", "alice leave", "alice join"]
    assert away_s <= 10


# The register is slow.


async def test_signs_of_life_do_not_wait_for_long_questions(
    emulator: PresenceEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("presence_async.client.sharing.exchange._AT_ONCE", 2)
    scene = Scene(emulator, presence_timeout_s=60)
    one, two = await scene.start(), await scene.start()
    for number in range(100):
        await one.join(f"u{number}")
    seen = scene.seen()

    for process in (one, two):
        process.line.delay_s = 0.6
    scene.register.forget()
    await asyncio.sleep(200)

    assert scene.seen() == seen
    await scene.end()
