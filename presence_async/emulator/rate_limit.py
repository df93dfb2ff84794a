"""A limit on the rate of requests. Pure."""

from __future__ import annotations

import math

__all__ = ["RateLimit"]


class RateLimit:
    """A bucket that holds the requests of one second and fills evenly.

    Args:
        per_s: Requests a second; ``None``: no limit.
    """

    def __init__(self, per_s: float | None) -> None:
        self._per_s = per_s
        self._free = self._most = max(1.0, per_s or 1.0)
        self._filled_at_s = -math.inf

    def wait_s(self, now_s: float) -> int:
        """Count one request; return 0 if it passes, else the whole seconds to wait."""
        if self._per_s is None:
            return 0
        filled = (now_s - self._filled_at_s) * self._per_s
        self._free = min(self._most, self._free + filled)
        self._filled_at_s = now_s
        if self._free >= 1:
            self._free -= 1
            return 0
        return math.ceil((1 - self._free) / self._per_s)
