"""Which timetokens are surely behind us: service time told by loop time. Pure.

A here-now answer carries no time, events carry only the service's. An event received
at a loop time was published before that, so the earliest that the service's clock can
show is known; the quickest event of the last minute or two tells it best.
"""

from __future__ import annotations

import math

from ...protocol.timetoken import TIMETOKENS_PER_S

__all__ = ["TIMETOKENS_PER_S", "ServiceClock"]


_WINDOW_S = 60.0
_GOOD_FOR_S = 600.0
"""Two clocks drift apart by less than 0.3 s in this time."""


class ServiceClock:
    """The least that the service's clock shows at a loop time."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, as after a restart of the service with another clock."""
        # Loop time minus publish time, the least of this window and of the last.
        self._least_s = math.inf
        self._least_before_s = math.inf
        self._window_began_s = -math.inf
        self._heard_s = -math.inf

    def note(self, timetoken: int, *, now_s: float) -> None:
        """Learn from an event published at a timetoken and received now."""
        late_s = now_s - timetoken / TIMETOKENS_PER_S
        if now_s - self._window_began_s > _WINDOW_S:
            is_next = now_s - self._heard_s <= _WINDOW_S
            self._least_before_s = self._least_s if is_next else math.inf
            self._least_s, self._window_began_s = late_s, now_s
        elif late_s < self._least_s:
            self._least_s = late_s
        self._heard_s = now_s

    def shown_at(self, loop_s: float) -> int | None:
        """Return a timetoken the service had reached at a loop time.

        The true one may be later, never earlier; ``None`` when no event of the last
        ten minutes tells.
        """
        least_s = min(self._least_s, self._least_before_s)
        if least_s == math.inf or loop_s - self._heard_s > _GOOD_FOR_S:
            return None
        return max(0, int((loop_s - least_s) * TIMETOKENS_PER_S))
