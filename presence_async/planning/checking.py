"""How often a roster or a live count asks here now: its schedule, played in advance."""

from __future__ import annotations

import math
import random
from functools import cache

from ..roster.schedule import SnapshotSchedule

__all__ = ["calm_checks", "checks_per_s_in_large_room"]

_HOUR_S = 3600.0
_RAMP_S = 2 * _HOUR_S
_CALM_S = 300 * _HOUR_S
_LARGE_S = 6 * _HOUR_S
_SAME_EACH_TIME = 1


def calm_checks(seconds: float) -> float:
    """Return how often here now is asked while nothing is wrong.

    Args:
        seconds: Since it was entered, or since the last sign of trouble.
    """
    if seconds <= _RAMP_S:
        return _calm_until(seconds)
    ramp = _calm_until(_RAMP_S)
    per_s = (_calm_until(_CALM_S) - ramp) / (_CALM_S - _RAMP_S)
    return ramp + (seconds - _RAMP_S) * per_s


@cache
def _calm_until(end_s: float) -> float:
    schedule = _schedule()
    asked = 0
    while schedule.due_s < end_s:
        _ask(schedule, 0)
        asked += 1
    return asked


@cache
def checks_per_s_in_large_room(
    changes_per_s: float, interval_s: float, *, has_deltas: bool
) -> float:
    """Return how often a roster asks where interval events replace single ones.

    It asks soon after an interval event whose number differs from its list, or that
    lists joins; and often after an answer that brings what no event has told yet.

    Args:
        changes_per_s: Joins, leaves and timeouts on the channel, in a second.
        interval_s: Seconds between interval events.
        has_deltas: Whether interval events list users.
    """
    rng = random.Random(_SAME_EACH_TIME)  # noqa: S311  # guards nothing
    schedule = _schedule()
    asked, tick_s = 0, interval_s
    change_s = _next(rng, changes_per_s, 0.0)
    # Since the last answer or interval event, and since the last interval event.
    net = unknown = joins = 0
    while (now_s := min(schedule.due_s, tick_s, change_s)) < _LARGE_S:
        if now_s == change_s:
            is_join = rng.random() < 0.5  # noqa: PLR2004  # as many as leave
            net, unknown, joins = net + 2 * is_join - 1, unknown + 1, joins + is_join
            change_s = _next(rng, changes_per_s, now_s)
        elif now_s == tick_s:
            if joins if has_deltas else net:
                schedule.ask_soon(now_s=now_s)
            tick_s += interval_s
            joins = 0
            if has_deltas:
                unknown = 0
        else:
            _ask(schedule, unknown)
            asked += 1
            net = unknown = 0
    return asked / _LARGE_S


def _schedule() -> SnapshotSchedule:
    schedule = SnapshotSchedule(random.Random(_SAME_EACH_TIME))  # noqa: S311  # guards nothing
    schedule.begin(now_s=0.0)
    return schedule


def _ask(schedule: SnapshotSchedule, found: int) -> None:
    now_s = schedule.due_s
    schedule.sent(now_s=now_s)
    schedule.answered(sent_s=now_s, found=found, now_s=now_s)


def _next(rng: random.Random, per_s: float, now_s: float) -> float:
    return now_s + rng.expovariate(per_s) if per_s > 0 else math.inf
