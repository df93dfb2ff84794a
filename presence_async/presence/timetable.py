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
        ready: Those who have something to send now.
        waiting: Those who were due while there was no place on the wire.
        alarms: By when a presence or a caller's time runs out before that.
    """

    def __init__(self, users: dict[str, UserTable]) -> None:
        self._users = users
        self.due: DueSlots[UserTable] = DueSlots()
        self.ready: Slot = Slot(-math.inf)
        self.waiting: Slot = Slot(-math.inf)
        self.alarms: DueHeap[UserTable] = DueHeap()

    def plan(
        self,
        user: UserTable,
        now_s: float,
        end_s: float,
        not_before_s: float,
        *,
        is_owing: bool = False,
    ) -> None:
        """Put a user where it will be looked at next.

        Args:
            user: The user.
            now_s: Loop time.
            end_s: When the first of the user's presence that is left runs out.
            not_before_s: When to look at the earliest.
            is_owing: Whether there is something to tell the register.
        """
        if user.out is None:
            wake_s = now_s if is_owing else user.wake_s(now_s)
            if user.orders:
                wake_s = min(wake_s, orders.wake_s(user, now_s))
            looked_at_s = max(not_before_s, wake_s)
            if looked_at_s <= now_s:
                self._put_ready(user, end_s)
                return
            self.due.put(user, looked_at_s)
        else:
            self.due.discard(user)
            looked_at_s = user.out.deadline_s
        self._watch(user, end_s, looked_at_s)

    def plan_calm(self, user: UserTable) -> None:
        """Put a user who needs no alarm and waits for nothing but a heartbeat.

        The same as ``plan``; that the time is no longer its own saves 32 bytes a user.
        """
        due_s = user.due_s
        self.due.put(user, due_s)
        slot = user.slot
        if slot is not None and due_s == user.place_s:
            user.due_s = user.place_s = slot.due_s

    def _put_ready(self, user: UserTable, end_s: float) -> None:
        """Let a user be looked at next; only if there is no place it needs an alarm."""
        if user.slot is self.waiting:
            self._watch(user, end_s, math.inf)
        elif user.slot is not self.ready:
            self.due.discard(user)
            self.ready.add(user)
            self.alarms.discard(user)

    def wait(self, now_s: float) -> None:
        """Let users who are due wait for a place, each with an alarm for its end."""
        while (user := self._pop(now_s)) is not None:
            self.waiting.add(user)
            self._watch(user, user.ends_s(now_s)[1], math.inf)

    def pop_due(self, now_s: float) -> UserTable | None:
        """Remove and return the user who has been due longest, if any is."""
        if self.waiting.live:
            user: UserTable = self.waiting.pop()
            return user
        return self._pop(now_s)

    def _pop(self, now_s: float) -> UserTable | None:
        user = self.due.pop_due(now_s)
        if user is None and self.ready.live:
            user = self.ready.pop()
        return user

    def next_s(self, opens_s: float) -> float:
        """Return when anybody has to be looked at.

        Args:
            opens_s: When there is a place for those who wait for one.
        """
        if self.ready.live:
            return -math.inf
        look_s = min(self.due.next_due_s, self.alarms.next_due_s)
        return min(look_s, opens_s) if self.waiting.live else look_s

    def _watch(self, user: UserTable, end_s: float, looked_at_s: float) -> None:
        """Set an alarm for what runs out before a user is looked at.

        Most users never need one: their next heartbeat is due long before they run out.
        """
        alarm_s = orders.deadline_s(user) if user.orders else math.inf
        alarm_s = min(alarm_s, end_s)
        # One entry a user is enough: when it rings too early, it is set again.
        if alarm_s <= looked_at_s and alarm_s < math.inf:
            if alarm_s < self.alarms.due_s(user):
                self.alarms.put(user, alarm_s)
        else:
            self.alarms.discard(user)

    def forget(self, user: UserTable) -> bool:
        """Remove a user; return False if it was not there."""
        self.due.discard(user)
        self.alarms.discard(user)
        return self._users.pop(user.user_id, None) is not None
