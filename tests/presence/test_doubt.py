"""Requests given up, and what they may still undo."""

from __future__ import annotations

import math
from typing import Any

import pytest

from presence_async.presence.claims import PresenceOperation
from presence_async.presence.doubt import Doubts
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.leave import LeaveOperation
from presence_async.protocol.user_state import SetStateOperation


def beat(*channels: str, state: Any = None, groups: tuple[str, ...] = ()) -> Any:
    return HeartbeatOperation(
        subscribe_key="key",
        user_id="u",
        channels=channels,
        channel_groups=groups,
        state=state,
    )


def leave(*channels: str, groups: tuple[str, ...] = ()) -> LeaveOperation:
    return LeaveOperation(
        subscribe_key="key", user_id="u", channels=channels, channel_groups=groups
    )


def state(*channels: str, groups: tuple[str, ...] = ()) -> SetStateOperation:
    return SetStateOperation(
        subscribe_key="key",
        user_id="u",
        channels=channels,
        channel_groups=groups,
        state={"n": 1},
    )


def test_another_request_may_be_undone_until_the_doubt_ends() -> None:
    doubts = Doubts()
    doubts.give_up(leave("a"), 10)

    assert doubts.may_undo(beat("b"), 9)
    assert not doubts.may_undo(beat("b"), 10)
    assert not doubts.may_undo(leave("a"), 9)


def test_the_newest_sixteen_doubts_count() -> None:
    doubts = Doubts()
    for channel in "abcdefghijklmnopq":
        doubts.give_up(leave(channel), 10)

    assert [given_up.channels for given_up, _ in doubts._given_up] == [
        (channel,) for channel in "bcdefghijklmnopq"
    ]


def test_attempts_of_one_request_count_once_until_the_last_of_them() -> None:
    doubts = Doubts()
    doubts.give_up(beat("a"), 10)
    for attempt in range(100):
        doubts.give_up(leave("a"), 11 + attempt)

    # The leave has to be repeated for the heartbeat's sake, and later not any more.
    assert [doubts.may_undo(leave("a"), at_s) for at_s in (9, 10)] == [True, False]
    assert [doubts.may_undo(beat("a"), at_s) for at_s in (109, 110)] == [True, False]


@pytest.mark.parametrize(
    ("old", "newer", "rest"),
    [
        (beat("a", "b"), beat("a"), beat("b")),
        (beat("a"), beat("a"), None),
        (beat("a", groups=("g",)), beat("a"), beat(groups=("g",))),
        (beat("a", groups=("g",)), beat(groups=("g",)), beat("a")),
        (beat("g"), beat(groups=("g",)), beat("g")),
        (leave("a", "b"), beat("b"), leave("a")),
        (leave("a"), beat("a"), None),
        (beat("a"), leave("a"), None),
        (beat("a", "b"), leave("a"), beat("b")),
        (state("a"), leave("a"), None),
        (state("a"), beat("a"), state("a")),
        (state("a"), beat("a", state={"a": {}}), None),
        (state("a", "b"), beat("a", "b", state={"b": {}}), state("a")),
        (state("a"), beat("b", state={"b": {}}), state("a")),
        (
            state(groups=("g",)),
            beat("a", groups=("g",), state={"g": {}}),
            None,
        ),
        (state("a", "b"), state("a"), state("b")),
        (leave("a"), state("a"), leave("a")),
        (
            beat("a", "b", state={"a": {}, "b": {}}),
            state("a"),
            beat("a", "b", state={"b": {}}),
        ),
        (beat("a", state={"a": {}}), state("a"), beat("a")),
        (beat("a", state={"a": {}}), state("b"), beat("a", state={"a": {}})),
    ],
)
def test_what_newer_requests_are_about_is_not_repeated(
    old: PresenceOperation, newer: PresenceOperation, rest: PresenceOperation | None
) -> None:
    doubts = Doubts()
    doubts.repeat(old, (("p", "1"),), 10)

    doubts.supersede(newer)

    assert doubts.repeats == ([] if rest is None else [(10, rest, (("p", "1"),))])


def test_repeats_come_when_they_are_due_each_once() -> None:
    doubts = Doubts()
    doubts.repeat(leave("a"), (), 12)
    doubts.repeat(leave("b"), (), 11)

    assert doubts.pop_due(10) is None
    assert doubts.pop_due(11) == (leave("b"), ())
    assert doubts.pop_due(11) is None
    assert doubts.pop_due(12) == (leave("a"), ())


def test_doubts_are_looked_at_for_a_repeat_or_at_their_end() -> None:
    doubts = Doubts()
    assert doubts.next_s(0) == math.inf
    doubts.give_up(leave("a"), 10)
    doubts.give_up(leave("b"), 12)
    assert doubts.next_s(0) == 12
    doubts.repeat(leave("c"), (), 20)
    doubts.repeat(leave("d"), (), 18)

    assert doubts.next_s(0) == 12
    assert doubts.next_s(12) == 18
    doubts.bring_forward(5)
    assert doubts.next_s(0) == 5


def test_doubts_are_over_when_nothing_can_come_and_nothing_is_owed() -> None:
    doubts = Doubts()
    doubts.give_up(leave("a"), 10)
    assert [doubts.is_over(9.9), doubts.is_over(10)] == [False, True]

    doubts.repeat(leave("a"), (), 30)

    assert not doubts.is_over(20)
