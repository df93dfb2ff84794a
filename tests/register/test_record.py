"""The rules for one user, one by one: holding, claims, heartbeats."""

from __future__ import annotations

import math

from presence_async.register.values import (
    CALM,
    NOTHING_OWED,
    UNKNOWN,
    WITHDRAWN,
    Standing,
    Wish,
)

from .user import ATTEMPT_S, INTERVAL_S, NOW, User

# Holding.


def test_a_new_name_stands_for_nothing(alice: User) -> None:
    assert alice.hold("me", "lobby") == (Standing("lobby"),)


def test_a_holder_learns_how_a_name_stands(shared: User) -> None:
    shared.wait(5)

    [standing] = shared.hold("third", "lobby")

    assert standing == Standing(
        "lobby", age_s=5.0, said_timeout_s=300, others_timeout_s=300
    )


def test_a_wish_without_timeout_only_asks(alice: User) -> None:
    assert alice.hold("me", Wish("lobby", 0)) == ()
    assert alice.record.is_empty


def test_holding_again_ends_a_linger(alice: User) -> None:
    alice.hold("me", "lobby")
    alice.release("me", "lobby", linger_s=20)
    alice.hold("other", "lobby")
    alice.wait(21)
    alice.release("other", "lobby", linger_s=math.inf)

    assert alice.depart("third") == (NOTHING_OWED, None)


def test_a_holder_that_does_not_come_back_counts_for_two_timeouts(
    shared: User,
) -> None:
    shared.wait(599)
    assert shared.record.others("lobby", "", shared.now) == 300
    shared.wait(2)
    assert shared.record.others("lobby", "", shared.now) == 0


def test_a_record_is_kept_for_four_timeouts_and_a_minute(alice: User) -> None:
    alice.hold("me", "lobby")

    assert alice.record.expires == NOW + 4 * 300_000 + 60_000


# States.


def test_the_newest_state_counts(alice: User) -> None:
    alice.hold("one", Wish("lobby", 300, '"new"', state_age_s=1))
    [standing] = alice.hold("two", Wish("lobby", 300, '"old"', state_age_s=2))

    assert (standing.state, standing.version) == ('"new"', NOW - 1000)


def test_a_worker_replaces_its_own_state_whatever_the_clock_says(alice: User) -> None:
    alice.hold("one", Wish("lobby", 300, '"first"'))
    alice.wait(-5)
    alice.hold("one", Wish("lobby", 300, '"second"'))

    [standing] = alice.hold("two", "lobby")
    assert (standing.state, standing.version) == ('"second"', NOW + 1)


def test_ones_own_state_is_not_told_back(alice: User) -> None:
    [standing] = alice.hold("one", Wish("lobby", 300, '"mine"'))

    assert (standing.state, standing.version) == (None, NOW)


def test_a_withdrawn_state_lets_the_others_say_theirs(alice: User) -> None:
    alice.hold("one", Wish("lobby", 300, '"a"'))
    alice.hold("two", "lobby")

    alice.hold("one", Wish("lobby", 300, WITHDRAWN))

    assert alice.claim("one") != UNKNOWN
    assert alice.claim("two") == UNKNOWN
    [standing] = alice.hold("two", "lobby")
    assert standing.version == -1


def test_nobody_withdraws_the_state_of_another(alice: User) -> None:
    alice.hold("one", Wish("lobby", 300, '"a"'))

    [standing] = alice.hold("two", Wish("lobby", 300, WITHDRAWN))

    assert standing.state == '"a"'


def test_a_state_ends_with_its_holder(alice: User) -> None:
    alice.hold("one", Wish("lobby", 300, '"a"'))
    alice.hold("two", "lobby")
    alice.release("one", "lobby")

    [standing] = alice.hold("two", "lobby")
    assert standing.version == -1


# Claims.


def test_a_sole_holder_is_calm(alice: User) -> None:
    alice.hold("me", "lobby")

    assert alice.claim("me") is CALM


def test_a_stranger_or_an_earlier_life_has_to_hold(alice: User) -> None:
    alice.hold("me", "lobby", life=2)

    assert alice.claim("stranger") == UNKNOWN
    assert alice.claim("me", life=1) == UNKNOWN
    assert alice.claim("me", life=3) == UNKNOWN


def test_the_leader_stays(shared: User) -> None:
    for _ in range(3):
        shared.wait(INTERVAL_S)
        assert shared.claim("leader").is_due
        shared.beaten("leader", "lobby")
        assert not shared.claim("follower").is_due


def test_a_follower_has_its_turn_an_interval_later(shared: User) -> None:
    shared.wait(INTERVAL_S - 1)
    assert shared.claim("follower").next_s == 1.0
    shared.wait(1)
    assert shared.claim("follower").is_due


def test_a_follower_waits_for_half_of_a_short_timeout_at_most(alice: User) -> None:
    for worker in ("leader", "follower"):
        alice.hold(worker, Wish("lobby", 20))
    alice.beaten("leader", "lobby", timeout_s=20)

    assert alice.claim("follower", interval_s=INTERVAL_S).next_s == 9.0


def test_a_claim_is_for_the_time_of_an_attempt(shared: User) -> None:
    shared.wait(INTERVAL_S)
    assert shared.claim("follower").is_due
    assert shared.claim("leader").next_s == ATTEMPT_S
    shared.wait(ATTEMPT_S)
    assert shared.claim("leader").is_due


def test_an_acknowledged_heartbeat_ends_its_claim(alice: User) -> None:
    alice.hold("one", "lobby")
    alice.claim("one")
    alice.beaten("one", "lobby")

    assert alice.record.names["lobby"].claimed == 0


def test_one_name_that_is_due_gives_the_turn_for_all(shared: User) -> None:
    shared.hold("follower", "hall")

    claimed = shared.claim("follower")

    assert claimed.is_due
    assert [x.name for x in claimed.names] == ["lobby", "hall"]


def test_a_shorter_timeout_is_due_at_once(shared: User) -> None:
    shared.hold("follower", Wish("lobby", 60))

    assert shared.claim("follower").is_due


def test_a_heartbeat_or_claim_from_the_future_is_void(shared: User) -> None:
    shared.wait(INTERVAL_S)
    shared.claim("leader")
    shared.beaten("leader", "lobby")
    shared.claim("leader")

    # The clock was set back.
    shared.wait(-60)

    assert shared.claim("follower").is_due


# Heartbeats.


def test_an_older_heartbeat_changes_nothing(shared: User) -> None:
    shared.wait(10)
    shared.beaten("follower", "lobby", timeout_s=60, age_s=11)

    assert shared.record.names["lobby"].beater == "leader"


def test_a_heartbeat_says_too_little_of_a_shorter_timeout_or_newer_state(
    alice: User,
) -> None:
    alice.hold("one", "lobby", "hall")
    alice.hold("two", Wish("lobby", 60), Wish("hall", 300, '"a"'))

    assert alice.beaten("one", "lobby", "hall") == ("lobby", "hall")
    assert alice.beaten("one", "lobby", timeout_s=60) == ()
    assert alice.beaten("one", "hall", versions=(NOW,)) == ()


def test_a_heartbeat_for_a_name_nobody_holds_says_enough(alice: User) -> None:
    alice.hold("one", "lobby")
    alice.release("one", "lobby", linger_s=20)

    assert alice.beaten("one", "lobby", timeout_s=60) == ()
