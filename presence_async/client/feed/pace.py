"""PollPace: how long a poll pauses before it goes on; pure, no clock and no task."""

from __future__ import annotations

import math
import random
from typing import Final

from ...errors import RequestError, ServiceError
from ..retry import ExponentialRetry

__all__ = ["PollPace"]

_PAUSES: Final = ExponentialRetry(base_s=0.25, cap_s=5.0, attempts=math.inf)
_LONGEST_RETRY_AFTER_S: Final = 10.0
_REFUSED_S: Final = 30.0
_LONG_WAIT_S: Final = 1.0
"""An answer that took at least this long was waited for, so nothing is hurried."""

_LASTING_S: Final = 10.0
_LEAST_GAP_S: Final = 0.04
"""The service documents that it may throttle more than 25 requests in a second."""

_MANY_MESSAGES: Final = 50
"""Half of what the service keeps for a poller; then there is no time to lose."""


class PollPace:
    """The pauses of one poll, with full jitter and without an end.

    The longest is 5 s, or 15 s where the service asks for it by ``Retry-After``.
    """

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311  # spreads load, guards nothing
        self._pause_s = 0.0
        self._failures = 0
        self._empty = 0

    def take_pause_s(self) -> float:
        """Return how long to pause now; 0 the next time."""
        pause_s, self._pause_s = self._pause_s, 0.0
        return pause_s

    def failed(self, error: RequestError, lasted_s: float) -> None:
        """Record a request that may succeed soon.

        Args:
            error: Its failure.
            lasted_s: Seconds until it failed. If many, it went well for a while, and
                this is the first failure of a new fault.
        """
        self._failures = 1 if lasted_s > _LASTING_S else self._failures + 1
        self._pause_s = self._jittered_s(self._failures)
        if isinstance(error, ServiceError) and error.retry_after_s is not None:
            self._pause_s += min(error.retry_after_s, _LONGEST_RETRY_AFTER_S)

    def refused(self) -> None:
        """Record a request that will be refused until somebody changes something."""
        self._pause_s = _REFUSED_S * self._random.uniform(0.8, 1)

    def answered(self, took_s: float, messages: int, *, has_news: bool) -> None:
        """Record an answer.

        Where events come one after the other, the pause lets one poll fetch several;
        where the service answers at once with nothing new, pauses grow.

        Args:
            took_s: Seconds from the request to the answer.
            messages: How many it brought.
            has_news: True if any of them was new to anybody.
        """
        self._failures = 0
        if has_news or took_s >= _LONG_WAIT_S:
            self._empty = 0
            if messages < _MANY_MESSAGES:
                self._pause_s = max(0.0, _LEAST_GAP_S - took_s)
            return
        self._empty += 1
        self._pause_s = self._jittered_s(self._empty)

    def _jittered_s(self, times: int) -> float:
        return _PAUSES.delay_s(times, self._random) or 0.0
