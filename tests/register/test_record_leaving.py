"""The rules for one user, one by one: releases and departures."""

from __future__ import annotations

import math

from presence_async.register.values import (
    NOTHING_OWED,
    Again,
    Released,
    Wish,
)

from .user import ATTEMPT_S, NOW, User

# Releases.


def test_the_last_holder_leaves(alice: User) -> None:
    alice.hold("me", "lobby")

    assert alice.release("me", "lobby") == (
        Released(("lobby",)),
        NOW + 10_000,
    )


def test_nobody_leaves_what_another_holds(shared: User) -> None:
    assert shared.release("leader", "lobby") == (NOTHING_OWED, None)


def test_what_was_said_for_one_that_is_gone_is_said_again(shared: User) -> None:
    shared.hold("third", Wish("lobby", 60))
    shared.beaten("third", "lobby", timeout_s=60)

    owed, _ = shared.release("third", "lobby")

    assert owed.again == (Again("lobby", 300),)


def test_a_linger_puts_the_leave_off(alice: User) -> None:
    alice.hold("me", "lobby")

    assert alice.release("me", "lobby", linger_s=20) == (NOTHING_OWED, NOW + 20_000)
    alice.wait(20)
    assert alice.depart("other")[0].leave == ("lobby",)


def test_a_second_release_does_not_put_the_first_departure_off(alice: User) -> None:
    alice.hold("me", "lobby", "hall")
    alice.release("me", "lobby", linger_s=5)

    assert alice.release("me", "hall", linger_s=20)[1] == NOW + 5_000


def test_the_guard_puts_every_leave_off(alice: User) -> None:
    alice.hold("me", "lobby")

    released = alice.release("me", "lobby", not_before=NOW + 7_000)

    assert released == (NOTHING_OWED, NOW + 7_000)


def test_a_worker_that_is_not_known_is_doubted(alice: User) -> None:
    assert alice.release("me", "lobby", doubt_s=30) == (NOTHING_OWED, NOW + 30_000)


def test_a_worker_that_is_known_is_not_doubted(alice: User) -> None:
    alice.hold("me", "lobby")

    assert alice.release("me", "lobby", doubt_s=30)[0].leave == ("lobby",)


def test_a_release_for_ever_leaves_nothing(alice: User) -> None:
    alice.hold("me", "lobby")

    assert alice.release("me", linger_s=math.inf) == (NOTHING_OWED, None)
    assert alice.record.is_empty


def test_a_release_without_names_is_for_all(alice: User) -> None:
    alice.hold("me", "lobby", "hall")

    assert alice.release("me")[0].leave == ("lobby", "hall")


def test_two_do_not_leave_at_once(alice: User) -> None:
    for worker in ("one", "two"):
        alice.release(worker, "lobby")
    assert alice.release("one", "lobby")[0].leave == ("lobby",)
    assert alice.release("two", "lobby")[0].leave == ()
    alice.wait(ATTEMPT_S)
    assert alice.release("two", "lobby")[0].leave == ("lobby",)


# Departures.


def test_one_worker_takes_a_departure(alice: User) -> None:
    alice.hold("me", "lobby")
    alice.release("me", "lobby", linger_s=20)

    assert alice.depart("one") == (NOTHING_OWED, NOW + 20_000)
    alice.wait(20)
    assert alice.depart("one") == (Released(("lobby",)), NOW + 30_000)
    assert alice.depart("two") == (NOTHING_OWED, NOW + 30_000)


def test_a_departure_that_nobody_acknowledged_is_taken_again(alice: User) -> None:
    alice.hold("me", "lobby")
    alice.release("me", "lobby", linger_s=20)
    alice.wait(20)
    alice.depart("one")

    alice.wait(ATTEMPT_S)

    assert alice.depart("two")[0].leave == ("lobby",)


def test_the_last_worker_does_not_wait(alice: User) -> None:
    alice.hold("me", "lobby")
    alice.release("me", "lobby", linger_s=20)

    assert alice.depart("one", is_last=True)[0].leave == ("lobby",)


def test_an_acknowledged_leave_is_forgotten(alice: User) -> None:
    alice.hold("me", "lobby", "hall")
    alice.release("me", "lobby", linger_s=5)
    alice.release("me", "hall", linger_s=20)
    alice.wait(5)
    alice.depart("one")

    assert alice.departed("lobby") == ((), NOW + 20_000)
    assert list(alice.record.names) == ["hall"]


def test_a_name_held_all_the_same_is_announced_again(shared: User) -> None:
    shared.hold("leader", Wish("lobby", 300, '"a"'))

    again, _ = shared.departed("lobby")

    assert again == (Again("lobby", 300, NOW, '"a"'),)
    assert shared.claim("follower").is_due


def test_leaving_a_group_may_have_ended_any_name(shared: User) -> None:
    assert shared.departed("hall") == ((), None)
    assert [x.name for x in shared.departed(",group")[0]] == ["lobby"]
    shared.hold("leader", ",group")
    assert {x.name for x in shared.departed("hall")[0]} == {"lobby", ",group"}
