"""How often a room is so large that its changes are not announced one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from .situation import Situation

__all__ = ["Crowd", "crowd_of"]

_STEPS = 100
_DAY_S = 86_400.0


class Crowd(NamedTuple):
    """The occupancy of one room, through the part of the day when users come.

    Attributes:
        mean: The number of users, on average.
        single_joins: The share of joins that are announced one by one.
        single_leaves: The share of leaves and timeouts that are.
        large: The share of the time in which the room is above ``announce_max``.
    """

    mean: float
    single_joins: float
    single_leaves: float
    large: float


def crowd_of(situation: Situation) -> Crowd:
    """Return the occupancy of a room whose users come and go on their own.

    Each is there with some probability, so their number is binomial. Over 24 hours the
    probability is always the same. In a shorter day, of which each session has its
    equal part, users come in the first hours and go in the last: it rises and falls.
    """
    members = max(1, round(situation.users * situation.channels / situation.rooms))
    most = situation.announce_max
    part_s = situation.window_s / situation.sessions
    stay_s = situation.present_s

    def single_joins(share: float) -> float:
        return _at_most(most - 1, members - 1, share)

    def single_leaves(share: float) -> float:
        return _at_most(most, members - 1, share)

    def large(share: float) -> float:
        return 1 - _at_most(most, members, share)

    if situation.window_s >= _DAY_S:
        share = stay_s / part_s
        joins, leaves = single_joins(share), single_leaves(share)
        return Crowd(members * share, joins, leaves, large(share))
    # Who comes at a random time of the first hours, and stays, is there at a time ...
    coming_s = max(part_s - stay_s, part_s / 1e6)

    def share_at(time_s: float) -> float:
        latest_s, earliest_s = min(time_s, coming_s), max(time_s - stay_s, 0.0)
        return max(0.0, latest_s - earliest_s) / coming_s

    # ... and those who go meet as many as those who come: the day is symmetric.
    return Crowd(
        members * stay_s / part_s,
        _mean(lambda time_s: single_joins(share_at(time_s)), coming_s),
        _mean(lambda time_s: single_leaves(share_at(time_s)), coming_s),
        _mean(lambda time_s: large(share_at(time_s)), part_s),
    )


def _mean(value: Callable[[float], float], end_s: float) -> float:
    return sum(value(end_s * (n + 0.5) / _STEPS) for n in range(_STEPS)) / _STEPS


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
