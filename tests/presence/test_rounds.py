"""The regular heartbeats of a user: as few as possible, each name at its own risk."""

from __future__ import annotations

import itertools
import math

import pytest

from presence_async.errors import AccessDeniedError
from presence_async.presence.changes import HealthChanged, UserForgotten
from presence_async.presence.claims import LeaseHealth
from presence_async.presence.wire import Purpose, Refused, Send
from presence_async.protocol.leave import LeaveOperation

from .direct import Direct, operation_of

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


# When.


def test_joins_travel_alone_and_rounds_together(direct: Direct) -> None:
    direct.join("u", "a")
    second = direct.ask_to_join("u", "b")
    send = direct.take()
    assert channels(send) == ("b",)
    direct.acknowledge(send)
    assert second.health is FRESH

    beat = direct.take_next()

    assert channels(beat) == ("a", "b")
    assert beat.purpose is Purpose.KEEP
    assert beat.deadline_s == direct.now_s + 20


def test_rounds_come_at_the_users_own_place_however_long_they_take(
    direct: Direct,
) -> None:
    direct.join("u", "a", presence_timeout_s=60)
    times_s = []
    for late_s in (0, 3, 0, 8, 0):
        send = direct.take_next()
        times_s.append(direct.now_s)
        direct.now_s += late_s
        direct.acknowledge(send)

    assert [b - times_s[0] for b in times_s] == pytest.approx([0, 29, 58, 87, 116])


def test_a_first_round_comes_within_an_interval_each_user_at_another_time(
    direct: Direct,
) -> None:
    for number in range(50):
        direct.join(f"u{number}", "a")
    times_s: list[float] = []
    while len(times_s) < 50:
        direct.acknowledge(direct.take_next())
        times_s.append(direct.now_s)

    assert times_s[0] >= 1000
    assert times_s[-1] <= 1000 + 149
    assert len(set(times_s)) == 50
    # On slots of 10 ms.
    assert all(abs(t * 100 - round(t * 100)) < 1e-6 for t in times_s)


def test_heartbeats_of_many_users_go_out_in_company(direct: Direct) -> None:
    number, interval_s = 3000, 149
    for n in range(number):
        direct.join(f"u{n}", "a")
    places: dict[str, list[float]] = {}
    company: dict[float, int] = {}
    while direct.now_s < 1000 + 3.2 * interval_s:
        send = direct.take_next()
        places.setdefault(send.user_id, []).append(direct.now_s)
        company[direct.now_s] = company.get(direct.now_s, 0) + 1
        direct.acknowledge(send)

    # In slots of a thousandth of the interval, each about as busy as any other.
    settled = [count for at_s, count in company.items() if at_s > 1000 + 2 * interval_s]
    assert len(settled) == pytest.approx(1200, abs=2)
    assert min(settled[:-1]) >= 2
    assert max(settled) <= 4
    gaps_s = [b - a for at_s in places.values() for a, b in itertools.pairwise(at_s)]
    assert max(gaps_s) <= interval_s + 1e-6
    # Each has its own place, and nobody drifts.
    assert min(gaps_s) > interval_s - 0.15
    assert {round(at_s[-1] - at_s[-2], 6) for at_s in places.values()} == {interval_s}


def test_the_shortest_lease_sets_the_pace(direct: Direct) -> None:
    direct.join("u", "a")
    direct.join("u", "b", presence_timeout_s=20)
    acknowledged(direct, 2)
    began_s = direct.now_s

    said = acknowledged(direct, 2)

    assert said == [("b",), ("a",)]
    assert direct.now_s == pytest.approx(began_s + 9)


def test_a_round_moved_just_before_its_place_finds_another(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=302)
    waits_s = []
    for _ in range(300):
        send = direct.take_next()
        # One second is left to the next time at its place.
        direct.now_s += 149
        direct.acknowledge(send)
        waits_s.append(direct.engine.next_s - direct.now_s)

    assert min(waits_s) == pytest.approx(150 / 16, abs=0.6)
    assert min(waits_s) >= 150 / 16 - 0.01
    assert 149 < max(waits_s) <= 150


# What fails.


def test_a_lease_is_at_risk_then_lost_then_fresh_again(direct: Direct) -> None:
    claim = direct.join("u", "a", presence_timeout_s=20)
    direct.engine.drain()
    joined_s = direct.now_s

    direct.cut(direct.take_next())
    while direct.engine.next_s < joined_s + 20:
        direct.lose(direct.take_next())
    direct.now_s = max(direct.now_s, joined_s + 20)
    last = direct.take_next()
    direct.acknowledge(last)

    changes = direct.changes(HealthChanged)
    assert [(c.previous, c.health) for c in changes] == [
        (FRESH, AT_RISK),
        (AT_RISK, LOST),
        (LOST, FRESH),
    ]
    assert [c.remaining_s for c in changes] == [
        pytest.approx(1020 - changes[0].at_s),
        0,
        20,
    ]
    assert claim.health is FRESH


def test_a_lease_is_lost_at_once_while_a_heartbeat_is_out(direct: Direct) -> None:
    claim = direct.join("u", "a", presence_timeout_s=20)
    direct.take_next()
    assert direct.engine.next_s <= 1020
    while direct.now_s < 1020:
        direct.now_s = direct.engine.next_s
        assert direct.has_nothing

    (change,) = direct.changes(HealthChanged)
    assert (change.at_s, change.health) == (1020, LOST)
    assert change.reason == "the presence timeout has passed"
    assert claim.health is LOST


def test_every_lease_of_a_user_that_waits_for_a_place_is_lost_in_its_time() -> None:
    direct = Direct(max_in_flight=1)
    claims = [
        direct.join("u", channel, presence_timeout_s=timeout_s)
        for channel, timeout_s in (("a", 300), ("b", 310))
    ]
    direct.ask_to_join("v", "a", patience=direct.patience(math.inf))
    assert direct.take().user_id == "v"
    ends_s = [direct.engine.expires_s(claim) for claim in claims]

    while direct.now_s < ends_s[-1]:
        direct.now_s = direct.engine.next_s
        assert direct.has_nothing

    lost = [(c.at_s, c.health) for c in direct.changes(HealthChanged)]
    assert lost == [(end_s, LOST) for end_s in ends_s]


def test_attempts_and_gaps_shrink_with_what_is_left(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=60)
    send = direct.take_next()
    assert send.attempt_s == 10
    attempts_s, gaps_s = [], []
    for _ in range(4):
        direct.lose(send)
        failed_s = direct.now_s
        send = direct.take_next()
        attempts_s.append(send.attempt_s)
        gaps_s.append(direct.now_s - failed_s)
        left_s = 1060 - direct.now_s
        assert send.attempt_s == pytest.approx(max(1, left_s / 4))

    assert attempts_s == sorted(attempts_s, reverse=True)
    assert max(gaps_s) <= 4.5


def test_after_each_failure_another_heartbeat_is_the_first(direct: Direct) -> None:
    for channel, timeout_s in (("a", 30), ("b", 40), ("c", 50)):
        direct.join("u", channel, presence_timeout_s=timeout_s)
    firsts = []
    for _ in range(4):
        send = direct.take_next()
        firsts.append(channels(send))
        # The rest is not sent: it could wait for nothing as long.
        direct.cut(send)
        assert direct.has_nothing

    assert firsts == [("a",), ("b",), ("c",), ("a",)]


def test_the_rest_of_a_round_is_sent_after_an_answer_that_says_no(
    direct: Direct,
) -> None:
    direct.join("u", "a", presence_timeout_s=30)
    direct.join("u", "b", presence_timeout_s=40)

    direct.busy(direct.take_next())

    assert channels(direct.take()) == ("b",)


def test_one_heartbeat_without_an_answer_ends_no_lease_of_the_user(
    direct: Direct,
) -> None:
    claims = [
        direct.join("u", channel, presence_timeout_s=timeout_s)
        for channel, timeout_s in (("a", 4), ("b", 10), ("c", 12))
    ]
    acknowledged(direct, 6)

    direct.lose(direct.take_next())
    for _ in range(12):
        direct.acknowledge(direct.take_next())

    changes = direct.changes(HealthChanged)
    assert not [c for c in changes if c.health is LOST]
    assert {claim.health for claim in claims} == {FRESH}


# What changes meanwhile.


def test_a_round_goes_on_with_what_is_wanted_by_then(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=30)
    gone = direct.join("u", "b", presence_timeout_s=40)
    direct.join("u", "c", presence_timeout_s=40, state={"n": 1})
    send = direct.take_next()
    direct.engine.release(gone, direct.patience(), direct.now_s)
    direct.acknowledge(send)

    beat = direct.take()

    assert channels(beat) == ("c",)
    assert beat.purpose is Purpose.KEEP


def test_a_round_goes_on_with_what_is_wanted_whatever_the_first_outcome_was(
    direct: Direct,
) -> None:
    direct.join("u", "a", presence_timeout_s=30)
    gone = direct.join("u", "b", presence_timeout_s=40)
    send = direct.take_next()
    direct.engine.release(gone, direct.patience(), direct.now_s)
    error = AccessDeniedError("no token", status=401)
    refused = Refused(error, is_about_service=False)

    direct.engine.answered(send, refused, direct.now_s)

    assert isinstance(direct.take().operation, LeaveOperation)


def test_a_shorter_lease_that_ends_gives_the_longer_timeout_back(
    direct: Direct,
) -> None:
    direct.join("u", "a")
    short = direct.join("u", "a", presence_timeout_s=20)

    direct.engine.release(short, direct.patience(), direct.now_s)
    beat = direct.take()

    assert operation_of(beat).presence_timeout_s == 300
    direct.acknowledge(beat)
    assert direct.has_nothing


def test_the_older_state_returns_when_the_newest_lease_ends(direct: Direct) -> None:
    direct.join("u", "a", state={"n": 1})
    newer = direct.join("u", "a", state={"n": 2})

    direct.engine.release(newer, direct.patience(), direct.now_s)

    assert operation_of(direct.take()).state == {"a": {"n": 1}}


def test_what_was_told_of_a_name_is_forgotten_with_its_last_lease(
    direct: Direct,
) -> None:
    direct.join("u", "a")
    gone = direct.join("u", "a", "b")

    direct.engine.release(gone, direct.patience(), direct.now_s)

    (user,) = direct.engine
    assert list(user.told) == ["a"]


def test_a_wish_while_a_round_is_out_is_another_round(direct: Direct) -> None:
    direct.join("u", "a", presence_timeout_s=60)
    short = direct.join("u", "a", presence_timeout_s=20)
    send = direct.take_next()
    direct.engine.release(short, direct.patience(), direct.now_s)

    direct.acknowledge(send)

    assert operation_of(direct.take()).presence_timeout_s == 60


def test_a_user_without_wishes_is_forgotten_after_the_leave(direct: Direct) -> None:
    claim = direct.join("u", "a")
    direct.engine.release(claim, direct.patience(), direct.now_s)
    leave = direct.take()
    assert isinstance(leave.operation, LeaveOperation)
    assert direct.changes(UserForgotten) == []

    direct.acknowledge(leave)

    assert direct.changes(UserForgotten) == [UserForgotten("u")]
    assert list(direct.engine) == []
    assert direct.engine.next_s == math.inf


def test_time_unseen_makes_everybody_due_and_tells_the_truth(direct: Direct) -> None:
    long, short = direct.join("u", "a"), direct.join("v", "a", presence_timeout_s=60)
    refused = direct.join("w", "a")
    send = direct.take_next()
    while send.user_id != "w":
        direct.acknowledge(send)
        send = direct.take_next()
    direct.say_no(send)
    expires_s = direct.engine.expires_s(long)
    direct.engine.drain()

    direct.engine.slept(100, direct.now_s)

    changes = {c.claim: c for c in direct.changes(HealthChanged)}
    assert (changes[long].health, changes[short].health) == (AT_RISK, LOST)
    assert refused not in changes
    assert direct.engine.expires_s(long) == expires_s - 100
    assert changes[long].is_shared
    # Those who are lost come last.
    assert [direct.take().user_id for _ in range(3)] == ["u", "w", "v"]
