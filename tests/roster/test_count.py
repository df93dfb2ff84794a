"""The number of users on a channel, from events and answers: which witness counts."""

from __future__ import annotations

import random
from typing import Any

import pytest

from presence_async.protocol.events import (
    GapEvent,
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    StateChangeEvent,
    UnknownEvent,
)
from presence_async.protocol.timetoken import TIMETOKENS_PER_S
from presence_async.roster.count import CountState
from presence_async.roster.schedule import SnapshotSchedule
from presence_async.roster.snapshot import Count

LAG_S = 0.1
"""From what happens to its event, in loop time; service time is loop time here."""


def at(second: float) -> dict[str, Any]:
    return {
        "channel": "lobby",
        "timetoken": int(second * TIMETOKENS_PER_S),
        "timestamp_ms": int(second * 1000),
    }


def join(second: float, occupancy: int) -> JoinEvent:
    return JoinEvent(user_id="u", occupancy=occupancy, **at(second))


def leave(second: float, occupancy: int) -> LeaveEvent:
    return LeaveEvent(user_id="u", occupancy=occupancy, **at(second))


def change(second: float, occupancy: int) -> StateChangeEvent:
    return StateChangeEvent(user_id="u", occupancy=occupancy, state={}, **at(second))


def interval(second: float, occupancy: int) -> IntervalEvent:
    return IntervalEvent(occupancy=occupancy, **at(second))


def gap(second: float, reason: Any = "service_queue") -> GapEvent:
    fields = {k: v for k, v in at(second).items() if k != "channel"}
    return GapEvent(reason=reason, **fields)


class Followed:
    """A count of "lobby" that knows of 5 users at second 100, and is confirmed."""

    def __init__(self) -> None:
        rng = random.Random(1)  # noqa: S311  # repeatable, guards nothing
        self.schedule = SnapshotSchedule(rng)
        self.state = CountState("lobby", self.schedule)
        self.schedule.begin(now_s=95)
        self.hear(join(94.9, 5))
        self.answer(95, 5)
        self.answer(100, 5)
        # Nothing but what a test adds makes it ask before the regular time.
        self.calm_due_s = self.schedule.due_s

    def hear(self, event: PresenceEvent, at_s: float | None = None) -> int:
        happened_s = event.timetoken / TIMETOKENS_PER_S
        self.state.apply(event, now_s=happened_s + LAG_S if at_s is None else at_s)
        return self.state.occupancy

    def is_trusted(self) -> bool:
        return self.schedule.is_trusted

    def answer(self, sent_s: float, occupancy: int) -> int:
        self.schedule.sent(now_s=sent_s)
        count = Count(occupancy=occupancy, sent_at_s=sent_s, timestamp_ms=0)
        self.state.reconcile(count, now_s=sent_s)
        return self.state.occupancy


@pytest.fixture
def followed() -> Followed:
    return Followed()


def test_before_anything_is_known_it_is_zero_and_the_first_answer_counts() -> None:
    rng = random.Random(1)  # noqa: S311  # repeatable, guards nothing
    schedule = SnapshotSchedule(rng)
    state = CountState("lobby", schedule)
    schedule.begin(now_s=100)
    before = state.occupancy
    schedule.sent(now_s=100)
    state.reconcile(Count(7, 100, 0), now_s=100)

    assert (before, state.occupancy) == (0, 7)
    assert not schedule.is_trusted
    assert schedule.due_s == 105


@pytest.mark.parametrize("make", [join, leave, change, interval])
def test_every_event_brings_the_whole_number(followed: Followed, make: Any) -> None:
    assert followed.hear(make(101, 9)) == 9


def test_what_is_of_another_channel_or_unknown_brings_nothing(
    followed: Followed,
) -> None:
    elsewhere = JoinEvent(
        channel="other", timetoken=2**60, timestamp_ms=0, user_id="u", occupancy=9
    )
    unknown = UnknownEvent(occupancy=8, raw=b"", **at(101))

    assert [followed.hear(elsewhere), followed.hear(unknown)] == [5, 5]
    assert followed.schedule.is_trusted


def test_an_event_that_is_overtaken_changes_nothing(followed: Followed) -> None:
    followed.hear(join(102, 6))

    assert followed.hear(leave(101, 5), at_s=102.5) == 6


@pytest.mark.parametrize(("sent_s", "expected"), [(104, 6), (108, 5)])
def test_an_answer_prevails_over_events_that_it_must_show(
    followed: Followed, sent_s: float, expected: int
) -> None:
    followed.hear(join(102, 6))

    assert followed.answer(sent_s, 5) == expected


def test_an_older_event_that_arrives_after_an_answer_changes_nothing(
    followed: Followed,
) -> None:
    followed.hear(join(102, 6))
    followed.answer(120, 8)

    assert followed.hear(join(110, 7), at_s=120.5) == 8
    assert followed.hear(join(121, 9)) == 9


def test_an_answer_against_a_newer_event_is_asked_again_unless_another_event_comes(
    followed: Followed,
) -> None:
    """Either it was old, or a later event is missing; only the second one is wrong."""
    followed.hear(join(102, 6))
    assert followed.answer(104, 5) == 6
    assert not followed.is_trusted()
    due_s = followed.schedule.due_s
    assert due_s <= 111

    assert followed.answer(due_s, 5) == 5
    assert followed.is_trusted()

    followed.hear(join(115, 6))
    followed.answer(116, 5)
    followed.hear(leave(117, 5))
    assert followed.is_trusted()


def test_a_gap_is_doubted_until_an_answer_that_was_asked_for_later(
    followed: Followed,
) -> None:
    followed.hear(gap(102), at_s=102)
    assert not followed.is_trusted()
    assert followed.schedule.due_s <= 106

    followed.answer(105, 8)
    assert not followed.is_trusted()
    followed.answer(110, 8)
    assert followed.is_trusted()
    assert followed.state.occupancy == 8


def test_a_restart_with_another_clock_makes_old_timetokens_worth_nothing(
    followed: Followed,
) -> None:
    followed.hear(join(102, 6))
    followed.hear(gap(103, "reconnect"), at_s=103)

    assert followed.hear(join(-3000 + 4000, 2), at_s=104) == 2
    assert followed.hear(leave(50, 1), at_s=104) == 2
    followed.hear(gap(104, "reconnect"), at_s=104)
    assert followed.hear(leave(50, 1), at_s=105) == 1


def test_a_clock_that_went_back_unnoticed_costs_answers_for_a_while(
    followed: Followed,
) -> None:
    followed.hear(join(10_000, 6))
    # From now on the service says an hour less, so that its events seem to be old.
    for second in (10_001, 10_050, 10_100):
        assert followed.hear(leave(second - 3600, 1), at_s=second + LAG_S) != 1
        assert followed.schedule.due_s < second + 13
        assert followed.answer(second + 9, 2) == 2

    assert followed.hear(join(10_170 - 3600, 3), at_s=10_170 + LAG_S) == 2
    assert followed.answer(10_180, 3) == 3
    assert followed.hear(join(10_181 - 3600, 4), at_s=10_181 + LAG_S) == 4


def test_a_step_that_shows_a_lost_event_makes_it_ask_often_for_a_while(
    followed: Followed,
) -> None:
    for second in range(110, 8000, 200):
        followed.answer(second, 5)
    calm_s = followed.schedule.due_s - 7910
    followed.hear(join(7911, 6))
    after_a_step_s = followed.schedule.due_s - 7910
    # Somebody has joined unseen before.
    followed.hear(join(7912, 8))
    after_a_jump_s = followed.schedule.due_s - 7910

    assert calm_s == after_a_step_s > 200
    assert after_a_jump_s <= 13


def test_between_interval_events_a_different_number_is_no_sign_of_trouble(
    followed: Followed,
) -> None:
    followed.hear(interval(101, 500))
    for second in range(110, 8000, 200):
        followed.hear(interval(second, 500 + second))
        followed.hear(change(second + 1, 600))
        followed.answer(second + 7, 400)
        assert followed.state.occupancy == 400
        followed.answer(second + 8, 300)
        assert followed.schedule.is_trusted
    assert followed.schedule.due_s - 7918 > 200
    followed.hear(leave(7930, 20))
    assert followed.schedule.due_s - 7918 > 200


def test_an_answer_that_corrects_it_is_followed_by_others_soon(
    followed: Followed,
) -> None:
    for second in range(110, 8000, 200):
        followed.answer(second, 5)
    followed.answer(8100, 4)

    assert followed.schedule.due_s <= 8110
