"""What callers ask for: in sequence, and within their time."""

from __future__ import annotations

import math

import pytest

from presence_async.client.retry import LinearRetry
from presence_async.errors import (
    ConnectionLostError,
    DeadlineError,
    ReplyFormatError,
)
from presence_async.presence.wire import Failed, Purpose

from .direct import Direct, heartbeat, say, state_of

RETRY = LinearRetry(wait_s=2, jitter_s=1e-9, attempts=3)


@pytest.fixture
def direct() -> Direct:
    return Direct()


# Sequence and blocking.


def test_orders_of_a_user_go_out_one_after_the_other(direct: Direct) -> None:
    first = say(direct, state_of("a", n=1))
    second = say(direct, state_of("a", n=2))

    send = direct.take()
    assert direct.has_nothing
    direct.acknowledge(send)

    assert direct.settled() == {first: None}
    assert direct.take().operation == state_of("a", n=2)
    assert second not in direct.settled()


def test_users_do_not_wait_for_each_other(direct: Direct) -> None:
    direct.ask_to_join("u", "a")
    direct.ask_to_join("v", "a")

    assert [direct.take().user_id, direct.take().user_id] == ["u", "v"]


def test_later_orders_wait_between_two_attempts_of_one_call(direct: Direct) -> None:
    patience = direct.patience(retry=RETRY)
    say(direct, state_of("a", n=1), patience=patience)
    say(direct, state_of("a", n=2))

    direct.cut(direct.take())
    assert direct.has_nothing
    again = direct.take_next()

    assert again.operation == state_of("a", n=1)
    assert again.attempts == 1
    assert direct.now_s == pytest.approx(1002)


def test_a_join_without_deadline_holds_nothing_back_between_attempts(
    direct: Direct,
) -> None:
    direct.ask_to_join("u", "a", patience=direct.patience(math.inf))
    say(direct, state_of("b", n=1))

    direct.cut(direct.take())

    assert direct.take().operation == state_of("b", n=1)


@pytest.mark.parametrize(
    ("retry_after_s", "shortest_s", "longest_s"),
    [(None, 2.25, 4.5), (3600, 14.5, 14.5), (8, 8, 8)],
)
def test_a_join_without_deadline_goes_on_at_the_pace_of_lost_leases(
    direct: Direct, retry_after_s: float | None, shortest_s: float, longest_s: float
) -> None:
    direct.ask_to_join("u", "a", patience=direct.patience(math.inf))

    for _ in range(20):
        failed_s = direct.now_s
        direct.busy(direct.take_next(), retry_after_s)
        pause_s = direct.engine.next_s - direct.now_s
        assert shortest_s <= pause_s <= longest_s
        assert direct.now_s >= failed_s


def test_a_leave_that_lingers_holds_nothing_back(direct: Direct) -> None:
    claim = direct.join("u", "a", linger_s=20)
    direct.engine.release(claim, direct.patience(), direct.now_s)
    say(direct, state_of("b", n=1))

    assert direct.take().operation == state_of("b", n=1)


# Patience.


def test_attempts_are_bounded_by_the_policy(direct: Direct) -> None:
    patience = direct.patience(retry=RETRY)
    ticket = say(direct, heartbeat("a"), patience=patience)

    for _ in range(3):
        direct.cut(direct.take_next())

    error = direct.settled()[ticket]
    assert isinstance(error, ConnectionLostError)
    assert direct.engine.next_s == math.inf


def test_an_error_that_is_not_retryable_ends_the_call(direct: Direct) -> None:
    patience = direct.patience(retry=RETRY)
    ticket = say(direct, heartbeat("a"), patience=patience)
    error = ReplyFormatError("html")

    direct.engine.answered(direct.take(), Failed(error), direct.now_s)

    assert direct.settled() == {ticket: error}


def test_no_attempt_begins_after_the_deadline(direct: Direct) -> None:
    patience = direct.patience(2, retry=RETRY)
    ticket = say(direct, heartbeat("a"), patience=patience)

    direct.cut(direct.take())

    assert isinstance(direct.settled()[ticket], ConnectionLostError)


def test_retry_after_is_waited_for_within_the_callers_time(direct: Direct) -> None:
    patience = direct.patience(retry=RETRY)
    ticket = say(direct, heartbeat("a"), patience=patience)

    direct.busy(direct.take(), 5)
    again = direct.take_next()
    assert direct.now_s == pytest.approx(1007)
    direct.busy(again, 60)

    assert ticket in direct.settled()


def test_a_caller_whose_turn_never_comes_hears_of_it_in_time(direct: Direct) -> None:
    say(direct, state_of("a", n=1))
    patience = direct.patience(5)
    ticket = say(direct, state_of("a", n=2), patience=patience)
    direct.take()
    assert direct.engine.next_s == 1005

    direct.now_s = 1005
    assert direct.has_nothing

    error = direct.settled()[ticket]
    assert isinstance(error, DeadlineError)
    assert error.operation == "set state"
    assert (error.attempts, error.elapsed_s) == (0, 5)
    assert error.cause == "an earlier request of the same user was still under way"


def test_a_caller_whose_second_attempt_never_comes_hears_of_the_first(
    direct: Direct,
) -> None:
    direct.join("u", "a", presence_timeout_s=3)
    patience = direct.patience(2.5, retry=RETRY)
    ticket = say(direct, state_of("a", n=2), patience=patience)
    direct.cut(direct.take())
    direct.now_s += 2.2
    beat = direct.take()
    assert beat.purpose is Purpose.KEEP

    direct.now_s += 0.3
    assert direct.has_nothing

    error = direct.settled()[ticket]
    assert isinstance(error, DeadlineError)
    assert error.attempts == 1
    assert error.cause == "the attempt before: cut"
