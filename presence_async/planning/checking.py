"""How often a roster or a live count asks here now: its schedule, played in advance."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from functools import cache
from itertools import count

from ..roster.schedule import SnapshotSchedule

__all__ = ["calm_checks", "checks_per_s_in_large_room"]

_HOUR_S = 3600.0
_RAMP_S = 2 * _HOUR_S
_CALM_S = 300 * _HOUR_S
_CHANGES = 500
_MOST_PER_S = 5.0
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_ROOT = math.sqrt(2)
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
        changes_per_s: Joins, leaves and timeouts on the channel, in a second; above 0.
        interval_s: Seconds between interval events.
        has_deltas: Whether interval events list users.
    """
    changes = _changes(min(changes_per_s, _MOST_PER_S))
    change_s, is_join = next(changes)
    schedule = _schedule()
    asked = seen = 0
    # Since the last answer or interval event, and since the last interval event.
    net = unknown = joins = 0
    tick_s, now_s = math.inf, 0.0
    while seen < _CHANGES or now_s < _HOUR_S:
        now_s = min(schedule.due_s, tick_s, change_s)
        if now_s == change_s:
            net, unknown, joins = net + 2 * is_join - 1, unknown + 1, joins + is_join
            tick_s = min(tick_s, now_s + interval_s - now_s % interval_s)
            change_s, is_join = next(changes)
            seen += 1
        elif now_s == tick_s:
            if joins if has_deltas else net:
                schedule.ask_soon(now_s=now_s)
            tick_s, joins, unknown = math.inf, 0, 0 if has_deltas else unknown
        else:
            _ask(schedule, unknown)
            asked += 1
            net = unknown = 0
    return asked / now_s


def _changes(per_s: float) -> Iterator[tuple[float, bool]]:
    """Yield the times of changes, and whether each is a join.

    Multiples of irrational numbers spread evenly, so few changes show what many would.
    """
    now_s = 0.0
    for n in count(1):
        now_s -= math.log(1 - n * _GOLDEN_RATIO % 1) / per_s
        yield now_s, n * _ROOT % 1 < 0.5  # noqa: PLR2004  # as many as leave


def _schedule() -> SnapshotSchedule:
    schedule = SnapshotSchedule(random.Random(_SAME_EACH_TIME))  # noqa: S311  # guards nothing
    schedule.begin(now_s=0.0)
    return schedule


def _ask(schedule: SnapshotSchedule, found: int) -> None:
    now_s = schedule.due_s
    schedule.sent(now_s=now_s)
    schedule.answered(sent_s=now_s, found=found, now_s=now_s)
