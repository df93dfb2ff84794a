"""The presence of all users: who is sent what, and when. Pure.

Wishes and outcomes go in, requests and changes come out. The engine starts nothing,
waits for nothing and logs nothing; every method takes ``now_s`` and returns at once.
The shell calls ``take`` until it returns ``None``, sends what it got, hands each
outcome to ``answered``, acts on ``drain`` and comes back at ``next_s``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from ..errors import ClientClosedError, LeaseReleasedError
from . import closing, health, joining, leaving, lone, orders, overview
from .changes import Change
from .claims import REFUSED, Claim, Order, OrderKind, Params, Patience, State
from .dispatch import Dispatcher
from .names import names_of
from .places import Places
from .settings import Settings, Shared
from .tracking import Tracking
from .user import UserTable
from .wire import Outcome, Send

__all__ = ["PresenceEngine"]

_LAST_REPEAT_S = 1.0


class PresenceEngine:
    """Decides about every request that changes presence.

    Args:
        settings: The figures to go by.
        rng: Spreads retries; a seeded one makes every decision repeatable.

    Attributes:
        shared: What all users share; with a register, the connection to it.
        dispatch: Who sends what next.
        tracking: Whether the service lists the users it acknowledges.
        departures: What became of every user at the close.
    """

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._users: dict[str, UserTable] = {}
        self.shared: Shared = Shared(settings, rng, self._users)
        self.dispatch: Dispatcher = Dispatcher(self.shared, self._users)
        self.tracking: Tracking = Tracking(self._users, self.dispatch)
        self._tickets = 0
        self.departures: list[closing.Departure] = []

    def __iter__(self) -> Iterator[UserTable]:
        return iter(list(self._users.values()))

    # Wishes. Each returns the ticket of the change that settles it.

    def join(self, claim: Claim, patience: Patience, now_s: float) -> int:
        """Keep what a claim wants, from its first acknowledged heartbeat on."""
        if claim.state is not None and claim.extends is None:
            claim.state_version = self.shared.next_version(now_s)
        user = self._user(claim.user_id)
        # The same strings for all leases of a user, and for all users of a channel.
        claim.user_id = user.user_id
        claim.channels = self.shared.interned(claim.channels)
        user.claims += (claim,)
        order = orders.about(OrderKind.JOIN, claim, patience)
        user.orders += (order,)
        return self._owe(user, order, now_s)

    def release(self, claim: Claim, patience: Patience, now_s: float) -> int | None:
        """End a claim; its leave goes out after its linger time.

        Returns:
            The ticket of the leave; ``None`` if there is nothing to wait for, since
            the claim lingers or had ended before.
        """
        if not self.holds(claim):
            return None
        user = self._users[claim.user_id]
        present_until_s = user.expires_s(claim)
        health.release(user, claim, "left", now_s)
        linger_s, timeout_s = claim.linger_s, claim.presence_timeout_s
        names = (claim.channels, claim.channel_groups)
        until_s = now_s + linger_s + timeout_s
        order = leaving.leave(user, *names, claim.params, patience, until_s=until_s)
        if not linger_s:
            return self._owe(user, order, now_s)
        order.not_before_s = now_s + linger_s
        order.present_until_s = present_until_s
        order.patience = patience.later(linger_s)
        self.dispatch.plan(user, now_s)
        return None

    def narrow(
        self, claim: Claim, channels: tuple[str, ...], patience: Patience, now_s: float
    ) -> int:
        """Take channels out of a claim and leave those no other claim holds."""
        user = self._holding(claim)
        health.let_go(user, [claim], channels, (), now_s)
        until_s = now_s + claim.presence_timeout_s
        order = leaving.leave(
            user, channels, (), claim.params, patience, until_s=until_s
        )
        return self._owe(user, order, now_s)

    def leave(
        self,
        user_id: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        *,
        params: Params,
        patience: Patience,
        now_s: float,
    ) -> int:
        """Take names out of every claim of a user, then leave them."""
        user = self._user(user_id)
        ends_s = [user.expires_s(claim) for claim in user.claims]
        until_s = max([now_s + self._settings.presence_timeout_s, *ends_s])
        health.let_go(user, user.claims, channels, channel_groups, now_s)
        names = (channels, channel_groups)
        order = leaving.leave(user, *names, params, patience, until_s=until_s)
        return self._owe(user, order, now_s)

    def set_claim_state(
        self,
        claim: Claim,
        state: State,
        patience: Patience,
        now_s: float,
        *,
        gather_s: float | None = None,
    ) -> int:
        """Give a claim another state and tell the service.

        Args:
            claim: The claim; its later heartbeats carry the state whatever happens.
            state: The whole state.
            patience: How long to try.
            now_s: Loop time.
            gather_s: Seconds during which further patches join this request.
        """
        user = self._holding(claim)
        claim.state = state
        claim.state_version = self.shared.next_version(now_s)
        if gather_s is None:
            order = orders.about(OrderKind.CLAIM_STATE, claim, patience)
            return self._enqueue(order, now_s)
        gathering = orders.gathering(user, claim)
        if gathering is not None:
            gathering.tickets += (self._next_ticket(),)
            return gathering.tickets[-1]
        order = orders.about(OrderKind.CLAIM_STATE, claim, patience)
        order.is_patch, order.not_before_s = True, now_s + gather_s
        return self._enqueue(order, now_s)

    def say(self, order: Order, now_s: float) -> int:
        """Say something once: a heartbeat without a claim, or a state for names.

        Claims that hold the names keep the state.
        """
        if order.kind is OrderKind.STATE:
            operation = order.operation
            order.version = self.shared.next_version(now_s)
            names = names_of(operation.channels, operation.channel_groups)
            user = self._user(order.user_id)
            user.note_state(names, operation.state, order.version)
        elif lone.is_lone(order, self._users):
            user = self._users[order.user_id] = UserTable(order.user_id, self.shared)
            user.orders, order.not_before_s = (order,), now_s
            self._tickets += 1
            order.tickets = (self._tickets,)
            self.dispatch.say_alone(user, now_s)
            return self._tickets
        return self._enqueue(order, now_s)

    def give_up(self, user_id: str, ticket: int, now_s: float) -> Send | None:
        """Forget a caller who was cancelled.

        Returns:
            The request under way on its behalf alone, which should be cut; its outcome
            is still owed.
        """
        user = self._users.get(user_id)
        if user is None:
            return None
        send = orders.give_up(user, ticket, now_s)
        self.dispatch.plan(user, now_s)
        return send

    def take_back(self, claim: Claim, now_s: float) -> None:
        """Undo a join whose caller was cancelled when it had just been acknowledged."""
        user = self._users.get(claim.user_id)
        if user is not None:
            joining.take_back(user, claim, now_s)
            self.dispatch.plan(user, now_s)

    def retry_refused(self, user_id: str | None, now_s: float) -> None:
        """Try at once what was refused, of one user or of all."""
        for user in self:
            is_meant = user_id is None or user.user_id == user_id
            if is_meant and any(claim.health is REFUSED for claim in user.claims):
                user.hasten(now_s)
                self.dispatch.plan(user, now_s)

    def slept(self, seconds: float, now_s: float) -> None:
        """Take in time that the loop clock did not see; everybody is due now."""
        self.dispatch.backoff.start_over(now_s)
        if self.shared.sharing is not None:
            self.shared.sharing.slept(seconds)
        for user in self:
            health.slept(user, seconds, now_s)
        self.dispatch.hasten(self, now_s)

    def close(
        self,
        patience: Patience,
        now_s: float,
        *,
        leave: bool,
        hand_over_s: float | None = None,
    ) -> None:
        """Keep nothing any more; give every leave its last attempts.

        Args:
            patience: For every leave and last heartbeat.
            now_s: Loop time.
            leave: Whether users who are held are left; leaves owed before always are.
            hand_over_s: Seconds for another process to join the users again. Above 0,
                a last heartbeat with this presence timeout is sent instead of a leave,
                whatever ``leave`` says.
        """
        self.dispatch.is_closing = True
        self.dispatch.backoff.end_outage(now_s)
        # Later repeats would not be sent at all.
        self.shared.repeat_by_s = max(now_s, patience.deadline_s - _LAST_REPEAT_S)
        for user in self:
            if user.doubts is not None:
                user.doubts.bring_forward(self.shared.repeat_by_s)
            self.departures += closing.close(
                user, patience, now_s, leave=leave, hand_over_s=hand_over_s
            )
            self.dispatch.plan(user, now_s)

    def abort(self, now_s: float) -> None:
        """Settle whatever callers wait for: nothing will be sent any more."""
        closed = ClientClosedError("closed before the service acknowledged it")
        for user in self:
            for order in user.orders:
                orders.fail(user, order, order.error or closed, now_s)
            user.claims, user.orders = (), ()

    # The wire.

    def take(self, now_s: float) -> Send | None:
        """Return the next request to send now; ``None`` if there is none."""
        if self.shared.sharing is not None:
            self.shared.sharing.keep(now_s)
        return self.dispatch.take(now_s)

    def answered(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Take in the outcome of a request."""
        self.dispatch.answered(send, outcome, now_s)

    def abandon(self, send: Send, now_s: float) -> None:
        """End a request after a fault, with or without an outcome; its user goes on."""
        self.dispatch.abandon(send, now_s)

    @property
    def next_s(self) -> float:
        """When to call ``take`` again; ``math.inf`` if only an answer can change it."""
        next_s, sharing = self.dispatch.next_s, self.shared.sharing
        return next_s if sharing is None else min(next_s, sharing.next_s)

    @property
    def places(self) -> Places:
        """Who may be on the wire."""
        return self.dispatch.places

    @property
    def heartbeats_sent(self) -> int:
        """Heartbeats that kept claims, since the start."""
        return self.dispatch.heartbeats_sent

    @property
    def heartbeats_failed(self) -> int:
        """Of these, how many were not acknowledged."""
        return self.dispatch.heartbeats_failed

    @property
    def is_done(self) -> bool:
        """Return True if nothing is left to be said after ``close``."""
        return not overview.is_leaving(self._users.values())

    @property
    def is_down(self) -> bool:
        """Return True while the service cannot be reached, as an outage is reported."""
        return self.shared.is_down

    def drain(self) -> list[Change]:
        """Return what has changed since the last call."""
        changes, self.shared.changes = self.shared.changes, []
        return changes

    @property
    def has_users(self) -> bool:
        """Return True if anything is wanted or owed, of any user."""
        return bool(self._users)

    def holds(self, claim: Claim) -> bool:
        """Return True if a claim is kept or still joining."""
        user = self._users.get(claim.user_id)
        return user is not None and claim in user.claims

    def expires_s(self, claim: Claim) -> float:
        """Return when the first name of a claim runs out."""
        user = self._users.get(claim.user_id)
        return 0.0 if user is None else user.expires_s(claim)

    # Users.

    def _user(self, user_id: str) -> UserTable:
        return self.dispatch.user_or_new(user_id)

    def _holding(self, claim: Claim) -> UserTable:
        if not self.holds(claim):
            raise LeaseReleasedError
        return self._users[claim.user_id]

    def _enqueue(self, order: Order, now_s: float) -> int:
        user = self._user(order.user_id)
        user.orders += (order,)
        return self._owe(user, order, now_s)

    def _owe(self, user: UserTable, order: Order, now_s: float) -> int:
        """Let a caller wait for an order of the user's queue."""
        order.not_before_s = max(order.not_before_s, now_s)
        order.tickets += (self._next_ticket(),)
        order.is_known = True
        self.dispatch.plan(user, now_s)
        return order.tickets[-1]

    def _next_ticket(self) -> int:
        self._tickets += 1
        return self._tickets
