"""A slow or flaky service: bounded time, no wrong figure, no wrong verdict."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from presence_async.cli.findings import closing_line, line
from presence_async.doctor.examination import examine
from presence_async.doctor.finding import Report, Verdict
from presence_async.doctor.wire import Repeatable
from presence_async.emulator import EmulatorProfile, Fault, PresenceEmulator
from presence_async.protocol.exchange import HttpReply, HttpRequest

ANNOUNCED_S = 174


def now_s() -> float:
    return asyncio.get_running_loop().time()


def wrong(report: Report, profile: EmulatorProfile) -> dict[str, Any]:
    true = profile.to_dict()
    return {n: value for n, value in report.measured.items() if value != true[n]}


@pytest.mark.parametrize(
    "fault",
    [
        {"delay_s": 0.9},
        {"delay_s": 2},
        {"operation": "heartbeat", "delay_s": 9},
        {"operation": "leave", "delay_s": 9},
        {"operation": "subscribe", "delay_s": 3},
        {"operation": "subscribe", "delay_s": 6, "at": "after_effect"},
        {"operation": "here now", "delay_s": 3},
        {"operation": "leave", "delay_s": math.inf},
        {"operation": "heartbeat", "cut": True, "probability": 0.05},
        {"operation": "subscribe", "cut": True, "probability": 0.1},
        {"operation": "leave", "cut": True, "at": "after_effect", "probability": 0.2},
        {"status": 503, "probability": 0.1, "seed": 3},
        {"status": 429, "retry_after_s": 1, "probability": 0.1, "seed": 4},
    ],
    ids=str,
)
async def test_what_is_slow_or_fails_is_not_measured_wrongly(
    emulator: PresenceEmulator, fault: dict[str, Any]
) -> None:
    emulator.inject(Fault(**fault))
    started_s = now_s()

    report = await examine(emulator.config(), "lobby")

    assert wrong(report, EmulatorProfile()) == {}
    assert not report.has_problems
    assert now_s() - started_s < ANNOUNCED_S


@pytest.mark.parametrize(
    "options",
    [
        {"max_presence_timeout_s": 4},
        {"max_presence_timeout_s": 3, "implicit_heartbeats": True},
        {"max_presence_timeout_s": 4, "leave_on_disconnect": True},
        {"max_presence_timeout_s": 4, "announce_max": 100},
        {"max_presence_timeout_s": 8, "debounce_s": 5},
        {
            "max_presence_timeout_s": 7,
            "debounce_s": 5,
            "announce_max": 1,
            "leave_on_disconnect": True,
        },
        {"max_presence_timeout_s": 3, "announce_max": 5},
        {"heartbeat_cache_s": 10},
    ],
    ids=str,
)
async def test_options_out_of_range_are_left_out(options: dict[str, Any]) -> None:
    profile = EmulatorProfile(**options)
    async with PresenceEmulator(profile=profile) as emulator:
        report = await examine(emulator.config(), "lobby")

    assert wrong(report, profile) == {}


@pytest.mark.parametrize(
    ("operation", "status", "says"),
    [
        ("where now", 429, "nothing keeps presence from working; "),
        ("where now", 503, "nothing keeps presence from working; "),
        ("heartbeat", 503, "no problem found, but presence was not seen to work; "),
    ],
)
async def test_a_refusal_that_passes_blames_no_key(
    emulator: PresenceEmulator, operation: str, status: int, says: str
) -> None:
    emulator.inject(Fault(operation="time", status=status, times=2))
    emulator.inject(Fault(operation=operation, status=status))

    report = await examine(emulator.config(), "lobby", is_quick=True)

    assert not report.has_problems
    assert wrong(report, EmulatorProfile()) == {}
    assert closing_line(report).startswith(says)


async def test_a_service_that_only_answers_503_is_said_to_be_down(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(status=503))

    report = await examine(emulator.config(), "lobby")

    (told,) = [line(f) for f in report.findings if f.verdict is Verdict.PROBLEM]
    assert f"{emulator.origin} answers 503 → try again later" in told


@pytest.mark.parametrize("age", ["", "x", "-1", "٣", "9" * 5000])
async def test_an_age_that_is_no_number_is_none(age: str) -> None:
    async def send(_: HttpRequest) -> HttpReply:
        return HttpReply(status=200, body=b"", headers={"age": age})

    assert await Repeatable(send, HttpRequest(path="/")).age_s() is None


@pytest.mark.parametrize(
    ("delay_s", "left"), [(0.3, 0), (math.inf, 27)], ids=["far", "stalled"]
)
async def test_it_ends_in_time_where_leaving_is_slow(
    emulator: PresenceEmulator, delay_s: float, left: int
) -> None:
    task = asyncio.create_task(examine(emulator.config(), "lobby"))
    await asyncio.sleep(76)
    emulator.inject(Fault(operation="leave", delay_s=delay_s))

    started_s = now_s()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert now_s() - started_s < 16
    keyset = emulator._server.service.keyset("demo")
    assert keyset.occupancy.users_total() == left
