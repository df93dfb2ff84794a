"""Each figure is the true one, or not measured with a reason, also in trouble."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from presence_async import IntervalEvent
from presence_async.doctor import crowd
from presence_async.doctor.bounds import Bounds, UnclearError
from presence_async.doctor.caches import heartbeat_cache, here_now_cache
from presence_async.doctor.comparison import compared
from presence_async.doctor.crowd import announce_maximum
from presence_async.doctor.examination import Limits, examine
from presence_async.doctor.finding import Finding, Report, unknown
from presence_async.doctor.subject import Subject
from presence_async.doctor.timeouts import judged, timeouts
from presence_async.doctor.timing import delays
from presence_async.doctor.tracking import tracking
from presence_async.emulator import EventFault, Fault, PresenceEmulator
from presence_async.errors import UnavailableError


async def report_of(limits: Limits | None = None, **options: Any) -> Report:
    async with PresenceEmulator(**options) as emulator:
        return await examine(emulator.config(), "lobby", limits=limits)


async def probed(
    probe: Callable[[Subject], Awaitable[Finding]],
    limits: Limits | None = None,
    fault: Fault | None = None,
    **options: Any,
) -> Finding:
    """Return what one probe finds, or that it saw too little."""
    async with PresenceEmulator(**options) as emulator:
        if fault is not None:
            emulator.inject(fault)
        async with Subject(emulator.config(), "lobby", limits) as subject:
            subject.place = "lobby"
            try:
                return await probe(subject)
            except UnclearError as error:
                return unknown("unclear", str(error))


def found(report: Report, name: str) -> Finding:
    (finding,) = [f for f in report.findings if f.name == name]
    return finding


@pytest.mark.parametrize("least_s", [0, 2, 3, 4, 5, 6, 20])
@pytest.mark.parametrize("most_s", [20, 31, 59])
async def test_a_minimum_and_a_maximum_are_found(least_s: int, most_s: int) -> None:
    finding = await probed(
        timeouts, min_presence_timeout_s=least_s, max_presence_timeout_s=most_s
    )

    if least_s < most_s:
        assert finding.measured == {
            "min_presence_timeout_s": least_s,
            "max_presence_timeout_s": most_s,
        }
    else:
        assert finding.measured == {}


@pytest.mark.parametrize("most_s", [None, 60, 61, 300])
async def test_no_maximum_is_told_above_the_longest_timeout(most_s: int | None) -> None:
    finding = await probed(timeouts, max_presence_timeout_s=most_s)

    assert "max_presence_timeout_s" not in finding.measured
    assert finding.text == (
        "1 s is accepted; 60 s are accepted;"
        " not measured: a maximum above it (--longest-timeout)"
    )


async def test_a_longer_longest_timeout_finds_a_larger_maximum() -> None:
    longer = Limits(longest_timeout_s=150)

    finding = await probed(timeouts, longer, max_presence_timeout_s=120)

    assert finding.measured["max_presence_timeout_s"] == 120


async def test_a_maximum_on_one_side_is_a_difference_and_on_none_not_compared() -> None:
    without, larger = await report_of(), await report_of(max_presence_timeout_s=90)
    smaller = await report_of(max_presence_timeout_s=30)

    alike, differing = compared(without, larger), compared(without, smaller)

    assert (alike.differences, differing.not_compared) == ((), ("leave_needs_read",))
    assert "max_presence_timeout_s" in alike.not_compared
    assert [d.keyword for d in differing.differences] == ["max_presence_timeout_s=None"]


@pytest.mark.parametrize(
    ("debounce_s", "most_s", "says"),
    [
        (2, 20, "which is held back for 2 s"),
        (9, 20, "which is held back for 9 s"),
        (5, 5, "users time out before a leave is seen"),
        (9, 5, "users time out before a leave is seen"),
        (15, None, "a leave is not seen within 10 s"),
    ],
)
async def test_a_debounce_that_a_timeout_cuts_short_is_not_measured(
    debounce_s: int, most_s: int | None, says: str
) -> None:
    finding = await probed(delays, debounce_s=debounce_s, max_presence_timeout_s=most_s)

    assert finding.text.endswith(says)
    expected = debounce_s if says.startswith("which") else None
    assert finding.measured.get("debounce_s") == expected


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        # The poll that is held when the user joins brings the join; the next one waits.
        (
            Fault(operation="subscribe", delay_s=40, at="after_effect"),
            "events come more than 5 s late",
        ),
        # As rules that leave out the events of leaves.
        (EventFault(drop=1, for_s=2), "a leave has no event within 5 s"),
    ],
    ids=["late", "none"],
)
async def test_a_leave_without_event_is_told_from_a_late_one(
    fault: Fault | EventFault, says: str
) -> None:
    async with (
        PresenceEmulator(debounce_s=2) as emulator,
        Subject(emulator.config(), "lobby") as subject,
    ):
        subject.place = "lobby"
        await subject.sight()
        asyncio.get_running_loop().call_later(1, emulator.inject, fault)
        await asyncio.sleep(0 if isinstance(fault, EventFault) else 2)

        try:
            text = (await delays(subject)).text
        except UnclearError as error:
            text = str(error)

    assert text.endswith(says)


@pytest.mark.parametrize("seconds", [0, 1, 2, 3])
@pytest.mark.parametrize("probe", [heartbeat_cache, here_now_cache])
async def test_a_cache_is_found_from_one_second_on(
    probe: Callable[[Subject], Awaitable[Finding]], seconds: int
) -> None:
    options: dict[str, Any] = {f"{probe.__name__}_s": seconds}

    finding = await probed(probe, **options)

    assert finding.measured == options


@pytest.mark.parametrize(
    ("age_s", "says"),
    [
        (0, "a cache of less than 2 s would not show"),
        (3, "a cache answered what was never asked before"),
    ],
)
async def test_ages_that_do_not_tell_of_a_cache_are_no_figure(
    age_s: int, says: str
) -> None:
    fault = Fault(operation="heartbeat", age_s=age_s, body=b'{"status": 200}')

    assert (await probed(heartbeat_cache, fault=fault)).text == says


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "heartbeat", "status": 503, "times": 2},
        {"operation": "here now", "status": 503, "times": 2},
        {"operation": "here now", "cut": True, "times": 2},
        {"operation": "here now", "status": 429, "retry_after_s": 1, "times": 2},
    ],
    ids=str,
)
async def test_a_failure_that_passes_leaves_nothing_untried(
    fault: dict[str, Any],
) -> None:
    async with PresenceEmulator() as emulator:

        def strike(finding: Finding) -> None:
            if finding.name == "presence":
                emulator.inject(Fault(**fault))

        report = await examine(emulator.config(), "lobby", on_finding=strike)

    assert all(finding.was_tried for finding in report.findings)
    assert report.not_measured == ("max_presence_timeout_s", "leave_needs_read")


async def test_probes_after_an_outage_are_tried_once_it_has_passed() -> None:
    told: list[str] = []
    async with PresenceEmulator() as emulator:

        def strike(finding: Finding) -> None:
            told.append(f"{finding.name}: {finding.text}")
            if finding.name == "presence":
                emulator.inject(Fault(operation="heartbeat", status=503, for_s=8))

        report = await examine(emulator.config(), "lobby", on_finding=strike)

    looks = [text for text in told if text.startswith("tracking")]
    assert looks[0].startswith("tracking: not measured: heartbeat failed after 4")
    assert looks[-1] == "tracking: every channel is tracked"
    assert found(report, "tracking").text == "every channel is tracked"
    assert {"announce_max", "implicit_heartbeats"} < set(report.measured)


def test_where_timeouts_are_late_at_random_the_figures_still_hold() -> None:
    """As recorded: 0 to 0.8 s late. Then a short minimum may not be told."""
    held = {1: Bounds(1.5, 1.75), 10: Bounds(10, 10.2), 20: Bounds(20.6, 20.85)}

    seen = {**held, 60: Bounds(60.2, 60.45)}
    assert judged(seen, 60).measured == {
        "min_presence_timeout_s": 0,
        "accepted_timeout_s": 60,
    }
    lowered = judged({**held, 60: Bounds(30.5, 30.7)}, 60)
    assert lowered.measured == {
        "min_presence_timeout_s": 0,
        "max_presence_timeout_s": 30,
    }
    raised = judged({**seen, 1: Bounds(4.5, 4.75)}, 60)
    assert raised.measured == {"min_presence_timeout_s": 4, "accepted_timeout_s": 60}
    unclear = judged({**seen, 1: Bounds(3.8, 4.05)}, 60)
    assert unclear.measured == {"accepted_timeout_s": 60}
    assert unclear.text.startswith("not measured: what becomes of 1 s (it may be 2.9")
    assert judged({}, 60).measured == {}


@pytest.mark.parametrize(
    ("apart_s", "measured"),
    [(10, 10), (9.9, 10), (10.1, 10), (10.2, 10), (10.4, None), (15.15, 15)],
)
def test_intervals_need_not_come_on_the_dot(
    apart_s: float, measured: int | None
) -> None:
    first, second = [
        IntervalEvent(
            timetoken=int(at_s * 10_000_000),
            timestamp_ms=int(at_s * 1000),
            channel="lobby",
            occupancy=21,
        )
        for at_s in (1_700_000_000, 1_700_000_000 + apart_s)
    ]

    finding = crowd.judged(20, [first, second], can_stay=True)

    assert finding.measured.get("interval_s") == measured
    assert finding.measured["announce_max"] == 20


async def test_when_a_request_acted_is_open_while_an_attempt_may_still_act(
    emulator: PresenceEmulator,
) -> None:
    loop = asyncio.get_running_loop()
    async with Subject(emulator.config(), "lobby") as subject:
        subject.place, started_s = "lobby", loop.time()
        emulator.inject(Fault(operation="heartbeat", status=503, times=1))
        refused = await subject.announce("a", 60)
        emulator.inject(Fault(operation="heartbeat", delay_s=15, times=1))
        stalled = await subject.announce("b", 60)

    assert refused.least_s == started_s
    assert started_s < refused.most_s < started_s + 1
    assert stalled.most_s == math.inf


async def test_events_that_fail_for_a_moment_are_not_refused(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(operation="subscribe", status=503, times=50))
    async with Subject(emulator.config(), "lobby") as subject:
        subject.place = "lobby"
        with pytest.raises(UnavailableError):
            await subject.sight()


async def test_who_may_have_timed_out_is_not_called_untracked() -> None:
    slow = Fault(operation="here now", delay_s=6)

    finding = await probed(tracking, fault=slow, max_presence_timeout_s=3)

    assert finding.text == "an answer took 6.0 s"


async def test_a_join_without_event_is_no_maximum_while_no_event_comes(
    emulator: PresenceEmulator,
) -> None:
    async with Subject(emulator.config(), "lobby") as subject:
        subject.place = "lobby"
        await subject.sight()
        emulator.inject(
            Fault(operation="subscribe", delay_s=math.inf, at="after_effect")
        )
        await asyncio.sleep(2)
        await subject.announce("first", 60)  # whose event the poll brings that is held
        await asyncio.sleep(2)

        with pytest.raises(UnclearError, match="no event came"):
            await announce_maximum(subject)
