"""Closing with ``hand_over_s``: what observers see of a deploy; promise 18."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest

from presence_async import (
    AccessDeniedError,
    InvalidArgumentError,
    PresenceClient,
)
from presence_async.client import ending
from presence_async.emulator import Fault, PresenceEmulator


async def started(emulator: PresenceEmulator, **settings: object) -> PresenceClient:
    return await PresenceClient(emulator.config(**settings)).start()


def seen(emulator: PresenceEmulator, channel: str = "lobby") -> list[str]:
    """Return what observers of a channel have seen so far."""
    return [f"{e.user_id} {e.action}" for e in emulator.events(channel)]


async def test_a_deploy_shows_observers_nothing(emulator: PresenceEmulator) -> None:
    old = await started(emulator)
    for user_id in ("alice", "bob"):
        await old.join("lobby", user_id=user_id, state={"mood": "ok"})
    before = seen(emulator)

    report = await old.close(hand_over_s=30)
    await asyncio.sleep(29)
    new = await started(emulator)
    for user_id in ("alice", "bob"):
        await new.join("lobby", user_id=user_id, state={"mood": "ok"})
    await asyncio.sleep(3600)

    assert [was.user_id for was in report.handed_over] == ["alice", "bob"]
    assert (report.left, report.failed, report.skipped) == ((), (), ())
    assert seen(emulator) == before == ["alice join", "bob join"]
    assert emulator.occupants("lobby") == {
        "alice": {"mood": "ok"},
        "bob": {"mood": "ok"},
    }
    await new.close()


async def test_who_is_not_back_times_out_once_and_soon(
    emulator: PresenceEmulator,
) -> None:
    client = await started(emulator)
    lease = await client.join("lobby", state={"mood": "ok"})

    report = await client.close(hand_over_s=5)
    await asyncio.sleep(19)
    still = emulator.occupants("lobby")
    await asyncio.sleep(2)

    assert still == {"tester": {"mood": "ok"}}
    assert seen(emulator) == ["tester join", "tester timeout"]
    assert lease.health == "released"
    assert report.to_dict()["handed_over"] == [
        {
            "user_id": "tester",
            "channels": ["lobby"],
            "channel_groups": [],
            "error": None,
        }
    ]


async def test_a_leave_that_lingers_is_handed_over(emulator: PresenceEmulator) -> None:
    client = await started(emulator)
    async with client.join("lobby", linger_s=5):
        pass

    report = await client.close(hand_over_s=20)
    async with PresenceClient(emulator.config()) as new:
        await new.join("lobby")
        assert seen(emulator) == ["tester join"]

    assert [was.channels for was in report.handed_over] == [("lobby",)]


async def test_many_names_and_groups_are_handed_over(
    emulator: PresenceEmulator,
) -> None:
    client = await started(emulator)
    await client.add_channels("g", ["member"])
    names = [f"room-{n}-{'x' * 60}" for n in range(700)]
    await client.join(names, channel_groups="g")

    report = await client.close(hand_over_s=20)
    await asyncio.sleep(10)
    present = [name for name in [*names, "member"] if emulator.occupants(name)]
    await asyncio.sleep(11)

    assert len(present) == 701
    assert [len(was.channels) for was in report.handed_over] == [700]
    assert report.handed_over[0].channel_groups == ("g",)
    assert seen(emulator, "member") == ["tester join", "tester timeout"]
    assert seen(emulator, names[-1]) == ["tester join", "tester timeout"]


async def test_it_wins_over_leave_on_close_false(emulator: PresenceEmulator) -> None:
    client = await started(emulator, leave_on_close=False)
    await client.join("lobby")

    report = await client.close(hand_over_s=20)
    await asyncio.sleep(21)

    assert (len(report.handed_over), report.skipped) == (1, ())
    assert not emulator.occupants("lobby")


async def test_zero_seconds_are_a_close_as_usual(emulator: PresenceEmulator) -> None:
    client = await started(emulator)
    await client.join("lobby")

    report = await client.close(hand_over_s=0)

    assert len(report.left) == 1
    assert seen(emulator) == ["tester join", "tester leave"]


async def test_a_refused_last_heartbeat_is_reported_and_logged(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    client = await started(emulator)
    await client.join("lobby")
    emulator.inject(Fault(operation="heartbeat", status=403))

    report = await client.close(hand_over_s=20)

    (was,) = report.failed
    assert report.handed_over == ()
    assert isinstance(was.error, AccessDeniedError)
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert lines == [
        f"handed over 0 users, and failed to for 1, such as tester: {was.error}"
    ]


async def test_a_last_heartbeat_that_fails_is_tried_again(
    emulator: PresenceEmulator,
) -> None:
    client = await started(emulator)
    await client.join("lobby")
    emulator.inject(Fault(operation="heartbeat", status=503, times=2))

    report = await client.close(hand_over_s=20)

    assert (len(report.handed_over), report.failed) == (1, ())


async def test_its_time_is_bounded(emulator: PresenceEmulator) -> None:
    client = await started(emulator)
    await client.join("lobby")
    emulator.inject(Fault(operation="heartbeat", delay_s=math.inf))
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    report = await client.close(3, hand_over_s=20)

    assert loop.time() - began_s == pytest.approx(3)
    assert [was.user_id for was in report.failed] == ["tester"]
    assert report.failed[0].error is not None


async def test_a_cancelled_close_leaves_nothing(emulator: PresenceEmulator) -> None:
    client = await started(emulator)
    await client.join("lobby")
    emulator.inject(Fault(operation="heartbeat", delay_s=math.inf))
    closing = asyncio.ensure_future(client.close(hand_over_s=20))
    await asyncio.sleep(1)

    closing.cancel()
    await asyncio.wait({closing})

    assert closing.cancelled()
    assert client.close_report is not None
    assert len(client.close_report.failed) == 1
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not {name for name in names if name.startswith("presence")}


@pytest.mark.parametrize("value", [-1, math.inf, math.nan, True, "20", 10**10])
async def test_invalid_seconds_are_rejected_and_nothing_is_closed(
    emulator: PresenceEmulator, value: float
) -> None:
    async with PresenceClient(emulator.config()) as client:
        with pytest.raises(InvalidArgumentError, match="hand_over_s"):
            await client.close(hand_over_s=value)

        await client.join("lobby")


# The end of a program, as ``run`` brings it about.


@pytest.mark.parametrize("linger_s", [0, 5])
async def test_blocks_of_a_program_that_ends_hand_over(
    emulator: PresenceEmulator, linger_s: float
) -> None:
    end = ending.ProgramEnd(20)

    async def program() -> None:
        end.watch()
        async with PresenceClient(emulator.config()) as client:
            kept = await client.join("news")
            async with client.join("lobby", linger_s=linger_s), kept:
                end.has_begun = True
            assert not emulator.requests.of("leave")

    await asyncio.create_task(program())
    await asyncio.sleep(19)
    present = [set(emulator.occupants(name)) for name in ("lobby", "news")]
    await asyncio.sleep(2)

    assert present == [{"tester"}, {"tester"}]
    assert seen(emulator) == ["tester join", "tester timeout"]


async def test_a_task_of_the_program_hands_over_as_well(
    emulator: PresenceEmulator,
) -> None:
    end = ending.ProgramEnd(20)

    async def stay(client: PresenceClient) -> None:
        async with client.join("lobby"):
            await asyncio.sleep(math.inf)

    async def program() -> None:
        end.watch()
        async with PresenceClient(emulator.config()) as client:
            staying = asyncio.create_task(stay(client))
            await asyncio.sleep(1)
            end.has_begun = True
            staying.cancel()
            await asyncio.wait({staying})

    await asyncio.create_task(program())

    assert seen(emulator) == ["tester join"]
    assert set(emulator.occupants("lobby")) == {"tester"}


@pytest.mark.parametrize(
    ("hand_over_s", "has_begun"), [(20, False), (None, True), (0, True)]
)
async def test_without_a_signal_or_seconds_blocks_leave(
    emulator: PresenceEmulator, hand_over_s: float | None, *, has_begun: bool
) -> None:
    end = ending.ProgramEnd(hand_over_s)

    async def program() -> None:
        end.watch()
        async with PresenceClient(emulator.config()) as client:
            await client.join("news")
            async with client.join("lobby"):
                end.has_begun = has_begun
            assert not emulator.occupants("lobby")

    await asyncio.create_task(program())

    assert not emulator.occupants("news")


async def test_what_a_program_says_itself_is_done(emulator: PresenceEmulator) -> None:
    end = ending.ProgramEnd(20)

    async def program() -> None:
        end.watch()
        async with PresenceClient(emulator.config()) as client:
            lease = await client.join("lobby")
            await client.join("news")
            end.has_begun = True
            await lease.leave()
            assert not emulator.occupants("lobby")
            await client.close()

    await asyncio.create_task(program())

    assert not emulator.occupants("news")
