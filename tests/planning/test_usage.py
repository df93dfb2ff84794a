"""What a plan predicts is what the emulator counts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
import pytest

from presence_async.planning.situation import Situation
from presence_async.planning.usage import Usage, usage_of

from .lived import Counted, lived

TYPICAL = Situation(
    users=18,
    hours=2,
    sessions=2,
    rooms=2,
    watched=2,
    observers=1,
    presence_timeout_s=900,
    state_changes=1,
    crashes=0.1,
    reloads=2,
)


def deviations(
    usage: Usage, counted: Counted, *, few: float = 0
) -> Iterator[tuple[str, float]]:
    """Yield by how much the counts differ from the prediction, of the prediction.

    Args:
        usage: The prediction.
        counted: The counts.
        few: A difference that does not matter, as chance brings it about.
    """
    pairs = {
        "deliveries": (usage.deliveries, counted.deliveries),
        **{
            f"{n} requests": (x, counted.requests[n]) for n, x in usage.requests.items()
        },
        **{f"{n} events": (x, counted.events[n]) for n, x in usage.events.items()},
    }
    assert set(counted.requests) <= set(usage.requests)
    for name, (predicted, got) in pairs.items():
        yield name, max(0.0, abs(got - predicted) - few) / max(1.0, predicted)


@pytest.mark.slow
async def test_a_week_is_predicted_within_a_hundredth() -> None:
    counted = await lived(TYPICAL, days=7, is_alone=True)

    predicted = usage_of(TYPICAL, days=7)
    assert {n: x for n, x in deviations(predicted, counted) if x > 0.01} == {}


async def test_of_a_day_more_is_left_to_chance() -> None:
    situation = attrs.evolve(
        TYPICAL, reloads=4, linger_s=5, channels=2, crashes=0, view="count"
    )

    counted = await lived(situation, days=1, is_alone=True)

    predicted = usage_of(situation, days=1)
    assert {n: x for n, x in deviations(predicted, counted, few=2) if x > 0.02} == {}


# The parts, where they can be known without a simulation.


def test_a_plain_user_costs_a_heartbeat_each_interval() -> None:
    usage = usage_of(Situation(users=1, hours=149 / 36), days=1)

    assert usage.requests == {
        "heartbeat": pytest.approx(1 + 100),
        "leave": 1,
        "set state": 0,
        "here now": 0,
        "subscribe": 0,
    }
    assert usage.events["join"] == usage.events["leave"] == 1


def test_who_crashes_is_there_until_the_timeout_of_the_last_heartbeat() -> None:
    usage = usage_of(Situation(users=240, hours=1, crashes=1, announce_max=100), days=1)

    # The last of the heartbeats, which are 149 s apart, is half of that ago.
    assert usage.occupancy == pytest.approx(240 * (3600 + 300 - 149 / 2) / 86_400)
    assert usage.requests["leave"] == usage.events["leave"] == 0
    assert usage.events["timeout"] == pytest.approx(240)


def test_days_add_up() -> None:
    week, month = usage_of(TYPICAL, days=7), usage_of(TYPICAL, days=28)

    assert month.requests["heartbeat"] == pytest.approx(4 * week.requests["heartbeat"])
    assert month.deliveries == pytest.approx(4 * week.deliveries)


def test_in_a_room_that_fills_at_once_the_first_are_announced_one_by_one() -> None:
    office = Situation(users=100, hours=8, day_hours=8, announce_max=20)

    events = usage_of(office, days=1).events

    # A join leaves at most 20 there, a leave 20, 19, … or nobody.
    assert events["join"] == pytest.approx(20, rel=0.02)
    assert events["leave"] == pytest.approx(21, rel=0.02)
    assert events["interval"] == pytest.approx(2880, rel=0.01)


def test_an_observer_hears_its_share() -> None:
    situation = Situation(
        users=100, hours=1, rooms=10, watched=2, observers=5, observer_hours=12
    )

    usage = usage_of(situation, days=1)

    assert usage.deliveries == pytest.approx(200 * 0.2 * 0.5 * 5)
    assert math.fsum(usage.events.values()) == pytest.approx(200)


def test_a_large_room_takes_a_roster_several_pages() -> None:
    small = Situation(users=2400, hours=10, observers=1, announce_max=0)
    large = Situation(users=2401, hours=10, observers=1, announce_max=0)

    pages = [usage_of(s, days=1).requests["here now"] for s in (small, large)]

    assert pages[1] == pytest.approx(2 * pages[0], rel=0.01)


def test_nobody_is_polled_for_without_observers() -> None:
    usage = usage_of(Situation())

    assert usage.deliveries == usage.requests["subscribe"] == 0
