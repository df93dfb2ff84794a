"""PollPace: how long a poll waits before it goes on; pure, no clock and no task."""

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
_AT_ONCE_S: Final = 1.0
_LASTING_S: Final = 10.0
_LEAST_GAP_S: Final = 0.04
"""The service documents that it may throttle more than 25 requests in a second."""

_MANY_MESSAGES: Final = 50
"""Half of what the service keeps for a poller; then there is no time to lose."""


class PollPace:
    """The pauses of one poll, with full jitter and without an end.

    The longest, 15 s, comes where the service asks for it by ``Retry-After``; without,
    it is 5 s.
    """

    def __init__(self) -> None:
        self._random = random.Random()  # noqa: S311  # spreads load, guards nothing
        self._pause_s = 0.0
        self._failures = 0
        self._empty = 0

    def take_pause_s(self) -> float:
        """Return how long to wait now; the next time it is nothing."""
        pause_s, self._pause_s = self._pause_s, 0.0
        return pause_s

    def failed(self, error: RequestError, lasted_s: float) -> None:
        """Note a request that may fare better soon.

        Args:
            error: What it ran into.
            lasted_s: How long it had gone well; if long, this is a new trouble.
        """
        self._failures = 1 if lasted_s > _LASTING_S else self._failures + 1
        self._pause_s = self._jittered_s(self._failures)
        if isinstance(error, ServiceError) and error.retry_after_s is not None:
            self._pause_s += min(error.retry_after_s, _LONGEST_RETRY_AFTER_S)

    def refused(self) -> None:
        """Note a request that will be refused again until somebody does something."""
        self._pause_s = _REFUSED_S * self._random.uniform(0.8, 1)

    def answered(self, took_s: float, messages: int, *, has_news: bool) -> None:
        """Note an answer.

        Where events come one after the other, several are fetched by one poll; where
        the service answers at once with nothing new, there are longer waits.

        Args:
            took_s: Seconds from the request to the answer.
            messages: How many it brought.
            has_news: Whether anybody had not heard one of them yet.
        """
        self._failures = 0
        if has_news or took_s >= _AT_ONCE_S:
            self._empty = 0
            if messages < _MANY_MESSAGES:
                self._pause_s = max(0.0, _LEAST_GAP_S - took_s)
            return
        self._empty += 1
        self._pause_s = self._jittered_s(self._empty)

    def _jittered_s(self, times: int) -> float:
        return _PAUSES.delay_s(times, self._random) or 0.0
