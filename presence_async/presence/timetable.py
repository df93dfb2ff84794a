"""When each user is looked at next: to send something, or since something runs out."""

from __future__ import annotations

import math

from ..deadlines import DueHeap, DueSlots, Slot
from . import orders
from .user import UserTable

__all__ = ["Timetable"]


class Timetable:
    """All users by when they are due.

    Args:
        users: Every user of the engine.

    Attributes:
        due: By when each has something to send.
        waiting: Those who were due while there was no place on the wire.
        alarms: By when a presence or a caller's time runs out before that.
    """

    def __init__(self, users: dict[str, UserTable]) -> None:
        self._users = users
        self.due: DueSlots[UserTable] = DueSlots()
        self.waiting: Slot = Slot(-math.inf)
        self.alarms: DueHeap[UserTable] = DueHeap()

    def plan(
        self, user: UserTable, now_s: float, end_s: float, not_before_s: float
    ) -> None:
        """Put a user where it will be looked at next.

        Args:
            user: The user.
            now_s: Loop time.
            end_s: When the first of the user's presence that is left runs out.
            not_before_s: When to look at the earliest.
        """
        if user.out is None:
            wake_s = user.wake_s(now_s)
            if user.orders:
                wake_s = min(wake_s, orders.wake_s(user, now_s))
            looked_at_s = max(wake_s, not_before_s)
            self.due.put(user, looked_at_s)
        else:
            self.due.discard(user)
            looked_at_s = user.out.deadline_s
        self._watch(user, now_s, end_s, looked_at_s)

    def plan_calm(self, user: UserTable) -> None:
        """Put a calm user who waits for nothing but its next heartbeat.

        The same as ``plan``; that the time is no longer its own saves 32 bytes a user.
        """
        self.due.put(user, user.due_s)
        if user.slot is not None and user.due_s == user.place_s:
            user.due_s = user.place_s = user.slot.due_s

    def wait(self, now_s: float) -> None:
        """Let users who are due wait for a place, each with an alarm for its end."""
        while (user := self.due.pop_due(now_s)) is not None:
            self.waiting.add(user)
            self._watch(user, now_s, user.ends_s(now_s)[1], math.inf)

    def pop_due(self, now_s: float) -> UserTable | None:
        """Remove and return the user who has been due longest, if any is."""
        if self.waiting.live:
            user: UserTable = self.waiting.pop()
            return user
        return self.due.pop_due(now_s)

    def _watch(
        self, user: UserTable, now_s: float, end_s: float, looked_at_s: float
    ) -> None:
        """Set an alarm for what runs out before a user is looked at.

        Most users never need one: their next heartbeat is due long before they run out,
        and who is due now is looked at now, or waits with an alarm.
        """
        alarm_s = orders.deadline_s(user) if user.orders else math.inf
        if end_s < alarm_s:
            alarm_s = end_s
        if alarm_s > looked_at_s or (looked_at_s <= now_s < alarm_s):
            alarm_s = math.inf
        # One entry a user is enough: when it rings too early, it is set again.
        if alarm_s < math.inf:
            if alarm_s < self.alarms.due_s(user):
                self.alarms.put(user, alarm_s)
        else:
            self.alarms.discard(user)

    def forget(self, user: UserTable) -> bool:
        """Remove a user; return False if it was not there."""
        self.due.discard(user)
        self.alarms.discard(user)
        return self._users.pop(user.user_id, None) is not None
