"""RegisterPace: when a client speaks to its register; pure, no clock and no task."""

from __future__ import annotations

import math
import random

from ...presence.membership import Membership

__all__ = ["RegisterPace"]

_MORE_AFTER_S = 0.02
_CALM_AFTER_S = 30.0
_MOST_PAUSES = 8
_ATTEND_S = (0.75, 1.25)
_NOTED_WITHIN_S = 0.2


class RegisterPace:
    """The times of signs of life, and of what is said between them.

    Args:
        member: Has what is to be said.
        rng: The source of jitter.

    Attributes:
        attend_s: Loop time of the next sign of life.
    """

    def __init__(self, member: Membership, rng: random.Random) -> None:
        self._member = member
        self._rng = rng
        self.attend_s: float = -math.inf
        self._failed_s = -math.inf
        self._pauses = 1
        self._beaten_since_s = math.inf

    # Signs of life.

    def attend_now(self) -> None:
        """Make the next sign of life due."""
        self.attend_s = -math.inf

    def attended(self, now_s: float, *, has_more: bool) -> None:
        """Plan the next sign of life after one; at once if there is more to hear."""
        wait_s = _MORE_AFTER_S if has_more else self._rng.uniform(*_ATTEND_S)
        self.attend_s = now_s + wait_s

    def failed(self, now_s: float) -> None:
        """Plan the next sign of life after a failure; later if it fails on and on."""
        if self._member.is_up:
            # It gives signs of life and then fails, which might go on for ever.
            is_again = now_s < self._failed_s + _CALM_AFTER_S
            self._pauses = min(2 * self._pauses, _MOST_PAUSES) if is_again else 1
            self._failed_s = now_s
        self.attend_s = now_s + self._pauses * self._rng.uniform(*_ATTEND_S)

    # Acknowledged heartbeats, which wait a moment for more of them.

    def must_note(self, now_s: float) -> bool:
        """Return True if heartbeats are not to wait for more."""
        is_old = self._beaten_since_s + _NOTED_WITHIN_S <= now_s
        return is_old or self._member.has_questions

    def note_now(self) -> None:
        """Let heartbeats wait no longer."""
        self._beaten_since_s = -math.inf

    def noted(self) -> None:
        """Take in that no heartbeat waits any more."""
        self._beaten_since_s = math.inf

    # Sleeping.

    def begin_sleep(self, now_s: float) -> float:
        """Return until when there is nothing to say; heartbeats wait from now on."""
        if self._member.is_up and self._member.beaten:
            self._beaten_since_s = min(self._beaten_since_s, now_s)
        return self.due_s(now_s)

    def due_s(self, now_s: float) -> float:
        """Return when there is something to say."""
        member = self._member
        if not member.is_up:
            return self.attend_s
        if member.has_questions:
            return -math.inf
        if not member.beaten:
            return self.attend_s
        since_s = min(self._beaten_since_s, now_s)
        return min(self.attend_s, since_s + _NOTED_WITHIN_S)
