"""The rules of a roster's state one by one: events, snapshots, occupancy."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

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
from presence_async.protocol.timetoken import TIMETOKENS_PER_S
from presence_async.roster.schedule import SnapshotSchedule
from presence_async.roster.snapshot import Snapshot
from presence_async.roster.state import RosterState

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
    """A state begun at second 100."""

    def __init__(self, *present: str) -> None:
        rng = random.Random(1)  # noqa: S311  # repeatable
        self.schedule = SnapshotSchedule(rng)
        self.state = RosterState("lobby", self.schedule)
        self.schedule.begin(now_s=100)
        self.answer(100, {user_id: {} for user_id in present})
        self.answer(105, {user_id: {} for user_id in present})

    def hear(self, *events: PresenceEvent, late_s: float = LAG_S) -> list[str]:
        told: list[PresenceEvent] = []
        for event in events:
            now_s = event.timetoken / TIMETOKENS_PER_S + late_s
            told += self.state.apply(event, now_s=now_s)
        return shown(told)

    def answer(
        self,
        sent_s: float,
        states: Mapping[str, Mapping[str, Json]],
        *,
        is_whole: bool = True,
    ) -> list[str]:
        self.schedule.sent(now_s=sent_s)
        found = snapshot(sent_s, states, is_whole=is_whole)
        return shown(self.state.reconcile(found, now_s=sent_s + LAG_S))

    @property
    def states(self) -> dict[str, object]:
        return {u: o.state for u, o in self.state.members.items()}


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
    assert roster.schedule.is_trusted


def test_an_undecodable_state_is_its_users_own() -> None:
    roster = Harness()

    roster.hear(join(110, "bob", state_error="not JSON"))

    bob = roster.state.members["bob"]
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
    assert roster.schedule.is_trusted


def test_somebody_in_two_lists_of_an_interval_is_asked_about() -> None:
    roster = Harness("alice")

    both = ("alice", "bob")
    event = IntervalEvent(occupancy=1, joined=both, left=both, **at(109))
    assert roster.hear(event) == []
    assert roster.schedule.due_s <= 109 + LAG_S + 3


@pytest.mark.parametrize(
    "said", [{"here_now_refresh": True, "occupancy": 0}, {"occupancy": 5}], ids=str
)
def test_an_interval_event_that_does_not_say_who_is_asked_about_once(
    said: dict[str, Any],
) -> None:
    roster = Harness()

    roster.hear(IntervalEvent(**said, **at(109)))
    due_s = roster.schedule.due_s
    roster.answer(due_s, {"a": {}})

    assert due_s <= 109 + LAG_S + 3
    assert roster.schedule.due_s >= due_s + 8


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
    due_s = roster.schedule.due_s
    roster.hear(change(108.5, "bob", {"n": 1}, occupancy=9))

    assert roster.schedule.due_s == due_s


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
    due_s = roster.schedule.due_s
    second = roster.answer(115, {"bob": {}, "carol": {}}, is_whole=False)
    third = roster.answer(120, {"bob": {}}, is_whole=True)

    assert first == []
    assert due_s == 115
    assert second == ["leave alice synthesized"]
    assert third == ["leave carol synthesized"]


def test_after_a_gap_by_reconnecting_old_timetokens_mean_nothing() -> None:
    roster = Harness()
    roster.hear(join(5000, "bob"))
    roster.state.apply(
        GapEvent(timetoken=1, timestamp_ms=1, reason="reconnect"), now_s=5001
    )

    roster.answer(5002, {"bob": {}})
    is_trusted = roster.schedule.is_trusted
    told = roster.state.apply(leave(1403, "bob"), now_s=5003)

    assert not is_trusted
    assert shown(list(told)) == ["leave bob"]


def test_a_restart_nobody_tells_of_is_got_over_in_two_minutes() -> None:
    roster = Harness()
    roster.hear(join(5000, "bob"))
    for second in range(5010, 5200, 10):
        roster.state.apply(join(second - 600, f"user-{second}", 2), now_s=second)
        roster.answer(second + 1, {"bob": {}, f"user-{second}": {}})

    told = roster.state.apply(leave(4600, "bob"), now_s=5200)

    assert shown(list(told)) == ["leave bob"]


def test_an_event_from_far_ahead_is_got_over_in_two_minutes() -> None:
    roster = Harness()
    state = roster.state
    ahead = msgspec.structs.replace(join(120, "ahead", 1), timetoken=2**63 - 1)
    state.apply(ahead, now_s=120 + LAG_S)
    for second in range(125, 260, 10):
        roster.hear(join(second, "bob", 1))
        roster.answer(second + 6, {"bob": {}})
    asked_s = second + 6

    assert set(state.members) == {"bob"}
    assert roster.schedule.is_trusted
    assert roster.hear(join(asked_s, "alice", 7)) == ["join alice"]
    assert not roster.schedule.is_trusted


def test_a_count_is_forgotten_if_nothing_is_heard_for_very_long() -> None:
    roster = Harness()
    roster.hear(join(110, "bob", 1))

    roster.answer(1000, {})

    assert roster.schedule.is_trusted


def test_while_no_snapshot_can_be_had_what_is_old_is_forgotten() -> None:
    roster = Harness()
    for n in range(3):
        roster.hear(join(110 + n, f"user-{n}"), leave(110.5 + n, f"user-{n}"))
    roster.hear(join(2000, "bob"))

    roster.state.forget_old(now_s=2001)

    assert set(roster.state._seen) == {"bob"}


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
    schedule = roster.schedule
    roster.answer(2000, {"bob": {}})
    calm_until_s = schedule.due_s

    roster.hear(*events)

    assert calm_until_s > 2100
    assert schedule.is_trusted
    assert schedule.due_s <= 2007 + LAG_S + 10


def test_whom_an_interval_lists_is_asked_about_for_the_state() -> None:
    roster = Harness()
    schedule = roster.schedule
    roster.answer(2000, {})
    calm_until_s = schedule.due_s

    roster.hear(IntervalEvent(occupancy=1, joined=("bob",), **at(2010)))

    assert calm_until_s > 2100
    assert schedule.due_s <= 2010 + LAG_S + 3


def test_events_of_very_many_users_are_settled_before_the_regular_time() -> None:
    roster = Harness()
    schedule = roster.schedule
    roster.answer(5000, {})
    for n in range(10_001):
        roster.hear(join(5006 + n / 1000, f"user-{n}", n + 1))

    assert schedule.is_trusted
    assert schedule.due_s <= 5016.001 + LAG_S + 3


# The occupancy.


def test_a_count_that_does_not_fit_is_asked_about_once_it_lasts() -> None:
    roster = Harness()
    roster.hear(join(106, "bob", 2))
    schedule = roster.schedule

    assert not schedule.is_trusted
    assert 111 <= schedule.due_s <= 112.2
    assert roster.answer(schedule.due_s, {"bob": {}, "lost": {}}) == [
        "join lost synthesized"
    ]
    assert schedule.is_trusted


def test_a_count_that_soon_fits_again_is_a_matter_of_order() -> None:
    roster = Harness()
    due_s = roster.schedule.due_s

    roster.hear(join(107, "bob", 2))
    roster.hear(join(106.9, "alice", 1), late_s=0.5)

    assert roster.schedule.is_trusted
    assert roster.schedule.due_s == due_s


def test_counts_that_never_fit_are_asked_about_less_and_less() -> None:
    roster = Harness()
    schedule, second, asked = roster.schedule, 110.0, 0
    while second < 400:
        roster.hear(join(second, "bob", 7))
        if schedule.due_s <= second + 1:
            roster.answer(schedule.due_s, {"bob": {}})
            asked += 1
        second += 1

    assert asked <= 290 / 8 + 3
