"""Closing: leaves within a deadline, and a report; promises 5, 8 and 14."""

from __future__ import annotations

import asyncio
import math

import pytest

from presence_async import (
    ClientClosedError,
    DeadlineError,
    LinearRetry,
    PresenceClient,
    UnavailableError,
)
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.testing.virtual_loop import VirtualLoop


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


async def test_a_heartbeat_acknowledged_while_closing_revives_no_lease(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    lease = await client.join("lobby", presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", delay_s=2, times=1))
    while emulator.requests.total < 2:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.1)

    report = await client.close()

    assert lease.health == "released"
    assert lease.remaining_s == 0.0
    assert len(report.left) == 1
    assert not emulator.occupants("lobby")


async def test_a_failed_leave_that_closing_makes_good_was_left(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    lease = await client.join("lobby")
    emulator.inject(Fault(operation="leave", status=503, for_s=3))
    with pytest.raises(UnavailableError):
        await lease.leave()
    await asyncio.sleep(3)

    report = await client.close()

    assert [was.user_id for was in report.left] == ["tester"]
    assert report.failed == ()


async def test_a_user_who_lingers_and_is_back_is_left_once(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    async with client.join(["lobby", "news"], linger_s=60):
        pass
    emulator.inject(Fault(operation="heartbeat", delay_s=2))
    joining = asyncio.ensure_future(client.join("lobby"))
    await asyncio.sleep(1)

    report = await client.close()
    with pytest.raises(ClientClosedError):
        await joining

    assert sorted(was.channels for was in report.left) == [("lobby",), ("news",)]


async def test_cancelling_close_twice_leaves_nothing(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=math.inf))
    for turns in range(12):
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(1)
        closing.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})

        assert client.is_closed
        assert client.close_report is not None
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in names if name.startswith("presence")}
        client = await PresenceClient(emulator.config()).start()
        await client.join("lobby")
    await client.close(0.1)


async def test_whoever_closes_second_returns_when_all_is_closed(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=2))
    first = asyncio.ensure_future(client.close())
    await asyncio.sleep(1)

    report = await client.close()

    assert client._core.transport._session is None
    assert await first is report
    assert len(report.left) == 1


def test_leaves_under_way_at_the_last_cancel_are_still_sent() -> None:
    clients: list[PresenceClient] = []
    present: list[set[str]] = []

    async def story(emulator: PresenceEmulator) -> None:
        client = await PresenceClient(emulator.config()).start()
        clients.append(client)
        await client.join("news", user_id="eve")
        lease = await client.join("lobby")
        emulator.inject(Fault(operation="leave", delay_s=2, times=1))
        leaving = asyncio.ensure_future(lease.leave())
        await asyncio.sleep(1)
        leaving.cancel()

    async def look(emulator: PresenceEmulator) -> None:
        present.extend(set(emulator.occupants(name)) for name in ("lobby", "news"))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        emulator = PresenceEmulator()
        runner.run(emulator.start())
        runner.run(story(emulator))
        # As asyncio.run does at its end, and only to what the client has begun.
        loop = runner.get_loop()
        tasks = {
            task
            for task in asyncio.all_tasks(loop)
            if task.get_name().startswith("presence")
        }
        for task in tasks:
            task.cancel()
        runner.run(_waited(tasks))
        runner.run(look(emulator))
        runner.run(emulator.close())

    assert present == [set(), set()]
    assert clients[0].close_report is not None
    assert len(clients[0].close_report.left) == 2


async def _waited(tasks: set[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


async def test_a_leave_under_way_that_fails_is_tried_again_while_closing(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config(attempt_timeout_s=2)).start()
    lease = await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=math.inf, times=5))
    leaving = asyncio.ensure_future(lease.leave())
    while len(emulator.requests.of("leave")) < 5:  # noqa: ASYNC110  # nobody tells
        await asyncio.sleep(0.1)

    report = await client.close()

    assert report.failed == ()
    assert [was.user_id for was in report.left] == ["tester"]
    assert isinstance(leaving.exception(), DeadlineError)


async def test_a_call_that_waits_for_its_next_attempt_ends_with_the_client(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(operation="where now", status=503))
    retry = LinearRetry(wait_s=20)
    client = await PresenceClient(emulator.config(user_id="bob", retry=retry)).start()
    call = asyncio.create_task(client.where_now())
    await asyncio.sleep(1)
    began_s = now_s()

    await client.close()
    with pytest.raises(ClientClosedError, match="where now"):
        await call

    assert now_s() - began_s < 0.1


@pytest.mark.parametrize("joins", [False, True])
async def test_a_heartbeat_that_hangs_keeps_no_leave_from_being_sent(
    emulator: PresenceEmulator, *, joins: bool
) -> None:
    client = await PresenceClient(emulator.config(user_id="bob")).start()
    await client.join("lobby", presence_timeout_s=300)
    emulator.inject(Fault(operation="heartbeat", delay_s=math.inf, times=1))
    joining = asyncio.ensure_future(client.join("news")) if joins else None
    if joining is None:
        await asyncio.sleep(client.heartbeats.stats().next_due_s or 0)
    await asyncio.sleep(0.5)
    assert emulator.requests.total == 2

    report = await client.close(4)

    assert [was.user_id for was in report.left] == ["bob"]
    assert not emulator.occupants("lobby")
    if joining is not None:
        with pytest.raises(ClientClosedError):
            await joining


async def test_closing_does_not_make_a_caller_wait_longer_for_a_leave(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config(attempt_timeout_s=2)).start()
    await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=math.inf, for_s=4))
    began_s = now_s()
    leaving = asyncio.ensure_future(client.leave("lobby", timeout_s=3))
    told_s: list[float] = []
    leaving.add_done_callback(lambda _: told_s.append(now_s() - began_s))
    await asyncio.sleep(1)

    report = await client.close(9)

    assert told_s == [pytest.approx(3)]
    assert isinstance(leaving.exception(), DeadlineError)
    assert "it took longer than 3 s" in str(leaving.exception())
    assert [was.user_id for was in report.left] == ["tester"]
