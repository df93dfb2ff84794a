"""Leaves: owed until they are acknowledged, refused, or pointless."""

from __future__ import annotations

import math

import pytest

from presence_async.client.retry import LinearRetry
from presence_async.errors import AccessDeniedError, ConnectionLostError
from presence_async.presence.changes import HealthChanged, LeaveGivenUp, Settled
from presence_async.presence.claims import Claim, LeaseHealth
from presence_async.presence.overview import leaving
from presence_async.presence.wire import Purpose
from presence_async.protocol.leave import LeaveOperation

from .direct import Direct, operation_of

RETRY = LinearRetry(wait_s=2, jitter_s=1e-9, attempts=2)


@pytest.fixture
def direct() -> Direct:
    return Direct()


def release(direct: Direct, claim: Claim) -> int | None:
    patience = direct.patience(retry=RETRY)
    return direct.engine.release(claim, patience, direct.now_s)


def leave(direct: Direct, *channels: str, groups: tuple[str, ...] = ()) -> int:
    return direct.engine.leave(
        "u",
        channels,
        groups,
        params=(("p", "1"),),
        patience=direct.patience(),
        now_s=direct.now_s,
    )


def test_a_released_lease_is_left_and_its_caller_hears_of_it(direct: Direct) -> None:
    claim = direct.join("u", "a", params=(("p", "1"),))
    ticket = release(direct, claim)

    send = direct.take()
    assert str(claim.health) == "released"
    assert operation_of(send).channels == ("a",)
    assert send.params == (("p", "1"),)
    assert leaving(direct.engine) == 1
    direct.acknowledge(send)

    assert direct.settled() == {ticket: None}
    assert leaving(direct.engine) == 0


def test_a_name_held_by_two_leases_is_left_with_the_last(direct: Direct) -> None:
    first, second = direct.join("u", "a"), direct.join("u", "a", "b")

    ticket = release(direct, first)
    assert direct.has_nothing
    assert direct.settled()[ticket or 0] is None
    release(direct, second)

    assert operation_of(direct.take()).channels == ("a", "b")


def test_a_lease_that_lingers_is_left_later(direct: Direct) -> None:
    claim = direct.join("u", "a", linger_s=20)

    assert release(direct, claim) is None
    assert direct.take_next().purpose is Purpose.ORDER

    assert direct.now_s == 1020


def test_a_user_who_is_back_meanwhile_is_not_left(direct: Direct) -> None:
    claim = direct.join("u", "a", "b", linger_s=20)
    release(direct, claim)
    direct.now_s += 5
    direct.join("u", "a")

    send = direct.take_next()
    while send.purpose is Purpose.KEEP:
        direct.acknowledge(send)
        send = direct.take_next()

    assert operation_of(send).channels == ("b",)


def test_a_lingering_leave_without_names_is_over(direct: Direct) -> None:
    claim = direct.join("u", "a", linger_s=20)
    release(direct, claim)
    direct.join("u", "a")

    assert leaving(direct.engine) == 0


def test_a_leave_that_failed_goes_on_every_five_seconds_until_pointless(
    direct: Direct,
) -> None:
    claim = direct.join("u", "a", presence_timeout_s=20)
    ticket = release(direct, claim)
    times_s = []
    while direct.engine.next_s < math.inf:
        direct.cut(direct.take_next())
        times_s.append(direct.now_s)

    assert times_s == pytest.approx([1000, 1002, 1007, 1012, 1017])
    changes = direct.engine.drain()
    (given_up,) = [c for c in changes if isinstance(c, LeaveGivenUp)]
    assert given_up.user_id == "u"
    assert isinstance(given_up.error, ConnectionLostError)
    assert (given_up.is_known, given_up.is_shared) == (True, False)
    settled = [c for c in changes if getattr(c, "ticket", None) == ticket]
    assert len(settled) == 1
    assert list(direct.engine) == []


def test_a_caller_hears_of_the_failure_while_the_leave_goes_on(
    direct: Direct,
) -> None:
    ticket = release(direct, direct.join("u", "a"))
    direct.cut(direct.take())
    assert direct.settled() == {}
    direct.cut(direct.take_next())

    settled = direct.settled()
    again = direct.take_next()

    assert isinstance(settled[ticket or 0], ConnectionLostError)
    assert isinstance(again.operation, LeaveOperation)
    direct.acknowledge(again)
    assert direct.settled() == {}


def test_a_refused_leave_is_given_up(direct: Direct) -> None:
    ticket = release(direct, direct.join("u", "a"))

    direct.say_no(direct.take())

    changes = direct.engine.drain()
    assert len([c for c in changes if isinstance(c, LeaveGivenUp)]) == 1
    settled = {c.ticket: c.error for c in changes if isinstance(c, Settled)}
    assert isinstance(settled[ticket or 0], AccessDeniedError)
    assert direct.has_nothing


def test_a_leave_of_nobody_in_particular_is_given_up_unknown(direct: Direct) -> None:
    direct.ask_to_join("u", "a")
    direct.cut(direct.take())

    direct.say_no(direct.take())

    assert [c.is_known for c in direct.changes(LeaveGivenUp)] == [False]


def test_a_leave_that_failed_lets_later_orders_pass(direct: Direct) -> None:
    release(direct, direct.join("u", "a"))
    direct.cut(direct.take())
    direct.cut(direct.take_next())
    claim = direct.ask_to_join("u", "b")

    direct.acknowledge(direct.take())

    assert claim.health is LeaseHealth.FRESH


def test_a_leave_of_a_group_makes_the_other_names_due(direct: Direct) -> None:
    direct.join("u", "a")
    group = direct.join("u", channel_groups=("g",))
    release(direct, group)
    direct.acknowledge(direct.take())

    beat = direct.take()

    assert (beat.purpose, operation_of(beat).channels) == (Purpose.KEEP, ("a",))


def test_a_leave_of_a_channel_makes_nothing_due(direct: Direct) -> None:
    direct.join("u", "a")
    release(direct, direct.join("u", "b"))
    direct.acknowledge(direct.take())

    assert direct.has_nothing


# Leaving names.


def test_names_are_taken_out_of_every_lease_and_left(direct: Direct) -> None:
    whole = direct.join("u", "a")
    part = direct.join("u", "a", "b", channel_groups=("g",))
    direct.engine.drain()

    ticket = leave(direct, "a", "x", groups=("g",))
    changes = direct.changes(HealthChanged)
    send = direct.take()

    assert [(c.claim, c.reason) for c in changes] == [(whole, "its names were left")]
    assert (part.channels, part.channel_groups) == (("b",), ())
    assert operation_of(send).channels == ("a", "x")
    assert operation_of(send).channel_groups == ("g",)
    assert send.params == (("p", "1"),)
    direct.acknowledge(send)
    assert direct.settled() == {ticket: None}
    assert part.health is LeaseHealth.FRESH


def test_names_nobody_holds_are_left_all_the_same(direct: Direct) -> None:
    leave(direct, "a")

    direct.acknowledge(direct.take())

    assert list(direct.engine) == []


def test_a_leave_is_tried_as_long_as_the_longest_lease_would_last(
    direct: Direct,
) -> None:
    direct.join("u", "a", presence_timeout_s=600)
    leave(direct, "a")
    while direct.engine.next_s < math.inf:
        direct.cut(direct.take_next())

    assert 590 <= direct.now_s - 1000 <= 600


def test_channels_are_taken_out_of_one_lease(direct: Direct) -> None:
    mine, other = direct.join("u", "a", "b", "c"), direct.join("u", "b")

    ticket = direct.engine.narrow(mine, ("a", "b"), direct.patience(), direct.now_s)
    send = direct.take()
    direct.acknowledge(send)

    assert (mine.channels, other.channels) == (("c",), ("b",))
    assert operation_of(send).channels == ("a",)
    assert direct.has_nothing
    assert direct.settled() == {ticket: None}


def test_a_long_leave_is_sent_in_parts(direct: Direct) -> None:
    channels = [f"{number:03}" + "x" * 80 for number in range(600)]
    ticket = leave(direct, *channels)
    sent: list[str] = []
    while ticket not in direct.settled():
        send = direct.take()
        sent += operation_of(send).channels
        direct.acknowledge(send)

    assert sent == channels


# Adding channels.


def test_channels_added_belong_to_the_lease_once_they_are_acknowledged(
    direct: Direct,
) -> None:
    lease = direct.join("u", "a", state={"n": 1})
    more = direct.ask_to_join("u", "b", extends=lease)
    send = direct.take()
    assert operation_of(send).state == {"b": {"n": 1}}
    channels = [lease.channels]

    direct.acknowledge(send)

    assert [*channels, lease.channels] == [("a",), ("a", "b")]
    assert not direct.engine.holds(more)
    assert operation_of(direct.take_next()).channels == ("a", "b")


def test_channels_added_to_a_lease_that_ended_are_left(direct: Direct) -> None:
    lease = direct.join("u", "a")
    direct.ask_to_join("u", "b", extends=lease)
    send = direct.take()
    release(direct, lease)
    direct.acknowledge(send)

    left: set[str] = set()
    while (leave_ := direct.engine.take(direct.now_s)) is not None:
        left |= {*operation_of(leave_).channels}
        direct.acknowledge(leave_)

    assert left == {"a", "b"}
    errors = [error for error in direct.settled().values() if error is not None]
    assert [type(error).__name__ for error in errors] == ["LeaseReleasedError"]


def test_a_lease_lingers_longer_than_its_caller_would_wait(direct: Direct) -> None:
    claim = direct.join("u", "a", linger_s=100)
    released_s = direct.now_s
    direct.engine.release(claim, direct.patience(timeout_s=30), released_s)

    send = direct.take_next()

    assert isinstance(operation_of(send), LeaveOperation)
    assert direct.now_s == released_s + 100


def test_what_a_join_without_deadline_may_have_announced_is_not_left(
    direct: Direct,
) -> None:
    lease = direct.join("u", "a")
    direct.ask_to_join("u", "a", patience=direct.patience(timeout_s=math.inf))
    direct.lose(direct.take())
    ticket = release(direct, lease)

    assert direct.has_nothing
    assert direct.settled() == {ticket: None}
    assert not isinstance(operation_of(direct.take_next()), LeaveOperation)
