"""When a roster asks for its next snapshot: pure arithmetic."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from presence_async.roster.schedule import SnapshotSchedule


def schedule_begun() -> SnapshotSchedule:
    schedule = SnapshotSchedule(random.Random(1))  # noqa: S311  # repeatable, guards nothing
    schedule.begin(now_s=100)
    return schedule


def answered(schedule: SnapshotSchedule, sent_s: float, found: int = 0) -> float:
    schedule.sent(now_s=sent_s)
    schedule.answered(sent_s=sent_s, found=found, now_s=sent_s)
    return schedule.due_s - sent_s


def test_the_first_question_is_due_at_once_and_the_second_confirms() -> None:
    schedule = schedule_begun()

    assert schedule.due_s == 100
    assert answered(schedule, 100) == 5
    assert not schedule.is_trusted
    assert 8 <= answered(schedule, 105) <= 10
    assert schedule.is_trusted


def test_an_answer_that_was_asked_for_too_early_confirms_nothing() -> None:
    schedule = schedule_begun()
    schedule.sent(now_s=106)
    schedule.answered(sent_s=104, found=0, now_s=106)

    assert not schedule.is_trusted


def questions(schedule: SnapshotSchedule, begin_s: float, end_s: float) -> list[float]:
    """Answer all that is asked up to a time, finding nothing wrong."""
    asked = []
    while schedule.due_s < end_s:
        asked.append(schedule.due_s)
        answered(schedule, schedule.due_s)
    return [second for second in asked if second >= begin_s]


def test_while_all_goes_well_it_asks_more_and_more_seldom() -> None:
    schedule = schedule_begun()

    first_minutes = questions(schedule, 100, 220)
    first_hour = questions(schedule, 220, 3700)
    second_hour = questions(schedule, 3700, 7300)

    assert 12 <= len(first_minutes) <= 16
    assert len(first_hour) <= 50
    # As the README says: about 60 in the first hour, 13 in each later one.
    assert 57 <= len(first_minutes) + len(first_hour) <= 64
    assert 12 <= len(second_hour) <= 16
    assert max(b - a for a, b in itertools.pairwise(second_hour)) <= 300


@pytest.mark.parametrize(
    "trouble",
    [
        lambda schedule, now_s: schedule.record_trouble(now_s=now_s),
        lambda schedule, now_s: schedule.doubt(now_s=now_s),
        lambda schedule, now_s: schedule.suspect(now_s=now_s),
        lambda schedule, now_s: schedule.ask_soon(now_s=now_s),
    ],
    ids=["trouble", "doubt", "suspicion", "a question"],
)
def test_any_sign_of_trouble_makes_it_ask_often_for_two_minutes(
    trouble: Callable[[SnapshotSchedule, float], None],
) -> None:
    schedule = schedule_begun()
    questions(schedule, 100, 7300)

    trouble(schedule, 7300)
    asked = [7300.0, *questions(schedule, 7300, 7420)]
    later = questions(schedule, 7420, 8000)

    assert max(b - a for a, b in itertools.pairwise(asked)) <= 10
    assert len(later) <= 25


@pytest.mark.parametrize("trouble", ["corrections", "failure"])
def test_what_an_answer_shows_is_a_sign_of_trouble_too(trouble: str) -> None:
    schedule = schedule_begun()
    questions(schedule, 100, 7300)
    due_s = schedule.due_s

    if trouble == "corrections":
        answered(schedule, due_s, found=1)
    else:
        schedule.sent(now_s=due_s)
        schedule.failed(now_s=due_s)

    assert schedule.due_s - due_s <= 10
    assert 8 <= answered(schedule, schedule.due_s) <= 10


def test_failures_are_spread_and_never_close_together() -> None:
    schedule = schedule_begun()
    waits = []
    now_s = 100.0
    for _ in range(200):
        schedule.sent(now_s=now_s)
        schedule.failed(now_s=now_s + 0.1)
        schedule.doubt(now_s=now_s + 0.1)
        waits.append(schedule.due_s - now_s)
        now_s = schedule.due_s

    assert min(waits) >= 3 - 1e-9
    assert max(waits) <= 10
    assert len({round(wait_s, 3) for wait_s in waits}) > 50


def test_a_question_that_hung_is_asked_again_at_once() -> None:
    schedule = schedule_begun()
    schedule.sent(now_s=100)

    schedule.failed(now_s=110)

    assert 110 <= schedule.due_s <= 111


def test_refused_again_and_again_it_asks_twice_a_minute() -> None:
    schedule = schedule_begun()
    now_s, waits = 100.0, []
    for _ in range(6):
        schedule.sent(now_s=now_s)
        schedule.failed(now_s=now_s, is_refused=True)
        waits.append(schedule.due_s - now_s)
        now_s = schedule.due_s

    assert max(waits[:2]) <= 10
    assert min(waits[2:]) >= 24
    assert max(waits) <= 30


def test_before_it_begins_nothing_is_due() -> None:
    schedule = SnapshotSchedule(random.Random(1))  # noqa: S311  # repeatable, guards nothing

    assert schedule.due_s == math.inf
