"""What is said twice: answers out of a cache, and whatever a doubt may undo."""

from __future__ import annotations

import pytest

from presence_async.presence.claims import LeaseHealth
from presence_async.presence.wire import Purpose, Send
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.leave import LeaveOperation

from .direct import Direct


@pytest.fixture
def direct() -> Direct:
    return Direct()


def test_an_answer_out_of_a_cache_is_asked_for_once_more(direct: Direct) -> None:
    claim = direct.ask_to_join("u", "a")
    first = direct.take()

    direct.acknowledge(first, age_s=20)
    again = direct.take()

    healths = [claim.health]
    assert (again.operation, again.is_confirming) == (first.operation, True)
    direct.acknowledge(again, age_s=30)
    assert [*healths, claim.health] == [None, LeaseHealth.FRESH]
    assert direct.engine.expires_s(claim) == direct.now_s + 300 - 30
    assert direct.has_nothing


def test_a_cached_answer_to_a_round_is_asked_for_before_the_next_heartbeat(
    direct: Direct,
) -> None:
    direct.join("u", "a")
    direct.join("u", "b", presence_timeout_s=60)
    first = direct.take_next()
    direct.acknowledge(first, age_s=5)

    again = direct.take()
    direct.acknowledge(again)
    last = direct.take()

    assert again.operation == first.operation
    assert last.operation.channels == ("a",)


def test_nobody_is_asked_once_more_for_a_caller_who_is_gone() -> None:
    direct = Direct(max_in_flight=1)
    direct.ask_to_join("u", "a", patience=direct.patience(5))
    send = direct.take()
    ticket = next(iter(direct.engine)).orders[0].tickets[0]
    direct.acknowledge(send, age_s=20)
    direct.ask_to_join("v", "a", patience=direct.patience(60))
    direct.now_s += 5

    taken = direct.take()

    # The leave of what may have been joined.
    assert (taken.user_id, taken.operation.name) == ("u", "leave")
    assert ticket in direct.settled()


def test_a_heartbeat_is_asked_for_once_more_however_long_that_takes() -> None:
    direct = Direct(max_in_flight=1)
    claim = direct.join("u", "a", presence_timeout_s=60)
    first = direct.take_next()
    direct.acknowledge(first, age_s=20)
    direct.engine.places.enter(direct.now_s)
    direct.now_s += 25
    assert direct.has_nothing
    direct.engine.places.leave(first)

    again = direct.take()

    assert again.operation == first.operation
    assert again.deadline_s == direct.now_s + 20
    direct.acknowledge(again)
    assert direct.engine.expires_s(claim) == direct.now_s + 60


def test_a_leave_in_doubt_makes_the_next_heartbeat_be_sent_twice(
    direct: Direct,
) -> None:
    claim = direct.join("u", "a")
    direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.lose(direct.take())
    rejoined_s = direct.now_s + 1
    direct.ask_to_join("u", "a")
    direct.acknowledge(direct.take_at(rejoined_s))

    again = direct.take_next()

    assert direct.now_s == rejoined_s + 10
    assert again.purpose is Purpose.KEEP


@pytest.mark.parametrize(
    ("sent_after_s", "is_repeated"), [(9, True), (10, False)], ids=["in", "after"]
)
def test_a_doubt_counts_from_when_the_later_request_was_sent(
    direct: Direct, sent_after_s: float, is_repeated: bool
) -> None:
    direct.ask_to_join("u", "a")
    direct.lose(direct.take())
    direct.acknowledge(direct.take())
    sent_at_s = direct.now_s + sent_after_s
    direct.ask_to_join("u", "a", presence_timeout_s=60)
    send = direct.take_at(sent_at_s)
    direct.now_s = sent_at_s + 2
    direct.acknowledge(send, sent_at_s=sent_at_s)

    again = direct.take_next()

    assert again.purpose is Purpose.KEEP
    assert (direct.now_s == sent_at_s + 12) is is_repeated


def test_the_same_request_in_doubt_undoes_nothing(direct: Direct) -> None:
    claim = direct.join("u", "a")
    send = direct.take_next()
    direct.lose(send)
    again = direct.take_next()
    assert again.operation == send.operation
    direct.acknowledge(again)
    acknowledged_s = direct.now_s

    direct.take_next()

    assert claim.health is LeaseHealth.FRESH
    assert direct.now_s - acknowledged_s > 20


def test_a_leave_acknowledged_in_doubt_is_sent_once_more_and_only_once(
    direct: Direct,
) -> None:
    direct.ask_to_join("u", "a")
    direct.lose(direct.take())
    assert isinstance(direct.take().operation, LeaveOperation)
    leave = next(iter(direct.engine)).out
    assert isinstance(leave, Send)
    direct.acknowledge(leave)
    left_s = direct.now_s

    again = direct.take_next()
    direct.acknowledge(again, is_in_doubt=True)

    assert again.operation == leave.operation
    assert again.purpose is Purpose.REPEAT
    assert (again.attempt_s, again.deadline_s) == (10, direct.now_s + 20)
    assert direct.now_s == left_s + 10
    direct.now_s += 100
    assert direct.has_nothing
    assert list(direct.engine) == []


def test_a_repeat_leaves_out_names_the_user_is_back_on(direct: Direct) -> None:
    direct.ask_to_join("u", "a", "b")
    direct.lose(direct.take())
    direct.acknowledge(direct.take())
    left_s = direct.now_s
    direct.join("u", "a", presence_timeout_s=60)

    repeats = []
    while direct.now_s < left_s + 12:
        send = direct.take_next()
        repeats.append(send)
        direct.acknowledge(send)

    leaves = [s.operation for s in repeats if isinstance(s.operation, LeaveOperation)]
    assert [leave.channels for leave in leaves] == [("b",)]


def test_an_acknowledged_request_with_a_lost_copy_is_a_doubt(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=60)
    send = direct.take_next()
    direct.acknowledge(send, is_in_doubt=True)
    direct.ask_to_join("u", "b", presence_timeout_s=60)
    direct.acknowledge(direct.take())
    joined_s = direct.now_s

    again = direct.take_next()

    assert isinstance(again.operation, HeartbeatOperation)
    assert set(again.operation.channels) == {"a", "b"}
    assert direct.now_s == joined_s + 10
