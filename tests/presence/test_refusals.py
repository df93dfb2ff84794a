"""Refusals: each hits its own names, and nothing else."""

from __future__ import annotations

import pytest

from presence_async.errors import InvalidArgumentError
from presence_async.presence.claims import LeaseHealth
from presence_async.presence.wire import Refused, Send

from .direct import Direct

FRESH, AT_RISK, LOST = LeaseHealth.FRESH, LeaseHealth.AT_RISK, LeaseHealth.LOST
REFUSED = LeaseHealth.REFUSED


@pytest.fixture
def direct() -> Direct:
    return Direct()


def channels(send: Send) -> tuple[str, ...]:
    return send.operation.channels


def acknowledged(direct: Direct, number: int) -> list[tuple[str, ...]]:
    """Acknowledge the next requests; return their channels."""
    said = []
    for _ in range(number):
        send = direct.take_next()
        said.append(channels(send))
        direct.acknowledge(send)
    return said


def test_names_refused_by_name_take_no_other_down(direct: Direct) -> None:
    mine = direct.join("u", "a")
    other = direct.join("u", "b", "c")

    direct.say_no(direct.take_next(), "b")
    rest = direct.take()
    direct.acknowledge(rest)

    assert channels(rest) == ("a", "c")
    assert (mine.health, other.health) == (FRESH, REFUSED)
    assert direct.has_nothing


def test_refused_names_travel_apart_and_last_until_they_are_acknowledged(
    direct: Direct,
) -> None:
    direct.join("u", "a")
    claim = direct.join("u", "b")
    direct.say_no(direct.take_next(), "b")
    acknowledged(direct, 1)

    said = acknowledged(direct, 2)

    assert said == [("a",), ("b",)]
    assert claim.health is FRESH
    assert acknowledged(direct, 1) == [("a", "b")]


def test_a_group_is_refused_by_its_own_name(direct: Direct) -> None:
    group = direct.join("u", channel_groups=("x",))
    channel = direct.join("u", "x")

    direct.say_no(direct.take_next(), groups=("x",))
    direct.acknowledge(direct.take())

    assert (group.health, channel.health) == (REFUSED, FRESH)


def test_a_refusal_without_names_is_followed_lease_by_lease(direct: Direct) -> None:
    first = direct.join("u", "a", "b")
    second = direct.join("u", "b", "c")

    direct.say_no(direct.take_next())
    said = []
    while (send := direct.engine.take(direct.now_s)) is not None:
        said.append(channels(send))
        if "c" in channels(send):
            direct.say_no(send)
        else:
            direct.acknowledge(send)

    assert sorted(said) == [("a",), ("b",), ("c",)]
    assert (first.health, second.health) == (FRESH, REFUSED)


def test_a_refused_lease_is_tried_at_the_regular_pace(direct: Direct) -> None:
    claim = direct.join("u", "a", presence_timeout_s=20)
    direct.say_no(direct.take_next())
    refused_s = direct.now_s
    direct.take_next()

    assert direct.now_s == pytest.approx(refused_s + 9)
    direct.now_s = 1100
    assert direct.has_nothing
    assert claim.health is REFUSED


@pytest.mark.parametrize(
    ("user_id", "is_tried"), [(None, True), ("u", True), ("v", False)]
)
def test_what_was_refused_is_tried_at_once_on_request(
    direct: Direct, user_id: str | None, is_tried: bool
) -> None:
    direct.join("u", "a")
    direct.join("v", "a")
    send = direct.take_next()
    while send.user_id != "u":
        direct.acknowledge(send)
        send = direct.take_next()
    direct.say_no(send)

    direct.engine.retry_refused(user_id, direct.now_s)

    assert direct.has_nothing is not is_tried


def test_a_request_that_cannot_be_sent_is_refused_and_tells_nothing(
    direct: Direct,
) -> None:
    claim = direct.join("u", "a")
    error = InvalidArgumentError("state", "too long")

    direct.engine.answered(direct.take_next(), Refused(error), direct.now_s)

    assert claim.health is REFUSED
    assert direct.has_nothing


def test_a_lease_without_its_refused_names_is_fresh_at_once(direct: Direct) -> None:
    claim = direct.join("u", "a", "b")
    direct.say_no(direct.take_next(), "b")
    direct.acknowledge(direct.take())

    direct.engine.narrow(claim, ("b",), direct.patience(), direct.now_s)

    assert claim.health is FRESH
