"""When a roster asks here now: pure arithmetic, every method takes ``now_s``.

Regularly, because an event may be lost without a trace; soon when something casts
doubt on the list; never closer together than some seconds, and spread at random, since
what troubles one roster troubles all.
"""

from __future__ import annotations

import math
import random

__all__ = ["RECONCILE_PERIOD_S", "SETTLE_S", "CheckPlan"]

SETTLE_S = 5.0
"""A here-now answer tells of what was more than so long before it was asked for.

The service documents a cache of 3 s; 2 s are for replicas that lag.
"""

CHECK_S = 10.0
"""Seconds between two regular questions, at most."""

RECONCILE_PERIOD_S = CHECK_S + SETTLE_S
"""Once no more events are lost, the roster is right within so many seconds.

Where several pages are needed, ``SETTLE_S`` later. On a channel that has been silent
for ten minutes the questions come once a minute, and an event lost then costs that.
"""

QUIET_AFTER_S = 600.0
QUIET_CHECK_S = 60.0

MIN_GAP_S = 3.0
"""Seconds between two questions, at least."""

_SPREAD_S = 3.0
_SUSPICION_SPREAD_S = 1.0
_LARGEST_RETRY_S = CHECK_S - MIN_GAP_S
_LARGEST_EXPONENT = 3


class CheckPlan:
    """Decides when the next here-now is due, and whether the list is beyond doubt.

    *Doubt* means that events are known to be missing; an answer asked for ``SETTLE_S``
    after it ends it. *Suspicion* means that an event's occupancy does not fit; it may
    be a matter of order, and becomes doubt only if it lasts.

    Args:
        rng: Where jitter comes from.
    """

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self._due_s = math.inf
        self._sent_s = -math.inf
        self._doubted_s = math.inf
        self._suspected_s = math.inf
        self._suspicion_due_s = math.inf
        self._is_on_suspicion = False
        self._false_alarms = 0
        self._failures = 0
        self._active_s = -math.inf

    @property
    def due_s(self) -> float:
        """When to ask next, in loop time."""
        return min(self._due_s, max(self._suspicion_due_s, self._sent_s + MIN_GAP_S))

    @property
    def is_trusted(self) -> bool:
        """Whether an answer has confirmed the list and nothing speaks against it."""
        return self._doubted_s == self._suspected_s == math.inf

    def begin(self, *, now_s: float) -> None:
        """Nothing is known yet; the first question is due at once."""
        self._doubted_s = self._active_s = self._due_s = now_s

    def note_activity(self, *, now_s: float) -> None:
        """Note that something happens here."""
        self._active_s = now_s

    def ask_soon(self, *, now_s: float) -> None:
        """Ask before the regular time, though nothing is wrong."""
        earliest_s = max(now_s, self._sent_s + MIN_GAP_S)
        soon_s = earliest_s + self._random.uniform(0, _SPREAD_S)
        self._due_s = min(self._due_s, soon_s)

    def doubt(self, *, now_s: float) -> None:
        """Events may be missing up to now: ask soon, and until that is settled."""
        self._doubted_s = self._active_s = now_s
        self.ask_soon(now_s=now_s)

    def suspect(self, *, now_s: float) -> None:
        """What an event says does not fit the list."""
        if self._suspected_s < math.inf:
            return
        self._suspected_s = now_s
        patience_s = SETTLE_S * 2**self._false_alarms
        spread_s = self._random.uniform(0, _SUSPICION_SPREAD_S)
        self._suspicion_due_s = now_s + patience_s + spread_s

    def trust(self) -> None:
        """What the newest event says fits the list after all."""
        self._suspected_s = self._suspicion_due_s = math.inf

    def sent(self, *, now_s: float) -> None:
        """Note that a question goes out; a suspicion that has lasted is doubt now."""
        self._sent_s, self._due_s = now_s, math.inf
        self._is_on_suspicion = self._suspicion_due_s <= now_s
        if self._is_on_suspicion:
            if self._doubted_s == math.inf:
                self._doubted_s = self._suspected_s
            self.trust()

    def answered(self, *, sent_s: float, found: int, now_s: float) -> None:
        """Note an answer.

        Args:
            sent_s: When it was asked for, in loop time; earlier by its age.
            found: How many corrections it brought.
            now_s: Loop time.
        """
        self._failures = 0
        if found:
            self._active_s, self._false_alarms = now_s, 0
        elif self._is_on_suspicion:
            self._false_alarms = min(self._false_alarms + 1, _LARGEST_EXPONENT)
        if sent_s >= self._doubted_s + SETTLE_S:
            self._doubted_s = math.inf
        if self._doubted_s < math.inf:
            next_s = max(self._doubted_s + SETTLE_S, self._sent_s + MIN_GAP_S)
        else:
            next_s = self._sent_s + self._period_s(now_s) * self._random.uniform(0.8, 1)
        self._due_s = min(self._due_s, next_s)

    def ask_again(self) -> None:
        """Ask again once what the last answer left open can be settled."""
        self._due_s = min(self._due_s, self._sent_s + SETTLE_S)

    def failed(self, *, now_s: float) -> None:
        """Note that a question found no answer."""
        self._failures = min(self._failures + 1, _LARGEST_EXPONENT)
        self._sent_s = now_s
        wait_s = self._random.uniform(0, min(_LARGEST_RETRY_S, 2.0**self._failures))
        self._due_s = now_s + MIN_GAP_S + wait_s

    def _period_s(self, now_s: float) -> float:
        is_quiet = now_s - self._active_s > QUIET_AFTER_S
        return QUIET_CHECK_S if is_quiet else CHECK_S
