"""What the engine knows of the register, and what it has to say to it.

While the register is away every client goes on by itself: heartbeats are sent without
asking, since one too many does no harm, and leaves wait, since one too many does.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from ..register.values import (
    ALIVE_S,
    Attendance,
    Beaten,
    Departing,
    Departures,
    Holding,
    Worker,
)
from .listing import Ask, AskKind

__all__ = ["Membership"]

_HELD_AGAIN_WITHIN_S = 8.0


class Membership:
    """This client as a member of those who share a register.

    Args:
        worker: This client, as the others know it.
        crash_grace_s: Seconds after its death in which others wait for its users.
        attempt_s: Seconds that a request may be on the wire.

    Attributes:
        worker: With the present life.
        attempt_s: As given.
        is_up: Whether the register answers.
        is_closing: Whether this client takes no users any more.
        is_last: Whether it looks after departures that are not due yet as well.
        asks: Questions to be asked, by kind.
        beaten: Acknowledged heartbeats to be noted.
        departed: Acknowledged leaves to be noted.
        states: States set for names that this client does not hold.
        workers: How many clients are open, as far as is known.
        lingering: How many users wait for their departure.
        departures: How many of them this client was told to leave when it attended
            last.
        unasked: Heartbeats sent without asking since the start.
        was_left: Whether the others may have left its users since they took it for
            dead: whoever is held again is sent a heartbeat.
        everybody_s: When everybody is due a heartbeat, since others took this client
            for dead and may have left its users.
        forgotten_before: The first life of which the register has lost nothing.
    """

    def __init__(self, worker: Worker, crash_grace_s: float, attempt_s: float) -> None:
        self.worker: Worker = worker
        self.attempt_s: float = attempt_s
        self.is_up: bool = False
        self.is_closing: bool = False
        self.is_last: bool = False
        self.asks: dict[str, list[Ask]] = {
            AskKind.HOLD: [],
            AskKind.CLAIM: [],
            AskKind.RELEASE: [],
        }
        self.beaten: list[tuple[Beaten, float]] = []
        self.departed: list[Departing] = []
        self.states: list[Holding] = []
        self.workers: int = 1
        self.lingering: int = 0
        self.departures: int = 0
        self.unasked: int = 0
        self.was_left: bool = False
        self.everybody_s: float = math.inf
        self.forgotten_before: int = 0
        self._crash_grace_s = crash_grace_s
        self._epoch = ""
        self._is_expected_new = True
        self._attended_s = -math.inf
        self._again: deque[str] = deque()
        self._again_per_s = 0.0
        self._again_from_s = 0.0

    @property
    def life(self) -> int:
        """Which of its lives this is."""
        return self.worker.life

    @property
    def has_questions(self) -> bool:
        """Whether there is anything to say that cannot wait for more."""
        return bool(any(self.asks.values()) or self.departed or self.states)

    # Signs of life.

    def attendance(self) -> Attendance:
        """Return the next sign of life."""
        return Attendance(self.attempt_s, self._epoch, self.is_closing, self.is_last)

    def attended(self, answer: Departures, sent_s: float) -> bool:
        """Take in the answer to one; return if everybody has to be held again."""
        epoch, self._epoch = self._epoch, answer.epoch
        self.workers, self.lingering = answer.workers, answer.lingering
        self.departures = len(answer.leaves)
        has_forgotten = epoch not in {"", answer.epoch}
        is_new = answer.is_new and not self._is_expected_new
        was_dead = sent_s - self._attended_s > ALIVE_S or is_new
        self.was_left = was_dead and self._attended_s > -math.inf
        # Holding a user again tells of any leave that is still on its way.
        self.everybody_s = math.inf
        self._attended_s, self._is_expected_new = sent_s, False
        if has_forgotten or is_new:
            self._begin_life()
        if has_forgotten:
            self.forgotten_before = self.life
        is_back, self.is_up = not self.is_up, True
        return is_back or has_forgotten or is_new

    def was_forgotten(self, life: int) -> bool:
        """Return True if the register has lost all that was said in a life."""
        return 0 < life < self.forgotten_before

    def lose(self) -> bool:
        """Note that the register is away; return False if that was known."""
        self.beaten, self.departed, self.states = [], [], []
        was_up, self.is_up = self.is_up, False
        if was_up:
            self._begin_life()
            # Once, when the others have left whom they were going to leave.
            dead_s = self._attended_s + ALIVE_S
            self.everybody_s = dead_s + self._crash_grace_s + self.attempt_s
        return was_up

    def _begin_life(self) -> None:
        """Be somebody new: what was said before and comes too late must not count."""
        self.worker = self.worker._replace(life=self.worker.life + 1)
        self._is_expected_new = True

    def slept(self, seconds: float) -> None:
        """Take in time that the loop clock did not see."""
        self._attended_s -= seconds

    # Holding everybody again.

    def hold_again(self, user_ids: Iterable[str], now_s: float) -> None:
        """Hold users again, paced: as fast as is safe, not as fast as possible."""
        self._again = deque(user_ids)
        self._again_from_s = now_s
        self._again_per_s = max(100.0, len(self._again) / _HELD_AGAIN_WITHIN_S)

    def next_again(self, now_s: float) -> list[str]:
        """Return the users whose turn it is to be held again."""
        if not self._again:
            return []
        count = 1 + int((now_s - self._again_from_s) * self._again_per_s)
        self._again_from_s = now_s
        return [self._again.popleft() for _ in range(min(count, len(self._again)))]

    @property
    def is_holding_again(self) -> bool:
        """Whether there are users left to be held again."""
        return bool(self._again)
