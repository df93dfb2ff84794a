"""Polls, checks, situations and prices, each by itself."""

from __future__ import annotations

import random
from typing import Any

import pytest

from presence_async import InvalidArgumentError
from presence_async.planning.checking import calm_checks, checks_per_s_in_large_room
from presence_async.planning.levers import levers
from presence_async.planning.polling import polls
from presence_async.planning.situation import Situation
from presence_async.planning.transactions import Prices, Transactions, transactions
from presence_async.planning.usage import usage_of

# Polls.


def played(per_s: float, seconds: float, idle_poll_s: float) -> tuple[int, int]:
    """Answer polls at random times; return those with events, and the idle ends."""
    rng = random.Random(1)  # noqa: S311  # repeatable
    now_s = event_s = 0.0
    with_news = idle = 0
    while now_s < seconds:
        if event_s <= now_s:
            # Everything until now comes at once, then the poll pauses.
            with_news += 1
            while event_s <= now_s:
                event_s += rng.expovariate(per_s)
            now_s += 0.04
        elif event_s - now_s > idle_poll_s:
            now_s, idle = now_s + idle_poll_s, idle + 1
        else:
            now_s, waited_s = event_s, event_s - now_s
            with_news += 1
            event_s += rng.expovariate(per_s)
            now_s += max(0.0, 0.04 - waited_s)
    return with_news, idle


@pytest.mark.parametrize("per_s", [0.001, 0.02, 3, 25, 200])
def test_polls_are_those_of_random_events(per_s: float) -> None:
    seconds = 20_000 / min(per_s, 25)

    with_news, idle = played(per_s, seconds, 280)

    predicted = polls(per_s, seconds, 280)
    assert predicted.with_news == pytest.approx(with_news, rel=0.02)
    assert predicted.quiet / 2 == pytest.approx(idle, rel=0.02, abs=40)


def test_without_events_each_idle_end_takes_a_poll_and_a_handshake() -> None:
    assert polls(0.0, 2800, 280) == (0.0, 20)


# Checks.


def test_a_calm_roster_asks_as_documented() -> None:
    first, later = calm_checks(3600), calm_checks(7200) - calm_checks(3600)

    assert first == pytest.approx(60, abs=3)
    assert later == pytest.approx(13.4, abs=1)
    assert calm_checks(3600 * 50) == pytest.approx(first + 49 * 13.33, rel=0.01)


def test_a_roster_asks_more_often_the_more_changes_no_event_tells() -> None:
    asked = [
        checks_per_s_in_large_room(per_s, 10, has_deltas=False)
        for per_s in (1e-4, 1e-2, 1, 1000)
    ]

    assert asked == sorted(asked)
    # The README: one about every 7 to 10 s.
    assert 1 / 10 < asked[-1] < 1 / 7


def test_a_roster_of_a_large_room_asks_as_often_as_was_counted() -> None:
    day_s = 86_400

    asked = checks_per_s_in_large_room(480 / day_s, 10, has_deltas=False)

    # Counted in a week by benchmarks/plan.py, of 240 joins and 240 leaves a day.
    assert asked * 7 * day_s == pytest.approx(51_657, rel=0.01)


# Levers.


def test_the_levers_are_the_largest_ones_with_their_effect() -> None:
    situation = Situation(
        users=5000, hours=4, presence_timeout_s=120, observers=2, reloads=10, rooms=500
    )
    usage = usage_of(situation)

    found = levers(situation, usage)

    assert [lever.change for lever in found] == [
        "presence_timeout_s=300 instead of 120",
        "linger_s=5 instead of 0",
    ]
    # An interval of 149 s instead of 59, and the 11 heartbeats that join stay.
    assert found[0].effect == "58% fewer heartbeats"
    assert found[1].saved > 5000 * 10 * 30 * 2


def test_levers_show_one_value_of_each_setting_and_none_without_effect() -> None:
    situation = Situation(users=44, hours=12, announce_max=0, observers=1)

    found = levers(situation, usage_of(situation), most=10)

    names = [lever.change.split("=")[0] for lever in found]
    # 22 users are there on average, so that 20 would help less.
    assert found[0].change == "announce_max=100 instead of 0"
    assert len(names) == len(set(names))
    assert all(lever.saved > 0 for lever in found)


def test_levers_follow_prices() -> None:
    situation = Situation(users=1000, presence_timeout_s=60, observers=1)

    found = levers(situation, usage_of(situation), worth=lambda x: x.replicated)

    assert [lever.change for lever in found] == ["interval_s=30 instead of 10"]


def test_a_heartbeat_interval_of_ones_own_is_a_lever() -> None:
    situation = Situation(heartbeat_interval_s=20)

    (first, *_) = levers(situation, usage_of(situation))

    assert first.change == "heartbeat_interval_s=149 instead of 20"


# Prices.


def test_what_is_published_is_replicated_and_the_rest_is_edge() -> None:
    situation = Situation(
        users=10, hours=1, state_changes=2, observers=1, view="stream"
    )
    usage = usage_of(situation, days=1)

    metered = transactions(usage)

    # 10 joins, 10 leaves, 20 state changes, and the 20 requests that set a state.
    assert metered.replicated == pytest.approx(60)
    plain = usage.requests["heartbeat"] + usage.requests["leave"]
    assert metered.edge == pytest.approx(plain + 40 + usage.quiet_subscribes)


def test_a_cost_is_the_sum_of_its_parts() -> None:
    metered = Transactions(edge=2e6, replicated=3e6)

    assert Prices(edge=1, replicated=2, user=0.5).cost(metered, 10) == 2 + 6 + 5
    assert not Prices().are_given


# Situations.


@pytest.mark.parametrize(
    ("fields", "argument"),
    [
        ({"users": 0}, "users"),
        ({"hours": 25}, "hours"),
        ({"hours": 9, "day_hours": 8}, "hours"),
        ({"channels": 3, "rooms": 2}, "channels"),
        ({"watched": 2}, "watched"),
        ({"crashes": 1.5}, "crashes"),
        ({"view": "list"}, "view"),
        ({"announce_max": 101}, "announce_max"),
        ({"heartbeat_interval_s": 300}, "heartbeat_interval_s"),
        ({"presence_timeout_s": 2}, "presence_timeout_s"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as error:
        Situation(**fields)

    assert error.value.argument == argument
