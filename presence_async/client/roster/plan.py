"""When a roster asks here now: pure arithmetic, every method takes ``now_s``.

Soon when something casts doubt on the list; often for a while after any sign of
trouble, since an event may be lost without a trace; more and more seldom the longer
all goes well, since each question costs. Never closer together than some seconds, and
spread at random, since what troubles one roster troubles all.
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
"""Seconds between two questions while there was trouble lately, at most."""

WARY_S = 120.0
"""How long that is after the last sign of trouble, or after the beginning."""

LONGEST_CHECK_S = 300.0
"""Seconds between two questions when all has gone well for an hour, at most.

In between they grow with the time for which it has; twelve questions an hour remain.
"""

RECONCILE_PERIOD_S = CHECK_S + SETTLE_S
"""So soon after the end of a trouble that shows itself the roster is right, in seconds.

It shows itself by an event with an occupancy that does not fit or out of order, by a
gap, by a poll that fails. An event lost without any such sign, and with none after it
on its channel, is found by the next regular question: after these 15 s in the first two
minutes, after ``LONGEST_CHECK_S + SETTLE_S`` at worst. Where several pages are needed,
``SETTLE_S`` later. A refusal that ends by itself, without a new token, is noticed up
to half a minute after its end.
"""

MIN_GAP_S = 3.0
"""Seconds between two questions, at least."""

_SPREAD_S = 3.0
_SUSPICION_SPREAD_S = 1.0
_LARGEST_RETRY_S = CHECK_S - MIN_GAP_S
_LEAST_RETRY_S = 1.0
_LARGEST_EXPONENT = 3
_REFUSED_S = 30.0


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
        self._troubled_s = -math.inf

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
        self._doubted_s = self._troubled_s = self._due_s = now_s

    def note_trouble(self, *, now_s: float) -> None:
        """Something goes wrong, so events may be missing: ask often for a while."""
        self._troubled_s = now_s
        self._due_s = min(self._due_s, now_s + self._jittered_s(CHECK_S))

    def ask_soon(self, *, now_s: float) -> None:
        """Ask before the regular time, and often for a while."""
        self._troubled_s = now_s
        earliest_s = max(now_s, self._sent_s + MIN_GAP_S)
        soon_s = earliest_s + self._random.uniform(0, _SPREAD_S)
        self._due_s = min(self._due_s, soon_s)

    def doubt(self, *, now_s: float) -> None:
        """Events may be missing up to now: ask soon, and until that is settled."""
        self._doubted_s = now_s
        self.ask_soon(now_s=now_s)

    def suspect(self, *, now_s: float) -> None:
        """What an event says does not fit the list."""
        if self._suspected_s < math.inf:
            return
        self._suspected_s = now_s
        if not self._false_alarms:
            self.note_trouble(now_s=now_s)
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
            self._troubled_s, self._false_alarms = now_s, 0
        elif self._is_on_suspicion:
            self._false_alarms = min(self._false_alarms + 1, _LARGEST_EXPONENT)
        if sent_s >= self._doubted_s + SETTLE_S:
            self._doubted_s = math.inf
        if self._doubted_s < math.inf:
            next_s = max(self._doubted_s + SETTLE_S, self._sent_s + MIN_GAP_S)
        else:
            next_s = self._sent_s + self._jittered_s(self._period_s(now_s))
        self._due_s = min(self._due_s, next_s)

    def ask_again(self) -> None:
        """Ask again once what the last answer left open can be settled."""
        self._due_s = min(self._due_s, self._sent_s + SETTLE_S)

    def failed(self, *, now_s: float, is_refused: bool = False) -> None:
        """Note that a question found no answer.

        Waiting for the answer counts as waiting, so that one that hangs is repeated
        soon. One that is refused again and again is repeated twice a minute.
        """
        self._troubled_s = now_s
        self._failures = min(self._failures + 1, _LARGEST_EXPONENT)
        if is_refused and self._failures == _LARGEST_EXPONENT:
            self._due_s = now_s + self._jittered_s(_REFUSED_S)
            return
        wait_s = self._random.uniform(0, min(_LARGEST_RETRY_S, 2.0**self._failures))
        at_once_s = now_s + self._random.uniform(0, _LEAST_RETRY_S)
        self._due_s = max(at_once_s, self._sent_s + MIN_GAP_S + wait_s)

    def _period_s(self, now_s: float) -> float:
        calm_s = now_s - self._troubled_s
        return min(max(CHECK_S, CHECK_S * calm_s / WARY_S), LONGEST_CHECK_S)

    def _jittered_s(self, period_s: float) -> float:
        return period_s * self._random.uniform(0.8, 1)
