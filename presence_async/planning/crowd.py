"""How full a room is, and how its changes are told, through the day."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from .situation import Situation

__all__ = ["Crowd", "Slice", "crowd_of"]

_SLICES = 50
_DAY_S = 86_400.0


class Slice(NamedTuple):
    """A part of the day in which nearly the same is going on.

    Attributes:
        weight: Its share of the time in which users come and go.
        here: The share of the users who are there.
        coming: How frequent joins are, of the day's average.
        going: How frequent leaves are, of the day's average.
        single_joins: The share of joins that are announced one by one.
        single_leaves: The share of leaves and timeouts that are.
        large: How probable it is that the room is above ``announce_max``.
    """

    weight: float
    here: float
    coming: float
    going: float
    single_joins: float = 1.0
    single_leaves: float = 1.0
    large: float = 0.0


class Crowd(NamedTuple):
    """The occupancy of one room.

    Attributes:
        slices: The time in which users come and go.
        mean: The number of users then, on average.
        here: The share of a room's users who are there then, on average.
        large: The share of that time in which the room is above ``announce_max``.
    """

    slices: tuple[Slice, ...]
    mean: float
    here: float
    large: float


def crowd_of(situation: Situation) -> Crowd:
    """Return the occupancy of a room whose users come and go on their own.

    Each is there with some probability, so their number is binomial.
    """
    members = max(1, round(situation.users * situation.channels / situation.rooms))
    slices = tuple([
        _announced(each, members, situation.announce_max) for each in _day(situation)
    ])
    here = math.fsum(each.weight * each.here for each in slices)
    large = math.fsum(each.weight * each.large for each in slices)
    return Crowd(slices, members * here, here, large)


def _day(situation: Situation) -> Iterator[Slice]:
    """Yield the parts of a day.

    Over 24 hours it is always the same. In a shorter day, of which each session has its
    equal part, users come at random times of the first hours and go in the last, so the
    room fills and empties.
    """
    part_s = situation.window_s / situation.sessions
    stay_s = situation.present_s
    if situation.window_s >= _DAY_S:
        yield Slice(1.0, stay_s / part_s, 1.0, 1.0)
        return
    coming_s = max(part_s - stay_s, part_s / 1e6)
    bounds_s = [0.0, *sorted([coming_s, part_s - coming_s]), part_s]
    for begin_s, end_s in pairwise(bounds_s):
        for n in range(_SLICES):
            at_s = begin_s + (end_s - begin_s) * (n + 0.5) / _SLICES
            came_s = min(at_s, coming_s) - max(at_s - (part_s - coming_s), 0.0)
            yield Slice(
                weight=(end_s - begin_s) / _SLICES / part_s,
                here=min(1.0, max(0.0, came_s / coming_s)),
                coming=part_s / coming_s if at_s < coming_s else 0.0,
                going=part_s / coming_s if at_s > part_s - coming_s else 0.0,
            )


def _announced(day: Slice, members: int, most: int) -> Slice:
    return day._replace(
        single_joins=_at_most(most - 1, members - 1, day.here),
        single_leaves=_at_most(most, members - 1, day.here),
        large=1 - _at_most(most, members, day.here),
    )


@cache
def _at_most(most: int, users: int, share: float) -> float:
    """Return how probable it is that no more than so many of the users are there."""
    if most >= users:
        return 1.0
    if most < 0 or share >= 1:
        return 0.0
    if share <= 0:
        return 1.0
    logarithms = [
        math.lgamma(users + 1)
        - math.lgamma(k + 1)
        - math.lgamma(users - k + 1)
        + k * math.log(share)
        + (users - k) * math.log1p(-share)
        for k in range(most + 1)
    ]
    return min(1.0, math.fsum(map(math.exp, logarithms)))
