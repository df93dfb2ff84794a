"""Whether the service can be reached at all, and who probes it until it can.

When heartbeats of three users in a row fail, every further one would fail too. So only
one at a time goes out, by the users in turn, those nearest their end first, until one
succeeds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable

from .user import UserTable

__all__ = ["Outage"]

_FAILED_USERS = 3


class Outage:
    """The verdict on heartbeats that failed in a row.

    Attributes:
        is_down: Whether only probes go out.
        since_s: When it began.
        probe_at_s: Loop time of the next probe.
        prober: The user whose heartbeat is the probe.
        suspects: Users whose heartbeats have failed since one last came through.
    """

    def __init__(self) -> None:
        self.is_down: bool = False
        self.since_s: float = 0.0
        self.probe_at_s: float = 0.0
        self.prober: UserTable | None = None
        self.suspects: set[str] = set()
        self._waiting: deque[UserTable] = deque()
        self._ends_s: list[float] = []
        self._has_unexpired = True

    def failed(self, user_id: str) -> bool:
        """Count a failed heartbeat; return True if it is the one that makes an outage.

        Users are counted, not heartbeats: what fails may be one user's own fault.
        """
        self.suspects.add(user_id)
        return not self.is_down and len(self.suspects) >= _FAILED_USERS

    def begin(self, users: Iterable[UserTable], now_s: float) -> None:
        """Let these users probe, the one nearest its end first."""
        self.is_down = True
        self.since_s = now_s
        self.prober = None
        self._waiting = deque(sorted(users, key=lambda user: user.end_s(now_s)))
        self._ends_s = sorted(e for user in self._waiting for e in user.open_ends_s())
        self._has_unexpired = True

    def end(self) -> bool:
        """Note a heartbeat that came through; return True if that ends an outage."""
        was_down, self.is_down = self.is_down, False
        self.prober = None
        self.suspects.clear()
        self._waiting.clear()
        self._ends_s = []
        return was_down

    @property
    def is_forsaken(self) -> bool:
        """True if everybody who waited has left."""
        return not self._waiting

    def nearest_end_s(self, after_s: float) -> float:
        """Return when the first of those who wait runs out after a time."""
        first = bisect_right(self._ends_s, after_s)
        return self._ends_s[first] if first < len(self._ends_s) else math.inf

    def next_probe(self, now_s: float) -> UserTable | None:
        """Return the user whose heartbeat goes out next; those already lost come last.

        In turn, since what fails may be one user's own fault. ``None`` if nobody is
        left, or if heartbeats of all who are left are still out.
        """
        if self._has_unexpired:
            for _ in range(len(self._waiting)):
                user = self._rotate()
                # Refused ones never end; a probe of theirs would prove nothing.
                if user is not None and now_s < user.end_s(now_s) < math.inf:
                    return user
            self._has_unexpired = False
        for _ in range(len(self._waiting)):
            user = self._rotate()
            if user is not None:
                return user
        return None

    def _rotate(self) -> UserTable | None:
        """Move the first user to the back; return it if it can probe now."""
        user = self._waiting.popleft()
        if not user.has_joined:
            return None
        self._waiting.append(user)
        return None if user.out is not None else user
