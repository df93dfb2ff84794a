"""What all users have to say to the register, and what follows from its answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..protocol.leave import LeaveOperation
from ..protocol.user_state import SetStateOperation
from ..register.values import Again, Departures
from . import departing, listed, permission, turns
from .changes import RegisterBack, RegisterLost
from .claims import Order
from .dispatch import Dispatcher
from .listing import Ask, AskKind
from .membership import Membership
from .names import Name
from .settings import Shared
from .user import UserTable
from .wire import Acknowledged, Outcome, Send

__all__ = ["Listings"]

_PACE_S = 0.1


class Listings:
    """The part of the engine that a register has to do with.

    Args:
        membership: This client as a member of those who share the register.
        shared: What all users share.
        dispatch: Puts users where they are looked at next.

    Attributes:
        membership: As given.
        next_s: When to call ``keep`` again.
    """

    def __init__(
        self, membership: Membership, shared: Shared, dispatch: Dispatcher
    ) -> None:
        self.membership: Membership = membership
        self._shared = shared
        self._dispatch = dispatch
        self.next_s: float = math.inf
        self._again_s = math.inf
        self._lost_s: float | None = None

    # In time.

    def keep(self, now_s: float) -> None:
        """Hold users again at a pace, and send everybody a heartbeat if it is due."""
        if self._again_s <= now_s:
            for user_id in self.membership.next_again(now_s):
                user = self._dispatch.user(user_id)
                if user is not None:
                    self._dispatch.plan(user, now_s)
            is_over = not self.membership.is_holding_again
            self._again_s = math.inf if is_over else now_s + _PACE_S
        if self.membership.everybody_s <= now_s:
            self.membership.everybody_s = math.inf
            self._dispatch.hasten(self._dispatch.everybody(), now_s)
        self._plan()

    def _plan(self) -> None:
        self.next_s = min(self._again_s, self.membership.everybody_s)

    def slept(self, seconds: float) -> None:
        """Take in time that the loop clock did not see."""
        self.membership.slept(seconds)

    # What is asked: the questions that others wait for, and the difference.

    def owes(self, user: UserTable) -> bool:
        """Return True if the register lists something else than is wanted."""
        return listed.owes(user, self.membership)

    def is_listed(self, user: UserTable) -> bool:
        """Return True if the register lists this client as a holder of the user."""
        return listed.is_listed(user, self.membership)

    def ask_turn(self, user: UserTable, now_s: float) -> Ask | None:
        """Return what has to be asked before a regular heartbeat, if anything."""
        return turns.ask_turn(user, self.membership, now_s)

    def ask_hold(self, user: UserTable, order: Order, now_s: float) -> Ask | None:
        """Return what has to be asked before a claim is announced, if anything."""
        return listed.to_hold(user, self.membership, order, now_s)

    def ask_next(self, user: UserTable, now_s: float) -> Ask | None:
        """Return what else the register has to be told about a user."""
        return listed.next_ask(user, self.membership, now_s)

    def may_leave(
        self,
        user: UserTable,  # noqa: ARG002  # the shape of ``Sharing``
        order: Order,
        names: Sequence[Name],
        now_s: float,
    ) -> bool:
        """Return True if the register has just allowed to leave names."""
        return permission.is_granted(order, names, now_s)

    def ask_leave(
        self, user: UserTable, order: Order, names: Sequence[Name], now_s: float
    ) -> Ask | None:
        """Return what has to be asked before a leave; ``None``: it waits."""
        if self.membership.is_up:
            return permission.ask(user, self.membership, order, names, now_s)
        permission.wait(user, order, now_s)
        return None

    def leave_by_s(self, order: Order) -> float:
        """Return when others may take it that no leave is on its way any more."""
        return order.granted_s + self.membership.attempt_s

    def asked(self, ask: Ask) -> None:
        """Put a question to the register."""
        self.membership.asks[ask.kind].append(ask)

    def note(self, user: UserTable, send: Send, outcome: Outcome) -> None:
        """Have noted what other clients go by."""
        if isinstance(send.operation, LeaveOperation):
            departing.note(user, self.membership, send, outcome)
        elif (
            not isinstance(outcome, Acknowledged)
            or outcome.age_s
            or not self.membership.is_up
        ):
            return
        elif isinstance(send.operation, SetStateOperation):
            turns.note_state(user, self.membership, send.operation)
        else:
            turns.note_beaten(user, self.membership, send, outcome)

    # Signs of life.

    def attended(self, answer: Departures, sent_s: float, now_s: float) -> None:
        """Take in the answer to a sign of life."""
        was_up = self.membership.is_up
        if self.membership.attended(answer, sent_s):
            self._come_back(now_s, is_first=not was_up and self._lost_s is None)
        for leaving in answer.leaves:
            user = self._dispatch.user_or_new(leaving.user_id)
            departing.depart(user, leaving.names, now_s)
            self._dispatch.plan(user, now_s)
        for user_id, names in answer.again:
            self.say_again(user_id, names, now_s)
        self._plan()

    def _come_back(self, now_s: float, *, is_first: bool) -> None:
        users = self._dispatch.everybody()
        self.membership.hold_again([u.user_id for u in users if u.claims], now_s)
        self._again_s = now_s
        for user in users:
            if any(order.is_waiting for order in user.orders):
                permission.resume(user, now_s)
                self._dispatch.plan(user, now_s)
        if not is_first:
            away_s = 0.0 if self._lost_s is None else now_s - self._lost_s
            self._shared.changes.append(RegisterBack(len(users), away_s))
        self._lost_s = None

    def lose(self, error: Exception, now_s: float) -> None:
        """Go on without the register, which does not answer."""
        is_news = self.membership.lose() or self._lost_s is None
        for asks in self.membership.asks.values():
            for ask in asks.copy():
                self.answered(ask, None, now_s)
            asks.clear()
        self._plan()
        if is_news:
            self._lost_s = now_s
            self._shared.changes.append(RegisterLost(error))

    # Questions and answers.

    def answered(
        self,
        ask: Ask,
        answer: Any,  # noqa: ANN401  # by the kind
        now_s: float,
    ) -> None:
        """Take in what the register answered; ``None`` if it did not."""
        user = self._dispatch.end_ask(ask)
        if user is None:
            return
        try:
            self._take_in(user, ask, answer, now_s)
        except Exception:
            # Whatever a register answers, no heartbeats stop because of it.
            turns.unanswered(user, ask)
            raise
        finally:
            self._dispatch.plan(user, now_s)

    def _take_in(self, user: UserTable, ask: Ask, answer: Any, now_s: float) -> None:  # noqa: ANN401
        if answer is None:
            turns.unanswered(user, ask)
        elif ask.kind is AskKind.HOLD:
            listed.held(user, self.membership, ask, answer, now_s)
        elif ask.kind is AskKind.CLAIM:
            turns.claimed(user, ask, answer, now_s)
        else:
            departing.released(user, self.membership, ask, answer, now_s)

    def noted(self, user_id: str, behind: Sequence[str], now_s: float) -> None:
        """Take in that a heartbeat said something else than is wanted by now."""
        user = self._dispatch.user(user_id)
        if behind and user is not None and user.claims:
            turns.behind(user, now_s)
            self._dispatch.plan(user, now_s)

    def say_again(self, user_id: str, names: Sequence[Again], now_s: float) -> None:
        """Announce names once on behalf of the workers that hold them."""
        if names:
            user = self._dispatch.user_or_new(user_id)
            departing.again(user, names, now_s)
            self._dispatch.plan(user, now_s)

    # How it stands.

    @property
    def leading(self) -> int:
        """How many users this client sends heartbeats for."""
        return sum(_is_kept(user) and self._leads(user) for user in self._users)

    @property
    def following(self) -> int:
        """How many users another client sends heartbeats for at present."""
        return sum(_is_kept(user) and not self._leads(user) for user in self._users)

    @property
    def _users(self) -> list[UserTable]:
        return self._dispatch.everybody()

    def _leads(self, user: UserTable) -> bool:
        listing = user.listing
        return listing is None or not self.membership.is_up or listing.is_leading


def _is_kept(user: UserTable) -> bool:
    return user.has_joined
