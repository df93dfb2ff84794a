"""Who speaks next: takes requests out of all users, and takes their outcomes in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from ..protocol.leave import LeaveOperation
from . import health, lone, orders, repeats, rounds
from .backoff import Backoff
from .changes import UserForgotten
from .listing import Ask
from .places import Places
from .settings import Shared
from .timetable import Timetable
from .user import UserTable
from .wire import Acknowledged, Outcome, Purpose, Send

__all__ = ["Dispatcher"]

_SHORTEST_PAUSE_S = 0.01
_AFTER_A_FAULT_S = 1.0


class Dispatcher:
    """Lets users speak in turn, within what the wire and the service allow.

    Args:
        shared: The figures to go by.
        users: Every user of the engine.

    Attributes:
        places: Who may be on the wire.
        backoff: Who may send a heartbeat while something is wrong.
        is_closing: Whether nothing is kept any more.
        heartbeats_sent: Heartbeats that kept claims, since the start.
        heartbeats_failed: Of these, how many were not acknowledged.
        on_leave: Called with each leave that has ended; ``None``: nobody wants it.
    """

    def __init__(self, shared: Shared, users: dict[str, UserTable]) -> None:
        self._shared = shared
        self._users = users
        self._timetable = Timetable(users)
        self._lone: UserTable | None = None
        self.places: Places = Places(shared.settings)
        self.backoff: Backoff = Backoff(shared, users, self.places)
        self.is_closing: bool = False
        self.heartbeats_sent: int = 0
        self.heartbeats_failed: int = 0
        self.on_leave: Callable[[Send, Outcome, float], None] | None = None

    def take(self, now_s: float) -> Send | None:
        """Return the next request to send now; ``None`` if there is none."""
        table = self._timetable
        if self._lone is not None and (send := self._begin_lone(now_s)) is not None:
            return send
        self._ring(now_s)
        while not self.places.are_open(now_s):
            table.wait(now_s)
            if table.alarms.next_due_s > now_s:
                return None
            # The time of somebody's caller was up when there turned out to be no place.
            self._ring(now_s)
        if self._shared.is_down and (send := self._probe(now_s)) is not None:
            return send
        while (user := table.pop_due(now_s)) is not None:
            if send := self._begin_next(user, now_s):
                return send
            # Not due again at once: a fault here must not freeze the event loop.
            self.plan(user, now_s, now_s + _SHORTEST_PAUSE_S)
        return None

    def answered(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Take in the outcome of a request."""
        user = self._users[send.user_id]
        # First: if anything below fails, others must not miss the place.
        user.out = None
        self.places.leave(send)
        if self._shared.sharing is not None:
            self._shared.sharing.note(user, send, outcome)
        if lone.is_over(user, send, outcome):
            del self._users[user.user_id]
            self._shared.changes.append(UserForgotten(user.user_id))
            return
        end_s = 0.0
        if send.order is None:
            end_s = rounds.kept_calmly(user, send, outcome, now_s)
        if not end_s:
            self._take_in(user, send, outcome, now_s)
        else:
            self.backoff.reached(now_s)
            if user.due_s <= end_s and not user.orders:
                self._timetable.plan_calm(user)
                return
        self.plan(user, now_s)

    def end_ask(self, ask: Ask) -> UserTable | None:
        """Return the user whom an answer of the register is about; plan it after."""
        user = self._users.get(ask.user_id)
        if user is None or user.out is not ask:
            return None
        user.out = None
        return user

    def _take_in(
        self, user: UserTable, send: Send, outcome: Outcome, now_s: float
    ) -> None:
        is_acknowledged = isinstance(outcome, Acknowledged)
        if send.purpose is Purpose.KEEP and not is_acknowledged:
            self.heartbeats_failed += 1
        if self.on_leave is not None and isinstance(send.operation, LeaveOperation):
            self.on_leave(send, outcome, now_s)
        if not repeats.confirm(user, send, outcome):
            if send.purpose is Purpose.KEEP:
                rounds.kept(user, send, outcome, now_s)
            else:
                orders.note_effect(user, send, outcome, now_s)
                orders.answered(user, send, outcome, now_s)
                if is_acknowledged and send.is_join:
                    self.hasten(self.backoff.reached(now_s), now_s)
            # After it was taken in: a claim that has just joined repeats its own.
            repeats.note(user, send, outcome, now_s)
            self._settle(user, now_s)

    def abandon(self, send: Send, now_s: float) -> None:
        """End a request after a fault, with or without an outcome; its user goes on."""
        user = self._users.get(send.user_id)
        if user is None:
            return
        if user.out is send:
            user.out = None
            self.places.leave(send)
        if user.out is None:
            # The heartbeat of a calm user is remembered nowhere else.
            user.hasten(now_s + _AFTER_A_FAULT_S)
            self._timetable.due.put(user, now_s + _AFTER_A_FAULT_S)

    @property
    def next_s(self) -> float:
        """When to call ``take`` again; ``math.inf`` if only an answer can change it."""
        if self._lone is not None:
            return -math.inf
        opens_s = self.places.next_s
        next_s = self._timetable.next_s(opens_s)
        if not self._shared.is_down:
            return next_s
        probe_s = max(self.backoff.probe_s, opens_s)
        return min(next_s, probe_s, self.backoff.report_at_s)

    def everybody(self) -> list[UserTable]:
        """Return all users."""
        return list(self._users.values())

    def user(self, user_id: str) -> UserTable | None:
        """Return a user, if anything is known of it."""
        return self._users.get(user_id)

    def user_or_new(self, user_id: str) -> UserTable:
        """Return a user of whom something is to be said."""
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = UserTable(user_id, self._shared)
        return user

    def plan(self, user: UserTable, now_s: float, not_before_s: float = 0.0) -> None:
        """Put a user where it will be looked at next, or forget it."""
        ahead_s = math.inf
        if user.claims:
            passed_s, ahead_s = user.ends_s(now_s)
            if passed_s < math.inf:
                # Its alarm, if it has not rung yet, would be taken for one that has.
                health.update(user, now_s)
        sharing = self._shared.sharing
        is_free = user.out is None
        is_owing = is_free and sharing is not None and sharing.owes(user)
        if is_free and not is_owing and user.is_idle(now_s):
            if self._timetable.forget(user):
                self._shared.changes.append(UserForgotten(user.user_id))
        else:
            self._timetable.plan(user, now_s, ahead_s, not_before_s, is_owing=is_owing)

    def hasten(self, users: Iterable[UserTable], now_s: float) -> None:
        """Make users due within the bounds, first those who can still be saved."""
        ends_s = {user: user.end_s(now_s) for user in users if user.has_joined}
        for user in sorted(ends_s, key=lambda x: (ends_s[x] <= now_s, ends_s[x])):
            user.is_held = False
            user.hasten(now_s)
            if user.round is None:
                # Not since it has been due: those who are lost have been longest.
                user.due_s = now_s
            self.plan(user, now_s)

    def _ring(self, now_s: float) -> None:
        """Look at users whose presence or whose callers' time has run out."""
        if self._shared.is_down:
            self.backoff.report(now_s)
        while (user := self._timetable.alarms.pop_due(now_s)) is not None:
            health.update(user, now_s)
            orders.expire(user, now_s)
            self.plan(user, now_s)

    # Who sends what.

    def _begin_next(self, user: UserTable, now_s: float) -> Send | None:
        """Begin a user's next request; after a fault the user is looked at again."""
        try:
            send = self._next(user, now_s)
            if isinstance(send, Ask):
                self._ask(user, send, now_s)
                return None
            if send is not None:
                self._begin(user, send, now_s)
        except BaseException:
            user.out = None
            user.hasten(now_s + _AFTER_A_FAULT_S)
            self._timetable.due.put(user, now_s + _AFTER_A_FAULT_S)
            raise
        return send

    def _begin(self, user: UserTable, send: Send, now_s: float) -> None:
        user.out = send
        self.plan(user, now_s)
        if send.purpose is Purpose.KEEP:
            self.heartbeats_sent += 1
        # Last: a place that is taken and not sent to would never be free again.
        self.places.enter(now_s)

    def _ask(self, user: UserTable, ask: Ask, now_s: float) -> None:
        user.out = ask
        self.plan(user, now_s)
        if self._shared.sharing is not None:
            self._shared.sharing.asked(ask)

    def _next(self, user: UserTable, now_s: float) -> Send | Ask | None:
        """Return a user's next request: heartbeats first, then orders, then repeats.

        Or the question to the register on which it depends.
        """
        if user.rare is not None and (send := repeats.confirmation(user, now_s)):
            return send
        is_between = user.rare is None or user.round is None
        if is_between and (begun := self._begin_round(user, now_s)):
            return begun
        if user.round is not None:
            if send := rounds.next_send(user, now_s):
                return send
            self._settle(user, now_s)
        return self._after_rounds(user, now_s)

    def _begin_round(self, user: UserTable, now_s: float) -> Send | Ask | None:
        """Begin a user's heartbeats if they are due and it is this client's turn."""
        if not self._may_begin(user, now_s):
            return None
        sharing = self._shared.sharing
        if sharing is not None and (ask := sharing.ask_turn(user, now_s)):
            return ask
        return rounds.begin(user, self.backoff.attempt_s(user, now_s), now_s)

    def _after_rounds(self, user: UserTable, now_s: float) -> Send | Ask | None:
        if order := orders.next_send(user, now_s):
            return order
        if repeat := repeats.next_send(user, now_s):
            return repeat
        sharing = self._shared.sharing
        return None if sharing is None else sharing.ask_next(user, now_s)

    def say_alone(self, user: UserTable, now_s: float) -> None:
        """Let a user whose only order is new be the next, if nobody is before it."""
        if self._lone is None:
            self._lone = user
        else:
            self.plan(user, now_s)

    def _begin_lone(self, now_s: float) -> Send | None:
        user, self._lone = self._lone, None
        if user is None or self._users.get(user.user_id) is not user:
            return None
        is_next = self.places.are_open(now_s) and self._timetable.next_s(now_s) > now_s
        send = lone.send_of(user, now_s) if is_next else None
        if send is None:
            self.plan(user, now_s)
        else:
            user.out = send
            self.places.enter(now_s)
        return send

    def _may_begin(self, user: UserTable, now_s: float) -> bool:
        """Return True if a round is due and nothing holds it back."""
        if user.due_s > now_s or self.is_closing or user.is_held:
            return False
        return self.backoff.may_begin(user, now_s)

    def _probe(self, now_s: float) -> Send | None:
        """Return the next probe of an outage, if one is due."""
        user = None if self.is_closing else self.backoff.prober(now_s)
        if user is None:
            return None
        rounds.begin(user, self.backoff.attempt_s(user, now_s), now_s)
        self._timetable.due.put(user, now_s)
        return self._begin_next(user, now_s)

    def _settle(self, user: UserTable, now_s: float) -> None:
        """End a round that has nothing left to send and nothing out."""
        current = user.round
        is_over = user.out is None and user.confirming is None
        if current is None or current.beats or not is_over:
            return
        user.round = None
        if current.is_answered:
            others = [x for x in self.backoff.reached(now_s) if x is not user]
            self.hasten(others, now_s)
        user.failures = user.failures + 1 if current.is_pressing else 0
        if user.failures and user.has_joined:
            asked_s = user.due_s
            self.backoff.failed(user, current, now_s)
            user.hasten(asked_s)
        else:
            rounds.plan_next(user, now_s)
