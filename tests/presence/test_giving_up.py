"""Callers who are cancelled, and what becomes of what they asked for."""

from __future__ import annotations

import math

import pytest

from presence_async.client.retry import LinearRetry
from presence_async.presence.claims import Claim
from presence_async.protocol.leave import LeaveOperation

from .direct import Direct, say, state_of

RETRY = LinearRetry(wait_s=2, jitter_s=1e-9, attempts=3)


@pytest.fixture
def direct() -> Direct:
    return Direct()


def test_a_cancelled_join_is_cut_and_left(direct: Direct) -> None:
    claim = Claim(user_id="u", channels=("a",))
    ticket = direct.engine.join(claim, direct.patience(), direct.now_s)
    send = direct.take()

    assert direct.engine.give_up("u", ticket, direct.now_s) is send
    direct.cut(send, is_in_doubt=True)

    leave = direct.take()
    assert isinstance(leave.operation, LeaveOperation)
    assert leave.operation.channels == ("a",)
    assert leave.deadline_s == direct.now_s + 10
    assert direct.settled() == {}
    assert not direct.engine.holds(claim)


def test_the_leave_of_a_cancelled_join_goes_on_as_long_as_it_would_have_lasted(
    direct: Direct,
) -> None:
    direct.ask_to_join("u", "a", presence_timeout_s=20)
    direct.cut(direct.take())
    while direct.engine.next_s < math.inf:
        direct.cut(direct.take_next())

    assert 14 <= direct.now_s - 1000 <= 20


def test_a_join_cancelled_before_it_is_sent_leaves_nothing_behind(
    direct: Direct,
) -> None:
    claim = Claim(user_id="u", channels=("a",))
    ticket = direct.engine.join(claim, direct.patience(), direct.now_s)

    assert direct.engine.give_up("u", ticket, direct.now_s) is None

    assert direct.has_nothing
    assert list(direct.engine) == []


def test_a_join_that_never_reached_the_service_needs_no_leave(direct: Direct) -> None:
    direct.ask_to_join("u", "a")

    direct.cut(direct.take(), has_effect=False)

    assert direct.has_nothing
    assert list(direct.engine) == []


def test_a_join_heard_once_is_left_although_the_last_attempt_never_arrived(
    direct: Direct,
) -> None:
    direct.ask_to_join("u", "a", patience=direct.patience(retry=RETRY))
    direct.cut(direct.take())
    direct.cut(direct.take_next(), has_effect=False)
    direct.cut(direct.take_next(), has_effect=False)

    assert isinstance(direct.take().operation, LeaveOperation)


def test_a_leave_goes_on_without_its_caller(direct: Direct) -> None:
    claim = direct.join("u", "a")
    ticket = direct.engine.release(claim, direct.patience(), direct.now_s)
    assert ticket is not None
    send = direct.take()

    assert direct.engine.give_up("u", ticket, direct.now_s) is None
    direct.cut(send)

    assert isinstance(direct.take_next().operation, LeaveOperation)


def test_a_cancelled_state_is_cut(direct: Direct) -> None:
    ticket = say(direct, state_of("a", n=1))
    send = direct.take()

    assert direct.engine.give_up("u", ticket, direct.now_s) is send
    direct.cut(send)

    assert direct.settled() == {}
    assert list(direct.engine) == []


@pytest.mark.parametrize("user_id", ["u", "nobody"])
def test_giving_up_what_is_over_does_nothing(direct: Direct, user_id: str) -> None:
    direct.join("u", "a")

    assert direct.engine.give_up(user_id, 1, direct.now_s) is None
