"""How many subscribe requests it takes to hear of so many events."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Polls", "polls"]

_LEAST_GAP_S = 0.04
"""As in ``client/feed/pace.py``: at most 25 polls a second."""

_LARGEST_POWER = 700.0


class Polls(NamedTuple):
    """The requests of one poll that goes on and on.

    Attributes:
        with_news: Polls that are answered with events.
        quiet: Polls that the service ends without any; and as many handshakes, which
            ask after each whether events are lost.
    """

    with_news: float
    quiet: float


def polls(
    per_s: float, seconds: float, idle_poll_s: float, *, alone: float = 1.0
) -> Polls:
    """Return what a poll takes that is answered at random times.

    Args:
        per_s: At how many different times in a second something happens, on average.
        seconds: For how long it goes on.
        idle_poll_s: After how many seconds the service ends an idle poll.
        alone: The share of these times that do not come right after another one.
    """
    if per_s <= 0:
        return Polls(0.0, 2 * seconds / idle_poll_s)
    power = per_s * alone * idle_poll_s
    per_poll = math.expm1(power) if power < _LARGEST_POWER else math.inf
    idle = seconds * per_s * alone / per_poll
    return Polls(seconds / _cycle_s(per_s), 2 * idle)


def _cycle_s(per_s: float) -> float:
    """Return the mean time from one answer to the next.

    Events that come within 0.04 s of the last poll wait for the next one, together.
    """
    missed = math.exp(-per_s * _LEAST_GAP_S)
    after_wait = 1 - missed * (1 + per_s * _LEAST_GAP_S)
    waiting = after_wait / (missed + after_wait)
    fresh_s = _LEAST_GAP_S + missed / per_s
    return waiting * _LEAST_GAP_S + (1 - waiting) * fresh_s
