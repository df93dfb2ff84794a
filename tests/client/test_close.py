"""Closing: leaves within a deadline, and a report; promises 5, 8 and 14."""

from __future__ import annotations

import asyncio
import math

import pytest

from presence_async import PresenceClient
from presence_async.emulator import Fault, PresenceEmulator


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_close_leaves_everything_and_reports_it(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    lease = await client.join(["lobby", "news"])
    await client.join("lobby", user_id="eve")

    report = await client.close()

    assert {was.user_id: was.channels for was in report.left} == {
        "tester": ("lobby", "news"),
        "eve": ("lobby",),
    }
    assert (report.failed, report.skipped) == ((), ())
    assert lease.health == "released"
    assert not emulator.occupants("lobby")
    assert client.close_report is report
    assert len(report.to_dict()["left"]) == 2  # type: ignore[arg-type]


async def test_leaves_go_out_at_the_same_time(emulator: PresenceEmulator) -> None:
    client = await PresenceClient(emulator.config()).start()
    await asyncio.gather(*(client.join("lobby", user_id=f"u{n}") for n in range(60)))
    emulator.inject(Fault(operation="leave", delay_s=1))
    began_s = now_s()

    report = await client.close()

    assert now_s() - began_s == pytest.approx(1)
    assert len(report.left) == 60


async def test_close_is_bounded_and_names_what_failed(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=math.inf))
    began_s = now_s()

    report = await client.close(timeout_s=3)

    assert now_s() - began_s == pytest.approx(3)
    assert [was.user_id for was in report.failed] == ["tester"]
    assert report.failed[0].error is not None


async def test_a_refused_leave_is_reported(emulator: PresenceEmulator) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    emulator.inject(Fault(operation="leave", status=403))

    report = await client.close()

    assert "403" in str(report.failed[0].error)
    assert report.failed[0].to_dict()["error"] == str(report.failed[0].error)


async def test_leave_on_close_false_skips_the_leaves(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config(leave_on_close=False)).start()
    await client.join("lobby")

    report = await client.close()

    assert [was.channels for was in report.skipped] == [("lobby",)]
    assert set(emulator.occupants("lobby")) == {"tester"}


async def test_closing_twice_and_from_two_tasks_is_one_close(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")

    first, second = await asyncio.gather(client.close(), client.close())
    third = await client.close()

    assert first is second is third
    assert len(emulator.requests.of("leave")) == 1


async def test_closing_a_client_never_started_does_nothing(
    emulator: PresenceEmulator,
) -> None:
    client = PresenceClient(emulator.config())

    report = await client.close()

    assert report.left == ()
    assert client.is_closed


async def test_an_error_in_the_block_still_leaves(emulator: PresenceEmulator) -> None:
    with pytest.raises(KeyError):
        async with PresenceClient(emulator.config()) as client:
            await client.join("lobby")
            raise KeyError

    assert not emulator.occupants("lobby")


async def test_a_join_under_way_at_close_is_ended_and_left(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    emulator.inject(Fault(operation="heartbeat", delay_s=2, times=1))
    joining = asyncio.ensure_future(client.join("lobby"))
    await asyncio.sleep(1)

    await client.close()
    await asyncio.wait({joining})
    await asyncio.sleep(30)

    assert type(joining.exception()).__name__ == "ClientClosedError"
    assert not emulator.occupants("lobby")


async def test_a_lingering_leave_goes_out_at_close(emulator: PresenceEmulator) -> None:
    async with PresenceClient(emulator.config()) as client:
        async with client.join("lobby", linger_s=600):
            pass
        assert set(emulator.occupants("lobby")) == {"tester"}

    assert not emulator.occupants("lobby")


async def test_a_closed_port_ends_closing_in_time(emulator: PresenceEmulator) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    await emulator.close()
    began_s = now_s()

    report = await client.close()

    assert now_s() - began_s <= 10
    assert len(report.failed) == 1
