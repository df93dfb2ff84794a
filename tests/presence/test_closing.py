"""The end of all presence: one last leave for each user, and a true report."""

from __future__ import annotations

import math

import pytest

from presence_async.client.retry import LinearRetry
from presence_async.errors import ClientClosedError, ConnectionLostError
from presence_async.presence.claims import LeaseHealth, Patience
from presence_async.presence.wire import Purpose

from .direct import Direct, operation_of, say, state_of


@pytest.fixture
def direct() -> Direct:
    return Direct()


def close(direct: Direct, *, leave: bool = True, timeout_s: float = 10) -> None:
    retry = LinearRetry(wait_s=2, jitter_s=1e-9, attempts=2)
    patience = Patience(direct.now_s, direct.now_s + timeout_s, retry)
    direct.engine.close(patience, direct.now_s, leave=leave)


def report(direct: Direct) -> list[tuple[str, tuple[str, ...], bool | None]]:
    """Return who, where, and whether left; ``None`` if that was not tried."""
    return [
        (d.user_id, d.channels, None if d.order is None else d.order.error is None)
        for d in direct.engine.departures
    ]


def test_each_user_is_left_once_with_all_names(direct: Direct) -> None:
    direct.join("u", "a", params=(("p", "1"),))
    lease = direct.join("u", "a", "b", channel_groups=("g",))
    direct.join("v", "a")

    close(direct)
    sent = [direct.take(), direct.take()]
    assert not direct.is_done()
    for send in sent:
        direct.acknowledge(send)

    assert {(s.user_id, operation_of(s).channels) for s in sent} == {
        ("u", ("a", "b")),
        ("v", ("a",)),
    }
    assert operation_of(sent[0]).channel_groups == ("g",)
    assert sent[0].params == (("p", "1"),)
    assert lease.health is LeaseHealth.RELEASED
    assert direct.is_done()
    assert report(direct) == [("u", ("a", "b"), True), ("v", ("a",), True)]
    assert direct.engine.next_s == math.inf


def test_without_leaving_the_report_says_so(direct: Direct) -> None:
    direct.join("u", "a")

    close(direct, leave=False)

    assert direct.has_nothing
    assert direct.is_done()
    assert report(direct) == [("u", ("a",), None)]


def test_a_leave_owed_before_is_sent_in_any_case(direct: Direct) -> None:
    lingering = direct.join("u", "a", linger_s=60)
    direct.engine.release(lingering, direct.patience(), direct.now_s)
    direct.join("u", "b")

    close(direct, leave=False)
    direct.acknowledge(direct.take())

    assert report(direct) == [("u", ("a",), True), ("u", ("b",), None)]


def test_a_leave_that_fails_to_the_end_is_reported(direct: Direct) -> None:
    direct.join("u", "a")
    close(direct)

    direct.cut(direct.take())
    assert not direct.is_done()
    direct.cut(direct.take_next())

    assert direct.now_s == pytest.approx(1002)
    assert direct.is_done()
    assert report(direct) == [("u", ("a",), False)]


def test_an_overdue_leave_gets_its_last_attempts_at_once(direct: Direct) -> None:
    claim = direct.join("u", "a")
    direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.cut(direct.take())
    direct.now_s += 1

    close(direct)
    direct.cut(direct.take())
    direct.cut(direct.take_next())

    assert direct.is_done()
    assert report(direct) == [("u", ("a",), False)]


def test_a_leave_whose_turn_never_comes_is_reported(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=60)
    direct.take_next()

    close(direct)
    direct.now_s += 10
    assert direct.has_nothing

    assert direct.is_done()
    assert report(direct) == [("u", ("a",), False)]


def test_callers_are_told_and_nothing_new_is_sent(direct: Direct) -> None:
    direct.join("u", "a")
    ticket = say(direct, state_of("a", n=1))
    direct.ask_to_join("v", "a")

    close(direct)
    settled = direct.settled()

    assert isinstance(settled[ticket], ClientClosedError)
    assert str(settled[ticket]) == "the client was closed while set state went on"
    assert len([e for e in settled.values() if e is not None]) == 2
    assert direct.take().user_id == "u"
    assert direct.has_nothing


def test_a_join_under_way_is_left_after_its_outcome(direct: Direct) -> None:
    direct.ask_to_join("u", "a")
    send = direct.take()

    close(direct)
    assert direct.has_nothing
    direct.cut(send)

    assert operation_of(direct.take()).channels == ("a",)
    assert report(direct) == [("u", ("a",), True)]


def test_no_heartbeat_begins_while_closing(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=60)
    beat = direct.take_next()
    close(direct)
    direct.cut(beat)

    assert direct.take().purpose is Purpose.ORDER


def test_repeats_are_brought_forward_into_the_time_of_the_close(
    direct: Direct,
) -> None:
    direct.ask_to_join("u", "a")
    direct.lose(direct.take())
    direct.acknowledge(direct.take())
    direct.now_s += 1

    close(direct, timeout_s=5)
    assert not direct.is_done()
    repeat = direct.take_next()

    assert repeat.purpose is Purpose.REPEAT
    assert direct.now_s == 1015
    assert not direct.is_done()
    direct.acknowledge(repeat)
    assert direct.is_done()


def test_a_leave_in_doubt_at_the_close_is_repeated_within_it(direct: Direct) -> None:
    direct.join("u", "a")
    send = direct.take_next()
    close(direct, timeout_s=20)
    direct.cut(send, is_in_doubt=True)
    direct.acknowledge(direct.take())
    left_s = direct.now_s

    repeat = direct.take_next()

    assert repeat.purpose is Purpose.REPEAT
    assert direct.now_s == left_s + 10


def test_abort_settles_everybody(direct: Direct) -> None:
    direct.join("u", "a")
    close(direct)
    direct.cut(direct.take())
    ticket = say(direct, state_of("b", n=1))

    direct.engine.abort(direct.now_s)

    assert isinstance(direct.settled()[ticket], ClientClosedError)
    error = direct.engine.departures[0].order
    assert error is not None
    assert isinstance(error.error, ConnectionLostError)
    assert report(direct) == [("u", ("a",), False)]


def test_abort_reports_what_was_never_sent(direct: Direct) -> None:
    direct.join("u", "a")
    close(direct)

    direct.engine.abort(direct.now_s)

    assert report(direct) == [("u", ("a",), False)]


def test_a_leave_that_failed_before_has_all_attempts_of_the_close(
    direct: Direct,
) -> None:
    lease = direct.join("u", "a")
    retry = LinearRetry(wait_s=2, jitter_s=1e-9, attempts=2)
    direct.engine.release(lease, direct.patience(retry=retry), direct.now_s)
    direct.busy(direct.take())
    close(direct)
    direct.busy(direct.take())

    direct.acknowledge(direct.take_next())

    assert report(direct) == [("u", ("a",), True)]
