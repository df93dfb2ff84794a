"""What an observer asks: polls for events, and here now to be sure."""

from __future__ import annotations

import math
from typing import NamedTuple

from ..protocol.here_now import MAX_LIMIT
from .checking import calm_checks, checks_per_s_in_large_room
from .happening import Happening
from .polling import polls
from .situation import Situation

__all__ = ["Watching", "watching"]

_DAY_S = 86_400.0
_WHOLE_DAY_H = 24.0
_LEAST = 1e-3


class Watching(NamedTuple):
    """The requests of one observer in a number of days.

    Attributes:
        here_nows: Pages of here now.
        subscribes: Handshakes and polls.
        quiet_subscribes: Those that bring no event.
    """

    here_nows: float
    subscribes: float
    quiet_subscribes: float


def watching(s: Situation, happening: Happening, days: float) -> Watching:
    """Return what one observer asks; who watches for 24 hours a day enters once."""
    entered = 1.0 if s.observer_hours == _WHOLE_DAY_H else days
    day_s = s.observer_hours / _WHOLE_DAY_H * _DAY_S
    news = 0.0
    # Entering each takes a handshake and another poll.
    quiet = 2 * entered * (1 if s.view == "stream" else s.watched)
    share = min(1.0, day_s / s.window_s)
    for seconds, per_s in happening.moments():
        asked = polls(per_s, share * seconds, s.idle_poll_s, alone=happening.alone)
        news += days * asked.with_news
        quiet += days * asked.quiet
    night_s = day_s - share * s.window_s
    quiet += days * polls(0.0, night_s, s.idle_poll_s).quiet
    here_nows = _here_nows(s, happening, entered, days * day_s, days)
    return Watching(here_nows, news + quiet, quiet)


def _here_nows(
    s: Situation, happening: Happening, entered: float, watched_s: float, days: float
) -> float:
    if s.view == "stream":
        return 0.0
    if s.view == "count":
        return s.watched * entered * calm_checks(watched_s / entered)
    large = happening.crowd.large
    large_s = min(watched_s, s.window_s * days) * large
    asked = large_s * _checks_per_s(s, happening) if large_s else 0.0
    calm_s = watched_s - large_s
    if calm_s > 0:
        # Each time that a room has been large the roster is wary again.
        times = max(entered, days if large_s else 0.0)
        asked += times * calm_checks(calm_s / times)
    pages = max(1, math.ceil(happening.crowd.mean / MAX_LIMIT))
    return s.watched * asked * pages


def _checks_per_s(s: Situation, happening: Happening) -> float:
    """Return how often a roster asks while its room is large."""
    in_room = max(happening.unannounced() / s.rooms, _LEAST)
    return checks_per_s_in_large_room(
        in_room / (s.window_s * happening.crowd.large),
        s.interval_s,
        has_deltas=s.presence_deltas,
    )
