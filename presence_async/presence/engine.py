"""The presence of all users: who is sent what, and when. Pure.

Wishes and outcomes go in, requests and changes come out. The engine starts nothing,
waits for nothing and logs nothing; every method takes ``now_s`` and returns at once.
The shell calls ``take`` until it returns ``None``, sends what it got, hands each outcome
to ``answered``, acts on ``drain`` and comes back at ``next_s``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from ..deadlines import DueHeap
from ..errors import ClientClosedError, LeaseReleasedError
from . import orders
from .changes import Change, OutageBegan, OutageEnded, OutageGoesOn, UserForgotten
from .claims import (
    Claim,
    LeaseHealth,
    Order,
    OrderKind,
    Params,
    Patience,
    State,
    names_of,
)
from .outage import Outage
from .pace import attempt_limit_s, first_attempt_s, hold_s, retry_gap_s
from .user import Round, Settings, Shared, UserTable
from .wire import Acknowledged, Outcome, Purpose, Send

__all__ = ["Departure", "PresenceEngine"]

_REPORT_EVERY_S = 60.0
_OUTAGE = "the service cannot be reached"


class Departure:
    """One user's leave at the close, and what became of it.

    Attributes:
        user_id: The user.
        channels: The channels that were held.
        channel_groups: The groups that were held.
        order: The leave; ``None`` if none is sent.
    """

    def __init__(
        self,
        user_id: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        order: Order | None,
    ) -> None:
        self.user_id = user_id
        self.channels = channels
        self.channel_groups = channel_groups
        self.order = order


class PresenceEngine:
    """Decides about every request that changes presence.

    Args:
        settings: The figures to go by.
        rng: Spreads retries; a seeded one makes every decision repeatable.
    """

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self._settings = settings
        self._shared = Shared(settings, rng)
        self._users: dict[str, UserTable] = {}
        self._due: DueHeap[UserTable] = DueHeap()
        self._alarms: DueHeap[UserTable] = DueHeap()
        self._outage = Outage()
        self._out = 0
        self._next_entry_s = 0.0
        self._held_until_s = 0.0
        self._report_at_s = math.inf
        self._versions = 0
        self._tickets = 0
        self._departures: list[Departure] = []
        self._is_closing = False
        self._sent: dict[str, int] = {"heartbeats": 0, "failed": 0}

    def __iter__(self) -> Iterator[UserTable]:
        return iter(list(self._users.values()))

    # Wishes. Each returns the number of the change that settles it.

    def join(self, claim: Claim, patience: Patience, now_s: float) -> int:
        """Keep what a claim wants, from its first acknowledged heartbeat on."""
        if claim.state is not None and claim.extends is None:
            claim.state_version = self._next_version()
        user = self._user(claim.user_id)
        user.claims.append(claim)
        order = Order(
            kind=OrderKind.JOIN,
            user_id=claim.user_id,
            patience=patience,
            claim=claim,
            params=claim.params,
            not_before_s=now_s,
        )
        return self._enqueue(user, order, now_s)

    def release(self, claim: Claim, patience: Patience, now_s: float) -> int | None:
        """End a claim; its leave goes out after its linger time.

        Returns:
            The number of the change that settles the leave; ``None`` if the claim had
            ended before.
        """
        user = self._users.get(claim.user_id)
        if user is None or claim not in user.claims:
            return None
        held_s = now_s + claim.linger_s
        user.release(claim, "left", now_s)
        user.catch_up(now_s)
        ticket = self._next_ticket() if not claim.linger_s else None
        orders.leave(
            user,
            claim.channels,
            claim.channel_groups,
            params=claim.params,
            patience=_shifted(patience, held_s),
            until_s=held_s + claim.presence_timeout_s,
            ticket=ticket,
            not_before_s=held_s,
        )
        self._plan(user, now_s)
        return ticket

    def narrow(
        self,
        claim: Claim,
        channels: tuple[str, ...],
        patience: Patience,
        now_s: float,
    ) -> int:
        """Take channels out of a claim and leave those no other claim holds."""
        user = self._holding(claim)
        claim.channels = tuple(c for c in claim.channels if c not in set(channels))
        user.forget_unwanted()
        user.catch_up(now_s)
        user.update_health(now_s)
        ticket = self._next_ticket()
        orders.leave(
            user,
            channels,
            (),
            params=claim.params,
            patience=patience,
            until_s=now_s + claim.presence_timeout_s,
            ticket=ticket,
            not_before_s=now_s,
        )
        self._plan(user, now_s)
        return ticket

    def leave(
        self,
        user_id: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        params: Params,
        patience: Patience,
        now_s: float,
    ) -> int:
        """Take names out of every claim of a user, then leave them."""
        user = self._user(user_id)
        until_s = now_s + self._settings.presence_timeout_s
        until_s = max([until_s, *(user.expires_s(claim) for claim in user.claims)])
        for claim in list(user.claims):
            claim.channels = tuple(c for c in claim.channels if c not in channels)
            claim.channel_groups = tuple(
                g for g in claim.channel_groups if g not in channel_groups
            )
            if not claim.channels and not claim.channel_groups:
                user.release(claim, "its names were left", now_s)
        user.forget_unwanted()
        user.update_health(now_s)
        ticket = self._next_ticket()
        orders.leave(
            user,
            channels,
            channel_groups,
            params=params,
            patience=patience,
            until_s=until_s,
            ticket=ticket,
            not_before_s=now_s,
        )
        self._plan(user, now_s)
        return ticket

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
        claim.state, claim.state_version = state, self._next_version()
        is_patch = gather_s is not None
        if is_patch:
            for order in user.orders:
                if order.claim is claim and order.is_patch and not order.has_begun:
                    order.tickets.append(self._next_ticket())
                    return order.tickets[-1]
        order = Order(
            kind=OrderKind.CLAIM_STATE,
            user_id=claim.user_id,
            patience=patience,
            claim=claim,
            params=claim.params,
            not_before_s=now_s + (gather_s or 0.0),
            is_patch=is_patch,
        )
        return self._enqueue(user, order, now_s)

    def say(self, order: Order, now_s: float) -> int:
        """Say something once: a heartbeat without a claim, or a state for names.

        Claims that hold the names keep the state.
        """
        user = self._user(order.user_id)
        if order.kind is OrderKind.STATE:
            operation = order.operation
            order.version = self._next_version()
            names = names_of(operation.channels, operation.channel_groups)
            user.note_state(names, operation.state, order.version)
        order.not_before_s = now_s
        return self._enqueue(user, order, now_s)

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
        self._plan(user, now_s)
        return send

    def retry_refused(self, user_id: str | None, now_s: float) -> None:
        """Try at once what was refused, of one user or of all."""
        for user in self:
            is_meant = user_id is None or user.user_id == user_id
            if is_meant and any(told.is_refused for told in user.told.values()):
                user.hasten(now_s)
                self._plan(user, now_s)

    def slept(self, seconds: float, now_s: float) -> None:
        """Take in time that the loop clock did not see; everybody is due now."""
        self._end_outage(now_s)
        self._held_until_s = 0.0
        for user in self:
            user.slept(seconds, now_s)
        self._hasten(list(self), now_s)

    # The wire.

    def take(self, now_s: float) -> Send | None:
        """Return the next request to send now; ``None`` if there is none."""
        self._ring(now_s)
        if self._is_full or now_s < self._next_entry_s:
            return None
        if self._outage.is_down and not self._outage.is_probing:
            send = self._probe(now_s)
            if send is not None:
                return self._start(send, now_s)
        while (user := self._due.pop_due(now_s)) is not None:
            send = self._next(user, now_s)
            if send is not None:
                # Planned once it is out: until then the user may look forgotten.
                return self._start(send, now_s)
            self._plan(user, now_s)
        return None

    def answered(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Take in the outcome of a request."""
        user = self._users[send.user_id]
        user.out = None
        self._out -= 1
        if not isinstance(outcome, Acknowledged) and send.purpose is Purpose.KEEP:
            self._sent["failed"] += 1
        if not user.confirm(send, outcome):
            if send.purpose is Purpose.KEEP:
                user.kept(send, outcome, now_s)
            else:
                orders.note_effect(user, send, outcome, now_s)
                orders.answered(user, send, outcome, now_s)
                self._note_join(send, outcome, now_s)
            # After it was taken in: a claim that has just joined repeats its own.
            user.note_doubt(send, outcome, now_s)
            self._settle(user, now_s)
        self._plan(user, now_s)

    def park(self, send: Send) -> None:
        """Give the place of a request to others while its token is fetched."""
        self._out -= 1

    def unpark(self, send: Send) -> None:
        """Take a place again, over the limit if need be: a token has waited enough."""
        self._out += 1

    @property
    def next_s(self) -> float:
        """When to call ``take`` again; ``math.inf`` if only an answer can change it."""
        due_s = math.inf
        if not self._is_full:
            due_s = self._due.next_due_s
            if self._outage.is_down and not self._outage.is_probing:
                due_s = min(due_s, self._probe_s)
            due_s = max(due_s, self._next_entry_s)
        return min(due_s, self._alarms.next_due_s, self._report_at_s)

    def drain(self) -> list[Change]:
        """Return what has changed since the last call."""
        changes = self._shared.changes
        if changes:
            self._shared.changes = []
        return changes

    # How it stands.

    @property
    def leases(self) -> list[Claim]:
        """Every claim that is kept, those still joining left out."""
        return [claim for user in self._users.values() for claim in user.joined]

    @property
    def leaving(self) -> int:
        """How many leaves and repeats are still owed."""
        return sum(
            sum(order.kind is OrderKind.LEAVE for order in user.orders)
            + (len(user.doubts.repeats) if user.doubts is not None else 0)
            + (user.out is not None and user.out.purpose is Purpose.REPEAT)
            for user in self._users.values()
        )

    @property
    def heartbeats_sent(self) -> int:
        """Heartbeats that kept claims, since the start."""
        return self._sent["heartbeats"]

    @property
    def heartbeats_failed(self) -> int:
        """Of these, how many were not acknowledged."""
        return self._sent["failed"]

    @property
    def next_heartbeat_s(self) -> float:
        """When the next heartbeat of any user is due."""
        return min((user.due_s for user in self._users.values()), default=math.inf)

    def holds(self, claim: Claim) -> bool:
        """Return True if a claim is kept or still joining."""
        user = self._users.get(claim.user_id)
        return user is not None and claim in user.claims

    def expires_s(self, claim: Claim) -> float:
        """Return when the first name of a claim runs out."""
        user = self._users.get(claim.user_id)
        return 0.0 if user is None else user.expires_s(claim)

    def late(self, now_s: float) -> tuple[list[str], int]:
        """Return whose heartbeats are overdue, and how many of these have run out."""
        users = [user for user in self._users.values() if user.due_s <= now_s]
        return [u.user_id for u in users], sum(u.end_s(now_s) <= now_s for u in users)

    # Closing.

    def close(self, patience: Patience, now_s: float, *, leave: bool) -> None:
        """Keep nothing any more; give every leave its last attempts.

        Args:
            patience: For every leave.
            now_s: Loop time.
            leave: Whether users who are held are left; leaves owed before always are.
        """
        self._is_closing = True
        self._end_outage(now_s)
        for user in self:
            self._close(user, patience, now_s, leave=leave)
            self._plan(user, now_s)

    @property
    def is_done(self) -> bool:
        """Return True if nothing is left to be said after ``close``."""
        return not self.leaving

    @property
    def departures(self) -> list[Departure]:
        """What became of every user at the close."""
        return self._departures

    def abort(self) -> None:
        """Settle whatever callers wait for: nothing will be sent any more."""
        closed = ClientClosedError("closed before the service acknowledged it")
        for user in self:
            for order in list(user.orders):
                error = order.error or closed
                orders.finish(user, order, 0.0, error)
            user.claims.clear()
            user.orders.clear()
        for departure in self._departures:
            if departure.order is not None and not departure.order.is_done:
                departure.order.error = departure.order.error or closed

    def _close(
        self, user: UserTable, patience: Patience, now_s: float, *, leave: bool
    ) -> None:
        heard = [c for c in user.claims if c.is_joined or c.is_announced]
        channels = tuple(dict.fromkeys(c for x in heard for c in x.channels))
        groups = tuple(dict.fromkeys(g for x in heard for g in x.channel_groups))
        params = heard[0].params if heard else ()
        # One leave for what is held, whatever waits to be left as well.
        orders.drop_names(user, channels, groups, now_s)
        for claim in list(user.claims):
            user.release(claim, "the client was closed", now_s)
        for order in list(user.orders):
            if order.kind is OrderKind.LEAVE:
                order.patience, order.is_last = patience, True
                order.failures, order.not_before_s = 0, now_s
                operation = order.operation
                self._departures.append(
                    Departure(
                        user.user_id,
                        operation.channels,
                        operation.channel_groups,
                        order,
                    )
                )
            else:
                error = ClientClosedError(
                    f"the client was closed while {order.kind.value} was under way"
                )
                orders.finish(user, order, now_s, error)
        if heard:
            last: Order | None = None
            if leave:
                last = orders.leave(
                    user,
                    channels,
                    groups,
                    params=params,
                    patience=patience,
                    until_s=patience.deadline_s,
                    not_before_s=now_s,
                )
                last.is_last = True
            self._departures.append(Departure(user.user_id, channels, groups, last))

    # Users.

    def _user(self, user_id: str) -> UserTable:
        user = self._users.get(user_id)
        if user is None:
            user = self._users[user_id] = UserTable(user_id, self._shared)
        return user

    def _holding(self, claim: Claim) -> UserTable:
        user = self._users.get(claim.user_id)
        if user is None or claim not in user.claims:
            raise LeaseReleasedError
        return user

    def _enqueue(self, user: UserTable, order: Order, now_s: float) -> int:
        ticket = self._next_ticket()
        order.tickets.append(ticket)
        user.orders.append(order)
        self._plan(user, now_s)
        return ticket

    def _next_ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def _next_version(self) -> int:
        self._versions += 1
        return self._versions

    def _plan(self, user: UserTable, now_s: float) -> None:
        """Put a user where it will be looked at next, or forget it."""
        if user.out is None:
            if user.is_idle(now_s):
                self._forget(user)
                return
            wake_s = user.wake_s(now_s)
            if user.orders:
                wake_s = min(wake_s, orders.wake_s(user, now_s))
            self._due.put(user, wake_s)
        else:
            self._due.discard(user)
        alarm_s = user.end_s(now_s)
        if alarm_s <= now_s:
            alarm_s = math.inf
        if user.orders:
            alarm_s = min(alarm_s, orders.deadline_s(user))
        # One entry a user is enough: when it rings too early, it is set again.
        if alarm_s < self._alarms.due_s(user):
            self._alarms.put(user, alarm_s)

    def _forget(self, user: UserTable) -> None:
        self._due.discard(user)
        self._alarms.discard(user)
        if self._users.pop(user.user_id, None) is not None:
            self._shared.changes.append(UserForgotten(user.user_id))

    def _ring(self, now_s: float) -> None:
        """Look at users whose presence or whose callers' time has run out."""
        while (user := self._alarms.pop_due(now_s)) is not None:
            user.update_health(now_s)
            orders.expire(user, now_s)
            self._plan(user, now_s)
        if now_s >= self._report_at_s:
            self._report_at_s = now_s + _REPORT_EVERY_S
            users, at_risk, lost = self._count()
            since_s = now_s - self._outage.since_s
            self._shared.changes.append(OutageGoesOn(users, at_risk, lost, since_s))

    # Who sends what.

    @property
    def _is_full(self) -> bool:
        return self._out >= self._settings.max_in_flight

    def _start(self, send: Send, now_s: float) -> Send:
        user = self._users[send.user_id]
        user.out = send
        self._out += 1
        if self._settings.max_requests_per_s:
            self._next_entry_s = now_s + 1 / self._settings.max_requests_per_s
        if send.purpose is Purpose.KEEP:
            self._sent["heartbeats"] += 1
        self._plan(user, now_s)
        return send

    def _next(self, user: UserTable, now_s: float) -> Send | None:
        """Return a user's next request: heartbeats first, then orders, then repeats."""
        send = user.confirmation()
        if send is not None:
            return send
        if self._may_keep(user, now_s):
            send = user.heartbeat(now_s)
            if send is not None:
                return send
            self._settle(user, now_s)
        return orders.next_send(user, now_s) or user.repeat(now_s)

    def _may_keep(self, user: UserTable, now_s: float) -> bool:
        """Begin a round if one is due; return True if one is under way."""
        if user.round is not None:
            return True
        if user.due_s > now_s or user.is_held or self._is_closing:
            return False
        if self._outage.is_down:
            self._hold(user, now_s)
            return False
        wait_until_s = self._wait_until_s(user, now_s)
        if wait_until_s > now_s:
            user.due_s = wait_until_s
            return False
        user.begin_round(self._attempt_s(user, now_s))
        return True

    def _settle(self, user: UserTable, now_s: float) -> None:
        """End a round that has nothing left to send and nothing out."""
        current = user.round
        if current is None or current.beats or user.out is not None:
            return
        if user.is_confirming:
            return
        user.round = None
        if current.is_answered:
            self._reached(now_s)
        user.failures = user.failures + 1 if current.is_pressing else 0
        if user.failures:
            self._failed(user, current, now_s)
        else:
            user.plan_next(now_s)
        if current.again_s < math.inf:
            user.hasten(current.again_s)

    def _note_join(self, send: Send, outcome: Outcome, now_s: float) -> None:
        order = send.order
        is_join = order is not None and order.kind is OrderKind.JOIN
        if is_join and isinstance(outcome, Acknowledged):
            self._reached(now_s)

    # How long, and how soon again.

    def _attempt_s(self, user: UserTable, now_s: float) -> float:
        """Return how long a heartbeat of a user may be on the wire."""
        full_s = self._settings.attempt_timeout_s
        remaining_s = user.end_s(now_s) - now_s
        if not user.failures and not self._outage.is_down:
            return first_attempt_s(remaining_s, full_s)
        limit_s = attempt_limit_s(remaining_s, full_s)
        if not self._outage.is_down:
            return limit_s
        # One user's probe must not take the time that is left to others.
        return min(limit_s, attempt_limit_s(self._hurry_s(now_s), full_s))

    def _failed(self, user: UserTable, current: Round, now_s: float) -> None:
        """Plan the next round of a user after one that failed."""
        end_s = user.end_s(now_s)
        is_telling = current.is_about_service and not current.is_answered
        if is_telling and self._outage.failed(user.user_id):
            self._go_down(now_s)
        hurry_s = self._hurry_s(now_s) if self._outage.is_down else end_s - now_s
        gap_s = retry_gap_s(hurry_s, self._shared.rng)
        self._outage.probe_at_s = now_s + gap_s
        if current.retry_after_s is not None:
            self._hold_back(current.retry_after_s, now_s)
            attempt_s = self._settings.attempt_timeout_s
            gap_s = max(gap_s, hold_s(current.retry_after_s, end_s - now_s, attempt_s))
        if not user.has_joined:
            # Released while the heartbeat was out: there is nothing to send again.
            return
        user.not_before_s = user.due_s = now_s + gap_s
        if self._outage.is_down:
            self._hold(user, now_s)

    def _wait_until_s(self, user: UserTable, now_s: float) -> float:
        """Return until when a user who is due has to wait all the same.

        A user who failed waits for its own gap. Anyone else obeys what the service asked
        of all, unless that is longer than their presence can wait.
        """
        if user.failures:
            return user.not_before_s
        wait_s = self._held_until_s - now_s
        if wait_s <= 0:
            return now_s
        remaining_s = user.end_s(now_s) - now_s
        if hold_s(wait_s, remaining_s, self._settings.attempt_timeout_s) < wait_s:
            return now_s
        return self._held_until_s

    def _hold_back(self, retry_after_s: float, now_s: float) -> None:
        """Hold everybody back; those who cannot wait are sorted out when due."""
        attempt_s = self._settings.attempt_timeout_s
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
        attempt_s = self._settings.attempt_timeout_s
        return self._outage.nearest_end_s(now_s + attempt_s / 4) - now_s

    def _go_down(self, now_s: float) -> None:
        users = [user for user in self._users.values() if user.has_joined]
        self._outage.begin(users, now_s)
        self._shared.is_down = True
        self._hold_back(self._held_until_s - now_s, now_s)
        self._report_at_s = now_s + _REPORT_EVERY_S
        self._shared.changes.append(OutageBegan(*self._count()))

    def _hold(self, user: UserTable, now_s: float) -> None:
        """Keep a user who is due waiting for the end of the outage."""
        user.is_held = True
        user.trouble(_OUTAGE, now_s)

    @property
    def _probe_s(self) -> float:
        return max(self._outage.probe_at_s, self._held_until_s)

    def _probe(self, now_s: float) -> Send | None:
        if self._probe_s > now_s or self._is_closing:
            return None
        user = self._outage.next_probe(now_s)
        if user is not None:
            self._outage.prober = user
            user.due_s = min(user.due_s, now_s)
            user.begin_round(self._attempt_s(user, now_s))
            return self._next(user, now_s)
        if self._outage.is_forsaken:
            self._end_outage(now_s)
        else:
            self._outage.probe_at_s = now_s + retry_gap_s(0.0, self._shared.rng)
        return None

    def _reached(self, now_s: float) -> None:
        """Note that the service answers; after an outage everybody who waits is due."""
        if self._end_outage(now_s):
            self._held_until_s = 0.0
            waiting = [x for x in self if x.is_held or x.failures]
            self._hasten(waiting, now_s)

    def _end_outage(self, now_s: float) -> bool:
        if not self._outage.end():
            return False
        users, _, lost = self._count()
        since_s = now_s - self._outage.since_s
        self._report_at_s = math.inf
        self._shared.is_down = False
        self._shared.changes.append(OutageEnded(users, lost, since_s))
        return True

    def _hasten(self, users: list[UserTable], now_s: float) -> None:
        """Make users due within the bounds, first those who can still be saved."""
        ends_s = {user: user.end_s(now_s) for user in users if user.has_joined}
        for user in sorted(ends_s, key=lambda x: (ends_s[x] <= now_s, ends_s[x])):
            user.is_held = False
            user.hasten(now_s)
            self._plan(user, now_s)

    def _count(self) -> tuple[int, int, int]:
        """Return how many users are kept, and how many leases are at risk and lost."""
        healths = [claim.health for claim in self.leases]
        users = sum(user.has_joined for user in self._users.values())
        at_risk = healths.count(LeaseHealth.AT_RISK)
        return users, at_risk, healths.count(LeaseHealth.LOST)


def _shifted(patience: Patience, started_s: float) -> Patience:
    """Return the same patience from a later moment on."""
    later_s = started_s - patience.started_s
    return Patience(started_s, patience.deadline_s + later_s, patience.retry)
