"""When a roster asks for its next snapshot; every method takes ``now_s``.

Soon when something casts doubt on the list; often for a while after any sign of
trouble, since an event may be lost without a trace; less and less often the longer all
goes well, since each snapshot costs a request. Never within ``MIN_GAP_S`` of the last
one, and spread at random, since what troubles one roster troubles all.
"""

from __future__ import annotations

import math
import random

__all__ = ["RECONCILE_PERIOD_S", "SETTLE_S", "SnapshotSchedule"]

SETTLE_S = 5.0
"""A snapshot shows everything that happened this long before it was asked for.

The service documents a cache of 3 s; 2 s are for replicas that lag.
"""

CHECK_S = 10.0
"""Seconds between two snapshots while there has been trouble lately, at most."""

WARY_S = 120.0
"""How long "lately" is after the last sign of trouble, or after the beginning."""

LONGEST_CHECK_S = 300.0
"""Seconds between two snapshots when all has gone well for an hour, at most.

In between they grow with the time for which it has; 12 snapshots an hour remain.
"""

RECONCILE_PERIOD_S = CHECK_S + SETTLE_S
"""Seconds after the end of a detectable fault within which a roster is correct again.

Detectable by an event whose occupancy does not fit or that is out of order, by a gap,
or by a poll that fails. An event that is lost without any such sign, and without
another one after it on its channel, is found by the next regular snapshot: after these
15 s in the first two minutes, after ``LONGEST_CHECK_S + SETTLE_S`` at worst. Where a
snapshot takes several pages, ``SETTLE_S`` later. A refusal that ends by itself, without
a new token, is noticed within half a minute.
"""

MIN_GAP_S = 3.0
"""Seconds between two snapshots, at least."""

_SPREAD_S = 3.0
_SUSPICION_SPREAD_S = 1.0
_LARGEST_RETRY_S = CHECK_S - MIN_GAP_S
_LEAST_RETRY_S = 1.0
_LARGEST_EXPONENT = 3
_REFUSED_S = 30.0


class SnapshotSchedule:
    """Decides when the next snapshot is due, and whether the list is beyond doubt.

    *Doubt* means that events are known to be missing; a snapshot that was asked for
    ``SETTLE_S`` later ends it. *Suspicion* means that the occupancy of an event does
    not fit. Events out of order cause it, too, so it becomes doubt only if it lasts.

    Args:
        rng: The source of jitter.
    """

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self._due_s = math.inf
        self._sent_s = -math.inf
        # When events were last known to be missing; inf: none are.
        self._doubted_s = math.inf
        # Since when the occupancy has not fitted, and when to ask about it.
        self._suspected_s = math.inf
        self._suspicion_due_s = math.inf
        # Whether the snapshot under way was asked for because of a suspicion.
        self._is_on_suspicion = False
        # Suspicions in a row for which a snapshot found nothing wrong.
        self._false_alarms = 0
        self._failures = 0
        self._troubled_s = -math.inf

    @property
    def due_s(self) -> float:
        """When the next snapshot is due, in loop time."""
        return min(self._due_s, max(self._suspicion_due_s, self._sent_s + MIN_GAP_S))

    @property
    def is_trusted(self) -> bool:
        """True if a snapshot has confirmed the list and nothing contradicts it."""
        return self._doubted_s == self._suspected_s == math.inf

    def begin(self, *, now_s: float) -> None:
        """Begin without any knowledge; the first snapshot is due at once."""
        self._doubted_s = self._troubled_s = self._due_s = now_s

    # Signs of trouble.

    def record_trouble(self, *, now_s: float) -> None:
        """Ask often for a while, as events may be missing."""
        self._troubled_s = now_s
        self._due_s = min(self._due_s, now_s + self._jittered_s(CHECK_S))

    def ask_soon(self, *, now_s: float) -> None:
        """Ask before the regular time, and often for a while."""
        self._troubled_s = now_s
        earliest_s = max(now_s, self._sent_s + MIN_GAP_S)
        soon_s = earliest_s + self._random.uniform(0, _SPREAD_S)
        self._due_s = min(self._due_s, soon_s)

    def doubt(self, *, now_s: float) -> None:
        """Ask soon, as events are missing, until a later snapshot settles it."""
        self._doubted_s = now_s
        self.ask_soon(now_s=now_s)

    def suspect(self, *, now_s: float) -> None:
        """Ask in a while unless the occupancy, which does not fit now, fits again."""
        if self._suspected_s < math.inf:
            return
        self._suspected_s = now_s
        if not self._false_alarms:
            self.record_trouble(now_s=now_s)
        patience_s = SETTLE_S * 2**self._false_alarms
        spread_s = self._random.uniform(0, _SUSPICION_SPREAD_S)
        self._suspicion_due_s = now_s + patience_s + spread_s

    def trust(self) -> None:
        """End a suspicion, as the occupancy of the newest event fits."""
        self._suspected_s = self._suspicion_due_s = math.inf

    # Snapshots.

    def sent(self, *, now_s: float) -> None:
        """Record that a snapshot is being asked for.

        A suspicion that has lasted until now becomes doubt, since when it began.
        """
        self._sent_s, self._due_s = now_s, math.inf
        self._is_on_suspicion = self._suspicion_due_s <= now_s
        if self._is_on_suspicion:
            if self._doubted_s == math.inf:
                self._doubted_s = self._suspected_s
            self.trust()

    def answered(self, *, sent_s: float, found: int, now_s: float) -> None:
        """Record a snapshot.

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
        """Ask again when a second snapshot can settle what the last one left open."""
        self._due_s = min(self._due_s, self._sent_s + SETTLE_S)

    def failed(self, *, now_s: float, is_refused: bool = False) -> None:
        """Record that no snapshot could be had.

        Waiting for an answer counts as waiting, so a request that hung is repeated
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
