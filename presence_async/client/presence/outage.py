"""Whether the service can be reached at all, and who probes it until it can. Pure.

When heartbeats of three users in a row fail, every further one would fail too. So only
one at a time goes out, of the users in turn who are nearest their end, until one
succeeds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from ..lease import LeaseHealth
from .user_presence import UserPresence

__all__ = ["Outage"]

_FAILED_USERS = 3


class Outage:
    """What failed heartbeats in a row come to.

    Attributes:
        is_down: Whether only probes go out.
        probe_at_s: Loop time of the next probe.
    """

    def __init__(self) -> None:
        self.is_down: bool = False
        self.probe_at_s: float = 0.0
        self._failed: set[str] = set()
        self._waiting: deque[UserPresence] = deque()
        self._ends_s: list[float] = []
        self._has_unexpired = True

    def failed(self, user_id: str) -> bool:
        """Note a failed heartbeat; true when it is the one that makes it an outage."""
        self._failed.add(user_id)
        return not self.is_down and len(self._failed) >= _FAILED_USERS

    def begin(self, presences: Iterable[UserPresence], now_s: float) -> None:
        """Let these users probe, the nearest end first."""
        self.is_down = True
        self._waiting = deque(sorted(presences, key=lambda p: p.end_s(now_s)))
        self._ends_s = sorted(
            lease.expires_at_s
            for presence in self._waiting
            for lease in presence.joined
            if lease.health is not LeaseHealth.REFUSED
        )
        self._has_unexpired = True

    def end(self) -> bool:
        """Note a heartbeat that came through; true when an outage is over by it."""
        was_down, self.is_down = self.is_down, False
        self._failed.clear()
        self._waiting.clear()
        self._ends_s = []
        return was_down

    def nearest_end_s(self, after_s: float) -> float:
        """Return when, after a time, the first of those who wait runs out."""
        first = bisect_right(self._ends_s, after_s)
        return self._ends_s[first] if first < len(self._ends_s) else math.inf

    def next_probe(self, now_s: float) -> UserPresence | None:
        """Return whose heartbeat goes out next: users in turn, the lost ones last.

        In turn, since what fails may be one user's own fault. ``None``: nobody is
        left, or the heartbeats of all who are have not come back yet.
        """
        if self._has_unexpired:
            for _ in range(len(self._waiting)):
                presence = self._turn()
                if presence is not None and presence.end_s(now_s) > now_s:
                    return presence
            self._has_unexpired = False
        for _ in range(len(self._waiting)):
            presence = self._turn()
            if presence is not None:
                return presence
        return None

    @property
    def is_forsaken(self) -> bool:
        """Whether everybody who waited is gone."""
        return not self._waiting

    def _turn(self) -> UserPresence | None:
        presence = self._waiting.popleft()
        if not presence.joined:
            return None
        self._waiting.append(presence)
        return None if presence.is_beating else presence
