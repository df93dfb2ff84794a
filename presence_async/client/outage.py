"""Whether the service can be reached at all, and who probes it until it can. Pure.

When heartbeats of three users in a row fail, every further one would fail too. So only
one at a time goes out, of the users in turn who are nearest their end, until one
succeeds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

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
        self.is_down = False
        self.probe_at_s = 0.0
        self._failed: set[str] = set()
        self._waiting: deque[UserPresence] = deque()
        self._has_unexpired = True

    def failed(self, user_id: str) -> bool:
        """Note a failed heartbeat; true when it is the one that makes it an outage."""
        self._failed.add(user_id)
        return not self.is_down and len(self._failed) >= _FAILED_USERS

    def begin(self, presences: Iterable[UserPresence]) -> None:
        """Let these users probe, the nearest end first."""
        self.is_down = True
        self._waiting = deque(sorted(presences, key=lambda p: p.expires_at_s))
        self._has_unexpired = True

    def end(self) -> bool:
        """Note a heartbeat that came through; true when an outage is over by it."""
        was_down, self.is_down = self.is_down, False
        self._failed.clear()
        self._waiting.clear()
        return was_down

    def next_probe(self, now_s: float) -> UserPresence | None:
        """Return whose heartbeat goes out next: users in turn, the lost ones last.

        In turn, since what fails may be one user's own fault.
        """
        if self._has_unexpired:
            for _ in range(len(self._waiting)):
                presence = self._turn()
                if presence is not None and presence.expires_at_s > now_s:
                    return presence
            self._has_unexpired = False
        while self._waiting:
            presence = self._turn()
            if presence is not None:
                return presence
        return None

    def _turn(self) -> UserPresence | None:
        presence = self._waiting.popleft()
        if not presence.joined:
            return None
        self._waiting.append(presence)
        return presence
