"""Outages: one probe at a time, and everybody back soon after."""

from __future__ import annotations

import math

import pytest

from presence_async.errors import AccessDeniedError, RateLimitedError
from presence_async.presence.changes import (
    HealthChanged,
    LeaveGivenUp,
    OutageBegan,
    OutageEnded,
    OutageGoesOn,
)
from presence_async.presence.claims import LeaseHealth
from presence_async.presence.wire import Failed, Purpose, Refused, Send

from .direct import Direct


@pytest.fixture
def direct() -> Direct:
    return Direct()


def join_many(direct: Direct, number: int, timeout_s: int = 300) -> None:
    for n in range(number):
        direct.join(f"u{n}", "a", presence_timeout_s=timeout_s)


def fail(direct: Direct, number: int) -> list[str]:
    """Cut the next heartbeats; return whose they were."""
    users = []
    for _ in range(number):
        send = direct.take_next()
        users.append(send.user_id)
        direct.cut(send)
    return users


def go_down(direct: Direct, number: int = 3) -> None:
    """Let the first heartbeats of all users fail until it is an outage."""
    while not direct.changes(OutageBegan):
        fail(direct, 1)


# When it begins.


def test_three_users_in_a_row_make_an_outage(direct: Direct) -> None:
    join_many(direct, 5)
    users: set[str] = set()
    began: list[OutageBegan] = []
    while not began:
        users |= {*fail(direct, 1)}
        began = direct.changes(OutageBegan)

    assert len(users) == 3
    assert began == [OutageBegan(users=5, at_risk=3, lost=0)]


def test_one_user_who_fails_thrice_makes_none(direct: Direct) -> None:
    direct.join("u", "a")

    fail(direct, 5)

    assert direct.changes(OutageBegan) == []


def test_a_success_in_between_starts_the_count_again(direct: Direct) -> None:
    join_many(direct, 4)
    failed: set[str] = set()
    for _ in range(30):
        send = direct.take_next()
        if len(failed | {send.user_id}) == 3:
            direct.acknowledge(send)
            failed.clear()
        else:
            direct.cut(send)
            failed.add(send.user_id)

    assert direct.changes(OutageBegan) == []


def test_what_says_nothing_about_the_service_makes_none(direct: Direct) -> None:
    join_many(direct, 5)
    for _ in range(5):
        direct.cut(direct.take_next(), is_about_service=False)

    assert direct.changes(OutageBegan) == []


def test_refusals_are_answers_of_a_service_that_can_be_reached(
    direct: Direct,
) -> None:
    join_many(direct, 5)
    for _ in range(5):
        direct.say_no(direct.take_next())

    assert direct.changes(OutageBegan) == []


# While it lasts.


def test_probes_go_out_one_at_a_time_by_users_in_turn(direct: Direct) -> None:
    join_many(direct, 6)
    go_down(direct)

    users = []
    for _ in range(6):
        send = direct.take_next()
        users.append(send.user_id)
        assert direct.has_nothing
        direct.now_s += 1
        assert direct.has_nothing
        direct.cut(send)

    assert len(set(users)) == 6


def test_the_first_probes_are_of_those_nearest_their_end(direct: Direct) -> None:
    join_many(direct, 3, 60)
    for n, timeout_s in enumerate((300, 120, 200)):
        direct.join(f"long{n}", "a", presence_timeout_s=timeout_s)
    go_down(direct)

    users = fail(direct, 6)

    assert users[3:] == ["long1", "long2", "long0"]


def test_users_who_are_lost_probe_last(direct: Direct) -> None:
    join_many(direct, 3, 20)
    direct.join("long", "a")
    go_down(direct)
    direct.now_s += 100

    assert set(fail(direct, 4)) == {"long"}


def test_when_all_are_lost_they_take_turns_again(direct: Direct) -> None:
    join_many(direct, 3, 20)
    go_down(direct)
    direct.now_s += 100

    users = fail(direct, 6)

    assert users[:3] == users[3:]
    assert len(set(users)) == 3


def test_users_who_are_due_are_held_and_at_risk(direct: Direct) -> None:
    join_many(direct, 100)
    go_down(direct)
    direct.engine.drain()

    while direct.now_s < 1150:
        fail(direct, 1)

    healths = {x.claims[0].health for x in direct.engine}
    assert healths == {LeaseHealth.AT_RISK}
    changes = direct.changes(HealthChanged)
    held = [c for c in changes if c.reason == "the service cannot be reached"]
    assert 0 < len(held) < 97
    assert all(change.is_shared for change in changes)


def test_a_probe_takes_no_longer_than_the_nearest_end_allows(direct: Direct) -> None:
    join_many(direct, 6)
    direct.join("short", "a", presence_timeout_s=200)
    go_down(direct)
    sends = []
    while direct.now_s < 1199:
        sends.append((direct.now_s, direct.take_next()))
        direct.cut(sends[-1][1])

    late = [(1200 - at_s, send) for at_s, send in sends if 1164 < at_s < 1196]
    assert len({send.user_id for _, send in late}) > 1
    for left_s, send in late:
        assert send.attempt_s <= max(1, left_s / 4)


def test_joins_and_leaves_go_out_in_an_outage(direct: Direct) -> None:
    join_many(direct, 3)
    claim = direct.join("x", "a")
    go_down(direct)
    direct.engine.release(claim, direct.patience(), direct.now_s)
    direct.ask_to_join("y", "a")

    sent = [direct.take(), direct.take()]

    assert {send.user_id for send in sent} == {"x", "y"}


def test_how_it_stands_is_told_once_a_minute(direct: Direct) -> None:
    join_many(direct, 3, 120)
    go_down(direct)
    began_s = direct.now_s
    for send in iter(direct.take_next, None):
        direct.cut(send)
        if direct.now_s > began_s + 185:
            break

    reports = direct.changes(OutageGoesOn)
    assert [round(report.since_s) for report in reports] == [60, 120, 180]
    assert (reports[0].users, reports[0].at_risk, reports[0].lost) == (3, 3, 0)
    assert (reports[-1].at_risk, reports[-1].lost) == (0, 3)


def test_how_it_stands_is_told_also_while_every_place_is_taken() -> None:
    direct = Direct(max_in_flight=1)
    join_many(direct, 3)
    go_down(direct)
    began_s = direct.now_s
    direct.take_next()

    while direct.now_s < began_s + 60:
        direct.now_s = direct.engine.next_s
        assert direct.has_nothing

    assert len(direct.changes(OutageGoesOn)) == 1
    assert direct.engine.next_s > direct.now_s


def test_a_leave_given_up_in_an_outage_is_a_shared_trouble(direct: Direct) -> None:
    join_many(direct, 3)
    claim = direct.join("x", "a", presence_timeout_s=6)
    go_down(direct)
    direct.engine.release(claim, direct.patience(), direct.now_s)
    given_up: list[LeaveGivenUp] = []
    while not given_up:
        direct.cut(direct.take_next())
        given_up = direct.changes(LeaveGivenUp)

    assert given_up[0].user_id == "x"
    assert given_up[0].is_shared
    assert given_up[0].is_known


# What the service asks for.


def busy(direct: Direct, send: Send, asked_s: float) -> None:
    error = RateLimitedError("429", status=429, retry_after_s=asked_s)
    direct.engine.answered(send, Failed(error), direct.now_s)


@pytest.mark.parametrize(("asked_s", "held_s"), [(8, 8), (3600, 14.5)])
def test_retry_after_holds_everybody_back(
    direct: Direct, asked_s: float, held_s: float
) -> None:
    join_many(direct, 200)
    busy(direct, direct.take_next(), asked_s)
    asked_at_s = direct.now_s

    direct.take_next()

    assert direct.now_s == pytest.approx(asked_at_s + held_s, abs=0.5)


def test_retry_after_is_not_waited_for_by_those_who_have_no_time(
    direct: Direct,
) -> None:
    direct.join("short", "a", presence_timeout_s=20)
    send = direct.take_next()
    busy(direct, send, 3600)
    asked_at_s = direct.now_s
    left_s = 1020 - asked_at_s

    direct.take_next()

    assert direct.now_s == pytest.approx(asked_at_s + left_s / 2)


def test_a_probe_waits_for_retry_after(direct: Direct) -> None:
    join_many(direct, 3)
    go_down(direct)
    busy(direct, direct.take_next(), 3600)
    asked_at_s = direct.now_s

    direct.take_next()

    assert direct.now_s == pytest.approx(asked_at_s + 14.5)


# When it ends.


def test_everybody_who_waited_is_due_when_a_probe_comes_through(
    direct: Direct,
) -> None:
    join_many(direct, 5, 60)
    direct.join("long", "a", presence_timeout_s=320)
    go_down(direct)
    began_s = direct.now_s
    while direct.now_s < 1050:
        fail(direct, 1)
    direct.engine.drain()
    probe = direct.take_next()

    direct.acknowledge(probe)
    ended = direct.changes(OutageEnded)
    users = []
    while (send := direct.engine.take(direct.now_s)) is not None:
        users.append(send.user_id)

    assert {*users, probe.user_id} >= {"u0", "u1", "u2", "u3", "u4"}
    assert ended == [OutageEnded(6, 0, direct.now_s - began_s)]


def test_those_who_can_still_be_saved_come_first(direct: Direct) -> None:
    join_many(direct, 3, 30)
    direct.join("x", "a", presence_timeout_s=90)
    direct.join("y", "a", presence_timeout_s=80)
    go_down(direct)
    while direct.now_s < 1050:
        fail(direct, 1)
    probe = direct.take_next()
    while probe.user_id != "x":
        direct.cut(probe)
        probe = direct.take_next()

    direct.acknowledge(probe)

    assert direct.take().user_id == "y"
    assert direct.take().user_id in {"u0", "u1", "u2"}


def test_a_join_that_comes_through_ends_it(direct: Direct) -> None:
    join_many(direct, 3)
    go_down(direct)

    direct.ask_to_join("x", "a")
    direct.acknowledge(direct.take())

    assert len(direct.changes(OutageEnded)) == 1
    assert {direct.take().user_id for _ in range(3)} == {"u0", "u1", "u2"}


def test_a_refused_probe_ends_it(direct: Direct) -> None:
    join_many(direct, 3)
    go_down(direct)

    direct.say_no(direct.take_next())

    assert len(direct.changes(OutageEnded)) == 1


def test_a_probe_whose_token_cannot_be_had_is_followed_by_a_pause(
    direct: Direct,
) -> None:
    join_many(direct, 3)
    go_down(direct)
    send = direct.take_next()
    refused = Refused(AccessDeniedError("no token", status=401), is_about_service=False)

    direct.engine.answered(send, refused, direct.now_s)

    assert direct.changes(OutageEnded) == []
    assert direct.has_nothing
    assert direct.take_next().user_id != send.user_id


def test_it_ends_when_everybody_who_waits_has_left(direct: Direct) -> None:
    join_many(direct, 3)
    go_down(direct)
    for user in direct.engine:
        direct.engine.release(user.claims[0], direct.patience(), direct.now_s)
    while (send := direct.engine.take(direct.now_s)) is not None:
        direct.acknowledge(send)
    direct.now_s += 20
    assert direct.has_nothing

    assert len(direct.changes(OutageEnded)) == 1
    assert direct.engine.next_s == math.inf


def test_time_unseen_ends_it(direct: Direct) -> None:
    join_many(direct, 3)
    go_down(direct)
    busy(direct, direct.take_next(), 3600)

    direct.engine.slept(30, direct.now_s)

    assert len(direct.changes(OutageEnded)) == 1
    sent = [direct.take() for _ in range(3)]
    assert {send.purpose for send in sent} == {Purpose.KEEP}


def test_when_a_join_comes_through_nobody_waits_for_a_retry_after_any_more(
    direct: Direct,
) -> None:
    join_many(direct, 5)
    while not all(user.is_held for user in direct.engine):
        direct.busy(direct.take_next(), retry_after_s=14)
    assert not all(user.failures for user in direct.engine)
    direct.ask_to_join("v", "a")
    direct.acknowledge(direct.take())

    sent = [direct.take().user_id for _ in range(5)]

    assert set(sent) == {"u0", "u1", "u2", "u3", "u4"}
