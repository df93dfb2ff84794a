"""The rules of a roster one by one: events, snapshots, checksum, clock, plan."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from presence_async.client.roster.book import RosterBook
from presence_async.client.roster.clock import TIMETOKENS_PER_S, ServiceClock
from presence_async.client.roster.plan import CheckPlan
from presence_async.client.roster.snapshot import Snapshot
from presence_async.protocol.events import (
    GapEvent,
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    StateChangeEvent,
    TimeoutEvent,
    UnknownEvent,
)
from presence_async.protocol.json_codec import Json
from presence_async.protocol.occupancy import Occupant

LAG_S = 0.1
"""From what happens to its event, in loop time; service time is loop time here."""


def at(second: float) -> dict[str, Any]:
    return {
        "channel": "lobby",
        "timetoken": int(second * TIMETOKENS_PER_S),
        "timestamp_ms": int(second * 1000),
    }


def join(second: float, user_id: str, occupancy: int = 1, **more: Any) -> JoinEvent:
    return JoinEvent(user_id=user_id, occupancy=occupancy, **at(second), **more)


def leave(second: float, user_id: str, occupancy: int = 0) -> LeaveEvent:
    return LeaveEvent(user_id=user_id, occupancy=occupancy, **at(second))


def change(
    second: float, user_id: str, state: Mapping[str, Json], occupancy: int = 1
) -> StateChangeEvent:
    return StateChangeEvent(
        user_id=user_id, occupancy=occupancy, state=state, **at(second)
    )


def snapshot(
    sent_s: float, states: Mapping[str, Mapping[str, Json]], *, is_whole: bool = True
) -> Snapshot:
    return Snapshot(
        channel="lobby",
        occupants={u: Occupant(user_id=u, state=s) for u, s in states.items()},
        is_whole=is_whole,
        sent_at_s=sent_s,
        timestamp_ms=int(sent_s * 1000),
    )


class Harness:
    """A book begun at second 100 with nobody there."""

    def __init__(self, *present: str) -> None:
        self.book = RosterBook("lobby", random.Random(1))  # noqa: S311  # repeatable
        self.book.plan.begin(now_s=100)
        self.answer(100, {user_id: {} for user_id in present})
        self.answer(105, {user_id: {} for user_id in present})

    def hear(self, *events: PresenceEvent, late_s: float = LAG_S) -> list[str]:
        told: list[PresenceEvent] = []
        for event in events:
            now_s = event.timetoken / TIMETOKENS_PER_S + late_s
            told += self.book.apply(event, now_s=now_s)
        return shown(told)

    def answer(
        self,
        sent_s: float,
        states: Mapping[str, Mapping[str, Json]],
        *,
        is_whole: bool = True,
    ) -> list[str]:
        self.book.plan.sent(now_s=sent_s)
        found = snapshot(sent_s, states, is_whole=is_whole)
        return shown(self.book.reconcile(found, now_s=sent_s + LAG_S))

    @property
    def states(self) -> dict[str, object]:
        return {u: o.state for u, o in self.book.members.items()}


def shown(events: list[PresenceEvent]) -> list[str]:
    return [
        f"{event.action} {getattr(event, 'user_id', '')}"
        + (" synthesized" if event.synthesized else "")
        for event in events
    ]


# Events.


def test_a_second_join_and_a_second_leave_are_not_told() -> None:
    roster = Harness()

    told = roster.hear(
        join(110, "bob"), join(111, "bob"), leave(112, "bob"), leave(113, "bob")
    )

    assert told == ["join bob", "leave bob"]


def test_a_timeout_is_the_end_of_a_presence_too() -> None:
    roster = Harness("bob")

    timeout = TimeoutEvent(user_id="bob", occupancy=0, **at(110))
    assert roster.hear(timeout, leave(111, "bob")) == ["timeout bob"]


def test_of_one_user_an_older_event_is_ignored() -> None:
    roster = Harness()

    assert roster.hear(join(111, "bob")) == ["join bob"]
    assert roster.hear(leave(110, "bob"), late_s=2) == []
    assert roster.hear(change(110.5, "bob", {"n": 1}), late_s=2) == []
    assert roster.states == {"bob": {}}


def test_a_state_that_overtakes_its_join_is_kept_for_it() -> None:
    roster = Harness()

    assert roster.hear(change(111, "bob", {"n": 2})) == []
    told = roster.hear(join(110, "bob", state={"n": 1}), late_s=2)

    assert told == ["join bob", "state-change bob"]
    assert roster.states == {"bob": {"n": 2}}


def test_a_state_that_overtakes_leave_and_join_is_kept_for_the_join() -> None:
    roster = Harness("bob")

    assert roster.hear(change(112, "bob", {"n": 2})) == ["state-change bob"]
    assert roster.hear(leave(110, "bob"), late_s=3) == ["leave bob"]
    told = roster.hear(join(111, "bob"), late_s=3)

    assert told == ["join bob", "state-change bob"]
    assert roster.states == {"bob": {"n": 2}}


def test_a_state_from_before_the_join_is_not_the_new_ones() -> None:
    roster = Harness()

    roster.hear(change(110, "bob", {"n": 1}), join(111, "bob"))

    assert roster.states == {"bob": {}}


def test_a_repeated_join_brings_its_state() -> None:
    roster = Harness("bob")

    told = roster.hear(join(110, "bob", state={"n": 1}))

    assert told == ["state-change bob synthesized"]
    assert roster.states == {"bob": {"n": 1}}


def test_a_state_set_again_is_no_change() -> None:
    roster = Harness("bob")

    told = roster.hear(change(110, "bob", {"n": 1}), change(111, "bob", {"n": 1}))

    assert told == ["state-change bob"]


def test_what_concerns_nobody_here_is_ignored() -> None:
    roster = Harness("bob")
    unknown = UnknownEvent(occupancy=7, raw=b"{}", **at(110))
    elsewhere = JoinEvent(user_id="eve", occupancy=9, **{**at(110), "channel": "news"})

    assert roster.hear(unknown, elsewhere) == []
    assert roster.book.plan.is_trusted


def test_an_undecodable_state_is_its_users_own() -> None:
    roster = Harness()

    roster.hear(join(110, "bob", state_error="not JSON"))

    bob = roster.book.members["bob"]
    assert (bob.state, bob.state_error) == (None, "not JSON")


# Interval events.


def test_an_interval_event_is_told_user_by_user() -> None:
    roster = Harness("alice", "bob")

    told = roster.hear(
        IntervalEvent(
            occupancy=1,
            joined=("carol",),
            left=("alice",),
            timed_out=("bob",),
            **at(120),
        )
    )

    assert told == [
        "leave alice synthesized",
        "timeout bob synthesized",
        "join carol synthesized",
    ]
    assert roster.book.plan.is_trusted


def test_somebody_in_two_lists_of_an_interval_is_asked_about() -> None:
    roster = Harness("alice")

    both = ("alice", "bob")
    event = IntervalEvent(occupancy=1, joined=both, left=both, **at(109))
    assert roster.hear(event) == []
    assert roster.book.plan.due_s <= 109 + LAG_S + 3


@pytest.mark.parametrize(
    "said", [{"here_now_refresh": True, "occupancy": 0}, {"occupancy": 5}], ids=str
)
def test_an_interval_event_that_does_not_say_who_is_asked_about_once(
    said: dict[str, Any],
) -> None:
    roster = Harness()

    roster.hear(IntervalEvent(**said, **at(109)))
    due_s = roster.book.plan.due_s
    roster.answer(due_s, {"a": {}})

    assert due_s <= 109 + LAG_S + 3
    assert roster.book.plan.due_s >= due_s + 8


def test_the_state_of_whom_an_interval_lists_comes_from_any_snapshot() -> None:
    roster = Harness()

    roster.hear(IntervalEvent(occupancy=2, joined=("bob", "eve"), **at(120)))
    unknown = roster.states
    told = roster.answer(121, {"bob": {"n": 1}, "eve": {}})

    assert unknown == {"bob": None, "eve": None}
    assert told == ["state-change bob synthesized"]
    assert roster.states == {"bob": {"n": 1}, "eve": {}}


def test_between_interval_events_counts_of_state_changes_are_no_checksum() -> None:
    roster = Harness("bob")

    roster.hear(IntervalEvent(occupancy=1, **at(108)))
    due_s = roster.book.plan.due_s
    roster.hear(change(108.5, "bob", {"n": 1}, occupancy=9))

    assert roster.book.plan.due_s == due_s


# Snapshots.


def test_a_snapshot_corrects_what_events_never_said() -> None:
    roster = Harness("alice", "bob")
    roster.hear(change(110, "bob", {}, occupancy=2))

    told = roster.answer(120, {"bob": {"n": 1}, "carol": {"m": 1}})

    assert told == [
        "leave alice synthesized",
        "state-change bob synthesized",
        "join carol synthesized",
    ]


def test_a_snapshot_never_undoes_what_is_newer() -> None:
    roster = Harness("alice")
    roster.hear(join(119, "bob", 2), leave(119.1, "alice", 1))

    assert roster.answer(120, {"alice": {}}) == []
    assert set(roster.states) == {"bob"}
    assert roster.answer(123, {"alice": {}}) == [], "still within its possible age"
    assert roster.answer(125, {"alice": {}}) == [
        "leave bob synthesized",
        "join alice synthesized",
    ]


def test_a_state_newer_than_the_snapshot_does_not_hide_whom_it_belongs_to() -> None:
    roster = Harness()
    roster.hear(change(119, "bob", {"n": 2}))

    assert roster.answer(120, {"bob": {"n": 1}}) == ["join bob synthesized"]
    assert roster.states == {"bob": {"n": 2}}


def test_an_event_from_before_the_snapshot_comes_too_late() -> None:
    roster = Harness()
    roster.hear(join(118, "carol"))
    roster.answer(124, {"carol": {}})

    assert roster.hear(join(112, "bob"), late_s=13) == []
    assert set(roster.states) == {"carol"}


def test_missing_from_one_snapshot_in_pages_is_not_gone() -> None:
    roster = Harness("alice", "bob", "carol")

    first = roster.answer(110, {"bob": {}}, is_whole=False)
    due_s = roster.book.plan.due_s
    second = roster.answer(115, {"bob": {}, "carol": {}}, is_whole=False)
    third = roster.answer(120, {"bob": {}}, is_whole=True)

    assert first == []
    assert due_s == 115
    assert second == ["leave alice synthesized"]
    assert third == ["leave carol synthesized"]


def test_after_a_gap_by_reconnecting_old_timetokens_mean_nothing() -> None:
    roster = Harness()
    roster.hear(join(5000, "bob"))
    roster.book.apply(
        GapEvent(timetoken=1, timestamp_ms=1, reason="reconnect"), now_s=5001
    )

    roster.answer(5002, {"bob": {}})
    is_trusted = roster.book.plan.is_trusted
    told = roster.book.apply(leave(1403, "bob"), now_s=5003)

    assert not is_trusted
    assert shown(list(told)) == ["leave bob"]


def test_a_restart_nobody_tells_of_is_got_over_in_two_minutes() -> None:
    roster = Harness()
    roster.hear(join(5000, "bob"))
    for second in range(5010, 5200, 10):
        roster.book.apply(join(second - 600, f"user-{second}", 2), now_s=second)
        roster.answer(second + 1, {"bob": {}, f"user-{second}": {}})

    told = roster.book.apply(leave(4600, "bob"), now_s=5200)

    assert shown(list(told)) == ["leave bob"]


def test_an_event_from_far_ahead_is_got_over_in_two_minutes() -> None:
    roster = Harness()
    book = roster.book
    ahead = msgspec.structs.replace(join(120, "ahead", 1), timetoken=2**63 - 1)
    book.apply(ahead, now_s=120 + LAG_S)
    for second in range(125, 260, 10):
        roster.hear(join(second, "bob", 1))
        roster.answer(second + 6, {"bob": {}})
    asked_s = second + 6

    assert set(book.members) == {"bob"}
    assert book.plan.is_trusted
    assert roster.hear(join(asked_s, "alice", 7)) == ["join alice"]
    assert not book.plan.is_trusted


def test_a_count_is_forgotten_if_nothing_is_heard_for_very_long() -> None:
    roster = Harness()
    roster.hear(join(110, "bob", 1))

    roster.answer(1000, {})

    assert roster.book.plan.is_trusted


def test_while_no_snapshot_can_be_had_what_is_old_is_forgotten() -> None:
    roster = Harness()
    for n in range(3):
        roster.hear(join(110 + n, f"user-{n}"), leave(110.5 + n, f"user-{n}"))
    roster.hear(join(2000, "bob"))

    roster.book.check_failed(now_s=2001)

    assert set(roster.book._recent) == {"bob"}


@pytest.mark.parametrize(
    "events",
    [
        [leave(2007, "bob"), join(2006, "bob", 1)],
        [join(2007, "bob", 1)],
        [leave(2007, "alice", 1)],
        [change(2007, "alice", {"n": 1}, 1)],
    ],
    ids=["out of order", "a second join", "a second leave", "a state of nobody"],
)
def test_an_event_that_does_not_follow_is_a_sign_of_trouble(
    events: list[PresenceEvent],
) -> None:
    roster = Harness("bob")
    plan = roster.book.plan
    roster.answer(2000, {"bob": {}})
    calm_until_s = plan.due_s

    roster.hear(*events)

    assert calm_until_s > 2100
    assert plan.is_trusted
    assert plan.due_s <= 2007 + LAG_S + 10


def test_whom_an_interval_lists_is_asked_about_for_the_state() -> None:
    roster = Harness()
    plan = roster.book.plan
    roster.answer(2000, {})
    calm_until_s = plan.due_s

    roster.hear(IntervalEvent(occupancy=1, joined=("bob",), **at(2010)))

    assert calm_until_s > 2100
    assert plan.due_s <= 2010 + LAG_S + 3


def test_events_of_very_many_users_are_settled_before_the_regular_time() -> None:
    roster = Harness()
    plan = roster.book.plan
    roster.answer(5000, {})
    for n in range(10_001):
        roster.hear(join(5006 + n / 1000, f"user-{n}", n + 1))

    assert plan.is_trusted
    assert plan.due_s <= 5016.001 + LAG_S + 3


# The checksum.


def test_a_count_that_does_not_fit_is_asked_about_once_it_lasts() -> None:
    roster = Harness()
    roster.hear(join(106, "bob", 2))
    plan = roster.book.plan

    assert not plan.is_trusted
    assert 111 <= plan.due_s <= 112.2
    assert roster.answer(plan.due_s, {"bob": {}, "lost": {}}) == [
        "join lost synthesized"
    ]
    assert plan.is_trusted


def test_a_count_that_soon_fits_again_is_a_matter_of_order() -> None:
    roster = Harness()
    due_s = roster.book.plan.due_s

    roster.hear(join(107, "bob", 2))
    roster.hear(join(106.9, "alice", 1), late_s=0.5)

    assert roster.book.plan.is_trusted
    assert roster.book.plan.due_s == due_s


def test_counts_that_never_fit_are_asked_about_less_and_less() -> None:
    roster = Harness()
    plan, second, asked = roster.book.plan, 110.0, 0
    while second < 400:
        roster.hear(join(second, "bob", 7))
        if plan.due_s <= second + 1:
            roster.answer(plan.due_s, {"bob": {}})
            asked += 1
        second += 1

    assert asked <= 290 / 8 + 3


# The clock.


def test_the_clock_of_the_service_is_never_thought_to_be_ahead() -> None:
    clock = ServiceClock()
    before = clock.shown_at(100)
    for received_s, late_s in ((100.0, 3.0), (101.0, 0.2), (102.0, 5.0)):
        published = int((received_s + 5000 - late_s) * TIMETOKENS_PER_S)
        clock.note(published, now_s=received_s)

    shown_at = clock.shown_at(110)

    assert before is None
    assert shown_at is not None
    assert shown_at / TIMETOKENS_PER_S == pytest.approx(5110 - 0.2)


def test_the_quickest_event_of_the_last_minute_counts() -> None:
    clock = ServiceClock()
    clock.note(int(1100.0 * TIMETOKENS_PER_S), now_s=100)
    clock.note(int(1161.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=161)
    clock.note(int(1162.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=162)

    late = clock.shown_at(162)
    clock.forget()
    clock.note(int(1100.0 * TIMETOKENS_PER_S), now_s=100)
    clock.note(int(1150.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=150)
    clock.note(int(1161.0 * TIMETOKENS_PER_S) - 3 * TIMETOKENS_PER_S, now_s=161)

    assert late == 1159 * TIMETOKENS_PER_S, "the one before was too long ago"
    assert clock.shown_at(162) == 1162 * TIMETOKENS_PER_S


def test_what_the_clock_has_learned_ages() -> None:
    clock = ServiceClock()
    clock.note(1000 * TIMETOKENS_PER_S, now_s=100)
    for now_s in range(130, 400, 30):
        # The service's clock has been put back by a minute.
        clock.note((now_s + 840) * TIMETOKENS_PER_S, now_s=now_s)

    assert clock.shown_at(400) == 1240 * TIMETOKENS_PER_S
    assert clock.shown_at(1001) is None


# The plan.


def plan_begun() -> CheckPlan:
    plan = CheckPlan(random.Random(1))  # noqa: S311  # repeatable, guards nothing
    plan.begin(now_s=100)
    return plan


def answered(plan: CheckPlan, sent_s: float, found: int = 0) -> float:
    plan.sent(now_s=sent_s)
    plan.answered(sent_s=sent_s, found=found, now_s=sent_s)
    return plan.due_s - sent_s


def test_the_first_question_is_due_at_once_and_the_second_confirms() -> None:
    plan = plan_begun()

    assert plan.due_s == 100
    assert answered(plan, 100) == 5
    assert not plan.is_trusted
    assert 8 <= answered(plan, 105) <= 10
    assert plan.is_trusted


def test_an_answer_that_was_asked_for_too_early_confirms_nothing() -> None:
    plan = plan_begun()
    plan.sent(now_s=106)
    plan.answered(sent_s=104, found=0, now_s=106)

    assert not plan.is_trusted


def questions(plan: CheckPlan, begin_s: float, end_s: float) -> list[float]:
    """Answer all that is asked up to a time, finding nothing wrong."""
    asked = []
    while plan.due_s < end_s:
        asked.append(plan.due_s)
        answered(plan, plan.due_s)
    return [second for second in asked if second >= begin_s]


def test_while_all_goes_well_it_asks_more_and_more_seldom() -> None:
    plan = plan_begun()

    first_minutes = questions(plan, 100, 220)
    first_hour = questions(plan, 220, 3700)
    second_hour = questions(plan, 3700, 7300)

    assert 12 <= len(first_minutes) <= 16
    assert len(first_hour) <= 50
    assert 12 <= len(second_hour) <= 16
    assert max(b - a for a, b in itertools.pairwise(second_hour)) <= 300


@pytest.mark.parametrize(
    "trouble",
    [
        lambda plan, now_s: plan.note_trouble(now_s=now_s),
        lambda plan, now_s: plan.doubt(now_s=now_s),
        lambda plan, now_s: plan.suspect(now_s=now_s),
        lambda plan, now_s: plan.ask_soon(now_s=now_s),
    ],
    ids=["trouble", "doubt", "suspicion", "a question"],
)
def test_any_sign_of_trouble_makes_it_ask_often_for_two_minutes(
    trouble: Callable[[CheckPlan, float], None],
) -> None:
    plan = plan_begun()
    questions(plan, 100, 7300)

    trouble(plan, 7300)
    asked = [7300.0, *questions(plan, 7300, 7420)]
    later = questions(plan, 7420, 8000)

    assert max(b - a for a, b in itertools.pairwise(asked)) <= 10
    assert len(later) <= 25


@pytest.mark.parametrize("trouble", ["corrections", "failure"])
def test_what_an_answer_shows_is_a_sign_of_trouble_too(trouble: str) -> None:
    plan = plan_begun()
    questions(plan, 100, 7300)
    due_s = plan.due_s

    if trouble == "corrections":
        answered(plan, due_s, found=1)
    else:
        plan.sent(now_s=due_s)
        plan.failed(now_s=due_s)

    assert plan.due_s - due_s <= 10
    assert 8 <= answered(plan, plan.due_s) <= 10


def test_failures_are_spread_and_never_close_together() -> None:
    plan = plan_begun()
    waits = []
    now_s = 100.0
    for _ in range(200):
        plan.sent(now_s=now_s)
        plan.failed(now_s=now_s + 0.1)
        plan.doubt(now_s=now_s + 0.1)
        waits.append(plan.due_s - now_s)
        now_s = plan.due_s

    assert min(waits) >= 3 - 1e-9
    assert max(waits) <= 10
    assert len({round(wait_s, 3) for wait_s in waits}) > 50


def test_a_question_that_hung_is_asked_again_at_once() -> None:
    plan = plan_begun()
    plan.sent(now_s=100)

    plan.failed(now_s=110)

    assert 110 <= plan.due_s <= 111


def test_refused_again_and_again_it_asks_twice_a_minute() -> None:
    plan = plan_begun()
    now_s, waits = 100.0, []
    for _ in range(6):
        plan.sent(now_s=now_s)
        plan.failed(now_s=now_s, is_refused=True)
        waits.append(plan.due_s - now_s)
        now_s = plan.due_s

    assert max(waits[:2]) <= 10
    assert min(waits[2:]) >= 24
    assert max(waits) <= 30


def test_before_it_begins_nothing_is_due() -> None:
    plan = CheckPlan(random.Random(1))  # noqa: S311  # repeatable, guards nothing

    assert plan.due_s == math.inf
