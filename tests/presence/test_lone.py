"""Single heartbeats of users of whom nothing else is known."""

from __future__ import annotations

import math

import pytest

from presence_async.errors import ConnectionLostError, DeadlineError
from presence_async.presence.changes import UserForgotten

from .direct import Direct, heartbeat, operation_of, say, state_of


@pytest.fixture
def direct() -> Direct:
    return Direct()


def test_it_goes_out_at_once_and_leaves_nothing_behind(direct: Direct) -> None:
    ticket = say(direct, heartbeat("a"))
    assert direct.engine.next_s <= direct.now_s

    send = direct.take()
    direct.acknowledge(send)

    assert send.operation == heartbeat("a")
    assert send.attempt_s == direct.settings.attempt_timeout_s
    changes = direct.engine.drain()
    assert [type(change).__name__ for change in changes] == ["Settled", "UserForgotten"]
    assert changes[0].ticket == ticket  # type: ignore[union-attr]
    assert list(direct.engine) == []
    assert direct.engine.next_s == math.inf


def test_it_gives_way_to_others_who_are_due(direct: Direct) -> None:
    say(direct, heartbeat("a"))
    direct.ask_to_join("v", "a")

    assert direct.take().user_id == "v"
    assert direct.take().user_id == "u"


def test_a_second_order_of_the_user_waits_for_it(direct: Direct) -> None:
    first, second = say(direct, heartbeat("a")), say(direct, state_of("a", n=1))

    send = direct.take()
    assert direct.has_nothing
    direct.acknowledge(send)
    assert direct.settled() == {first: None}
    direct.acknowledge(direct.take())
    assert direct.settled() == {second: None}


def test_without_a_place_it_waits_for_one(direct: Direct) -> None:
    direct = Direct(max_in_flight=1)
    direct.ask_to_join("v", "a")
    other = direct.take()
    say(direct, heartbeat("a"))

    assert direct.has_nothing
    direct.acknowledge(other)
    assert direct.take().user_id == "u"


def test_what_a_cache_answers_is_asked_once_more(direct: Direct) -> None:
    ticket = say(direct, heartbeat("a"))
    direct.acknowledge(direct.take(), age_s=20)
    assert direct.settled() == {}

    direct.acknowledge(direct.take())

    assert direct.settled() == {ticket: None}
    assert list(direct.engine) == []


def test_a_doubt_about_it_is_remembered(direct: Direct) -> None:
    """A copy lost on its way may still undo what is said next."""
    say(direct, heartbeat("a"))
    direct.acknowledge(direct.take(), is_in_doubt=True)
    assert direct.changes(UserForgotten) == []
    say(direct, heartbeat("b"))
    direct.acknowledge(direct.take())

    again = direct.take_at(direct.now_s + direct.settings.attempt_timeout_s)

    assert operation_of(again) == heartbeat("b")
    direct.acknowledge(again)
    assert len(direct.changes(UserForgotten)) == 1


def test_a_failure_takes_the_usual_way(direct: Direct) -> None:
    ticket = say(direct, heartbeat("a"))
    direct.cut(direct.take())

    assert isinstance(direct.settled()[ticket], ConnectionLostError)
    assert list(direct.engine) == []


def test_a_caller_without_time_hears_so_and_nothing_is_sent(direct: Direct) -> None:
    ticket = say(direct, heartbeat("a"), patience=direct.patience(0))

    assert direct.has_nothing
    assert isinstance(direct.settled()[ticket], DeadlineError)
    assert list(direct.engine) == []


def test_given_up_before_it_goes_out_nothing_is_sent(direct: Direct) -> None:
    ticket = say(direct, heartbeat("a"))
    direct.engine.give_up("u", ticket, direct.now_s)
    again = say(direct, heartbeat("b"))

    send = direct.take()

    assert send.operation == heartbeat("b")
    direct.acknowledge(send)
    assert direct.settled() == {again: None}
    assert direct.has_nothing
