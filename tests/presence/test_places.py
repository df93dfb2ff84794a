"""Who may be on the wire: so many at once, so many a second, whatever they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from presence_async.errors import DeadlineError

from .direct import Direct, heartbeat, say, state_of

WISHES: dict[str, Callable[[Direct], object]] = {
    "heartbeat": lambda direct: say(direct, heartbeat("a")),
    "state": lambda direct: say(direct, state_of("a", n=1)),
    "join": lambda direct: direct.ask_to_join("u", "a"),
    "leave": lambda direct: direct.engine.leave(
        "u", ("a",), (), params=(), patience=direct.patience(), now_s=direct.now_s
    ),
}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_requests_of_every_kind_keep_to_the_rate(
    wish: Callable[[Direct], object],
) -> None:
    direct = Direct(max_requests_per_s=2)
    direct.ask_to_join("v", "a")
    wish(direct)
    direct.take()

    assert direct.has_nothing
    assert direct.engine.next_s == 1000.5
    direct.now_s = 1000.5
    assert direct.take().user_id == "u"


def test_regular_heartbeats_and_repeats_keep_to_the_rate() -> None:
    direct = Direct(max_requests_per_s=2)
    for number in range(3):
        direct.ask_to_join(f"u{number}", "a", presence_timeout_s=20)
    for _ in range(3):
        direct.acknowledge(direct.take_next())
    direct.engine.slept(1, direct.now_s)
    times_s = []
    for _ in range(3):
        direct.take_next()
        times_s.append(direct.now_s)

    assert [b - times_s[0] for b in times_s] == [0, 0.5, 1]


def test_no_more_are_out_than_allowed() -> None:
    direct = Direct(max_in_flight=2)
    for number in range(3):
        direct.ask_to_join(f"u{number}", "a")
    sent = [direct.take(), direct.take()]
    assert direct.has_nothing
    assert direct.engine.next_s > direct.now_s

    direct.acknowledge(sent[0])

    assert direct.take().user_id == "u2"


def test_users_who_wait_for_a_place_come_in_the_order_they_were_due() -> None:
    direct = Direct(max_in_flight=1)
    for number in range(4):
        direct.ask_to_join(f"u{number}", "a")
        direct.now_s += 1
    users = []
    for _ in range(4):
        send = direct.take()
        users.append(send.user_id)
        assert direct.has_nothing
        direct.now_s += 1
        direct.acknowledge(send)

    assert users == ["u0", "u1", "u2", "u3"]


def test_who_finds_no_place_when_the_time_is_up_is_told_at_once() -> None:
    direct = Direct(max_in_flight=1)
    direct.ask_to_join("v", "a")
    direct.take()
    late = say(direct, heartbeat("a"), patience=direct.patience(0))

    assert direct.has_nothing

    assert isinstance(direct.settled()[late], DeadlineError)
    assert direct.engine.next_s > direct.now_s


def test_a_place_is_given_to_others_while_a_token_is_fetched() -> None:
    direct = Direct(max_in_flight=1)
    direct.ask_to_join("u", "a")
    direct.ask_to_join("v", "a")
    waits = direct.take()
    places = direct.engine.places

    places.park(waits)
    places.park(waits)
    other = direct.take()
    places.unpark(waits)
    places.unpark(waits)
    direct.ask_to_join("w", "a")

    assert direct.has_nothing
    direct.acknowledge(waits)
    assert direct.has_nothing
    direct.acknowledge(other)
    assert direct.take().user_id == "w"


def test_a_request_that_ends_while_it_waits_for_its_token_frees_no_second_place() -> (
    None
):
    direct = Direct(max_in_flight=1)
    direct.ask_to_join("u", "a")
    direct.ask_to_join("v", "a")
    direct.ask_to_join("w", "a")
    waits = direct.take()
    direct.engine.places.park(waits)
    direct.take()

    direct.cut(waits, has_effect=False)

    assert direct.has_nothing


def test_who_comes_back_with_a_token_waits_for_the_rate() -> None:
    direct = Direct(max_requests_per_s=2)
    direct.ask_to_join("u", "a")
    direct.ask_to_join("v", "a")
    waits = direct.take()
    places = direct.engine.places
    assert places.entry_s(waits, direct.now_s) == direct.now_s
    places.park(waits)
    direct.now_s += 0.25

    assert places.entry_s(waits, direct.now_s) == 1000.5
    assert direct.has_nothing
    assert direct.engine.next_s == 1001
    assert places.entry_s(waits, 1001.5) == 1001.5


def test_without_a_rate_nobody_waits() -> None:
    direct = Direct()
    direct.ask_to_join("u", "a")
    send = direct.take()
    direct.engine.places.park(send)

    assert direct.engine.places.entry_s(send, 5.0) == 5.0
