"""Who may send a heartbeat while something is wrong: retries, waits and outages."""

from __future__ import annotations

import math
from collections.abc import Mapping

from . import health
from .changes import OutageBegan, OutageEnded, OutageGoesOn
from .outage import Outage
from .overview import standing
from .pace import attempt_limit_s, first_attempt_s, hold_s, retry_gap_s
from .places import Places
from .records import Round
from .settings import Shared
from .user import UserTable

__all__ = ["Backoff"]

_REPORT_EVERY_S = 60.0
_OUTAGE = "the service cannot be reached"


class Backoff:
    """Slows heartbeats down, each user's own and everybody's.

    Args:
        shared: The figures to go by.
        users: Every user of the engine.
        places: Knows which requests wait for a token.

    Attributes:
        report_at_s: When the next report of an outage is due.
    """

    def __init__(
        self, shared: Shared, users: Mapping[str, UserTable], places: Places
    ) -> None:
        self._shared = shared
        self._places = places
        self._users = users
        self._outage = Outage()
        self._attempt_timeout_s = shared.settings.attempt_timeout_s
        self._held_until_s = 0.0
        self.report_at_s: float = math.inf

    # How long, and how soon again.

    def may_begin(self, user: UserTable, now_s: float) -> bool:
        """Return True if a user who is due may be sent a heartbeat now."""
        if self._outage.is_down:
            health.hold(user, _OUTAGE, now_s)
            return False
        if self._held_until_s <= now_s:
            return True
        until_s = self._wait_until_s(user, now_s)
        if until_s > now_s:
            user.due_s = until_s
        return until_s <= now_s

    def attempt_s(self, user: UserTable, now_s: float) -> float:
        """Return how long a heartbeat of a user may be on the wire."""
        full_s = self._attempt_timeout_s
        remaining_s = user.end_s(now_s) - now_s
        if self._outage.is_down:
            # One user's probe must not take the time that is left to others.
            hurry_s = self._hurry_s(now_s)
            return min(
                attempt_limit_s(remaining_s, full_s), attempt_limit_s(hurry_s, full_s)
            )
        limit_s = attempt_limit_s if user.failures else first_attempt_s
        return limit_s(remaining_s, full_s)

    def failed(self, user: UserTable, current: Round, now_s: float) -> None:
        """Plan the next round of a user after one that failed."""
        remaining_s = user.end_s(now_s) - now_s
        is_telling = current.is_about_service and not current.is_answered
        if is_telling and self._outage.failed(user.user_id):
            self._go_down(now_s)
        hurry_s = self._hurry_s(now_s) if self._outage.is_down else remaining_s
        gap_s = retry_gap_s(hurry_s, self._shared.rng)
        self._outage.probe_at_s = now_s + gap_s
        asked_s = current.retry_after_s
        if asked_s:
            self._hold_back(asked_s, now_s)
            gap_s = max(gap_s, hold_s(asked_s, remaining_s, self._attempt_timeout_s))
        user.due_s = now_s + gap_s
        if self._outage.is_down:
            health.hold(user, _OUTAGE, now_s)

    def _wait_until_s(self, user: UserTable, now_s: float) -> float:
        """Return until when a user who is due has to wait all the same.

        A user who failed has waited for its own gap. Anyone else obeys what the service
        asked of all, unless that is longer than their presence can wait.
        """
        wait_s = self._held_until_s - now_s
        if wait_s <= 0 or user.failures:
            return now_s
        remaining_s = user.end_s(now_s) - now_s
        is_too_long = hold_s(wait_s, remaining_s, self._attempt_timeout_s) < wait_s
        return now_s if is_too_long else self._held_until_s

    def _hold_back(self, retry_after_s: float, now_s: float) -> None:
        """Hold everybody back; those who cannot wait are sorted out when due."""
        attempt_s = self._attempt_timeout_s
        room_s = 0.0
        if self._outage.is_down:
            room_s = self._outage.nearest_end_s(now_s + attempt_s) - now_s
        self._held_until_s = now_s + hold_s(retry_after_s, room_s, attempt_s)

    # While the service cannot be reached.

    def _hurry_s(self, now_s: float) -> float:
        """Return the time left to whoever is nearest the end and can be saved.

        Anyone with less than a quarter of an attempt left does not count: among very
        many users there is always one.
        """
        soon_s = now_s + self._attempt_timeout_s / 4
        return self._outage.nearest_end_s(soon_s) - now_s

    def _go_down(self, now_s: float) -> None:
        users = [user for user in self._users.values() if user.has_joined]
        self._outage.begin(users, now_s)
        self._shared.is_down = True
        self._hold_back(self._held_until_s - now_s, now_s)
        self.report_at_s = now_s + _REPORT_EVERY_S
        self._shared.changes.append(OutageBegan(*standing(self._users.values())))

    @property
    def probe_s(self) -> float:
        """When the next probe is due; ``math.inf`` if none is, or one is under way."""
        if not self._outage.is_down or self._is_probing:
            return math.inf
        return max(self._outage.probe_at_s, self._held_until_s)

    @property
    def _is_probing(self) -> bool:
        """True while a probe is in flight; heartbeats sent before do not count.

        Nor does one that waits for its token, which may never come.
        """
        user = self._outage.prober
        if user is None or user.round is None:
            return False
        return not self._places.is_parked(user.out)

    def prober(self, now_s: float) -> UserTable | None:
        """Return the user whose heartbeat is the next probe, if one is due."""
        if self.probe_s > now_s:
            return None
        user = self._outage.next_probe(now_s)
        if user is not None:
            self._outage.prober = user
            user.due_s = min(user.due_s, now_s)
        elif self._outage.is_forsaken:
            self.end_outage(now_s)
        else:
            # All who are left have heartbeats out.
            self._outage.probe_at_s = now_s + retry_gap_s(0.0, self._shared.rng)
        return user

    def reached(self, now_s: float) -> list[UserTable]:
        """Note that the service answers; return those who waited for that."""
        if not self._outage.suspects:
            return []
        if not self.end_outage(now_s):
            return []
        self._held_until_s = 0.0
        return [
            user
            for user in self._users.values()
            if user.rare is not None and (user.is_held or user.failures)
        ]

    def start_over(self, now_s: float) -> None:
        """Forget outages and what the service asked for, after time unseen."""
        self.end_outage(now_s)
        self._held_until_s = 0.0

    def end_outage(self, now_s: float) -> bool:
        """End an outage, if there is one."""
        since_s = now_s - self._outage.since_s
        if not self._outage.end():
            return False
        users, _, lost = standing(self._users.values())
        self.report_at_s = math.inf
        self._shared.is_down = False
        self._shared.changes.append(OutageEnded(users, lost, since_s))
        return True

    def report(self, now_s: float) -> None:
        """Report once a minute how an outage stands."""
        if now_s >= self.report_at_s:
            self.report_at_s = now_s + _REPORT_EVERY_S
            since_s = now_s - self._outage.since_s
            counts = standing(self._users.values())
            self._shared.changes.append(OutageGoesOn(*counts, since_s))
