"""What callers asked for, said in sequence: joins, states, heartbeats and leaves.

A user's orders go out in the order they were asked for. One that fails is tried again
by its caller's patience; a leave goes on after that, until it is acknowledged, refused,
or the service has timed the user out anyway.
"""

from __future__ import annotations

import math

from ..errors import ClientClosedError, DeadlineError, LeaseReleasedError
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.splitting import split
from ..protocol.user_state import SetStateOperation
from . import (
    difference,
    handing_over,
    health,
    joining,
    leaving,
    order_queue,
)
from .claims import Claim, Order, OrderKind, Patience
from .listing import Ask
from .names import groups_of, names_of
from .patience import is_blocking, overdue
from .user import UserTable
from .wire import Acknowledged, Failed, Outcome, Send

__all__ = [
    "about",
    "answered",
    "deadline_s",
    "expire",
    "fail",
    "gathering",
    "give_up",
    "next_send",
    "note_effect",
    "wake_s",
]


def about(kind: str, claim: Claim, patience: Patience) -> Order:
    """Return an order about a claim."""
    return Order(kind, claim.user_id, patience, claim, None, claim.params)


def gathering(user: UserTable, claim: Claim) -> Order | None:
    """Return the patches of a claim that still wait for more of them."""
    return next(
        (x for x in user.orders if x.claim is claim and x.is_patch and not x.has_begun),
        None,
    )


# When, and what next.


def wake_s(user: UserTable, now_s: float) -> float:
    """Return when the first order of a user that nothing holds back is due."""
    due_s = math.inf
    for order in user.orders:
        due_s = min(due_s, order.not_before_s)
        if is_blocking(order, now_s):
            break
    return due_s


def deadline_s(user: UserTable) -> float:
    """Return when the first caller's time is up.

    Of an order whose request is out, the request's own time limit sees to that.
    """
    due_s = math.inf
    out = None if user.out is None else user.out.order
    for order in user.orders:
        if order.caller is not None:
            due_s = min(due_s, order.told_by_s)
        if order is not out:
            due_s = min(due_s, order.patience.deadline_s)
    return due_s


def expire(user: UserTable, now_s: float) -> None:
    """Tell every caller whose time is up; fail their orders, but for leaves."""
    for order in user.orders:
        if order.told_by_s <= now_s:
            # The leave itself goes on until the close ends.
            order_queue.settle(user, order, _overdue(user, order))
        if order.patience.deadline_s <= now_s and not order_queue.is_out(user, order):
            error = _overdue(user, order)
            if order.kind is OrderKind.LEAVE:
                failed = Failed(error, has_effect=False, is_about_service=False)
                leaving.failed(user, order, failed, now_s)
            else:
                fail(user, order, error, now_s)


def _overdue(user: UserTable, order: Order) -> DeadlineError:
    cause = "max_beats_in_flight and max_requests_per_s left it no place until then"
    if order_queue.is_out(user, order):
        cause = "its request was still under way"
    elif user.out is not None or order is not user.orders[0]:
        cause = "an earlier request of the same user was still under way"
    return overdue(order, cause)


def next_send(user: UserTable, now_s: float) -> Send | Ask | None:
    """Return the request of the first order that may go out now."""
    if user.orders and deadline_s(user) <= now_s:
        # Of who waits for a turn that comes at once no alarm has rung.
        expire(user, now_s)
    for order in user.orders:
        if order.not_before_s > now_s:
            if is_blocking(order, now_s):
                return None
            continue
        send = _send_of(user, order, now_s)
        if send is not None:
            order.has_begun = True
            return send
    return None


def _send_of(user: UserTable, order: Order, now_s: float) -> Send | Ask | None:
    """Return the next request of an order; finish the order if there is none."""
    if order.kind is OrderKind.JOIN:
        return joining.next_send(user, order, now_s)
    if order.kind is OrderKind.LEAVE:
        return leaving.next_send(user, order, now_s)
    sharing = user.shared.sharing
    if sharing is not None and handing_over.lasts(order, now_s):
        names = names_of(order.operation.channels, order.operation.channel_groups)
        return sharing.ask_leave(user, order, names, now_s)
    if order.parts is None and not _begin(user, order):
        order_queue.finish(user, order, LeaseReleasedError())
        return None
    return order_queue.send(user, order, order.parts[0], now_s)


def _begin(user: UserTable, order: Order) -> bool:
    """Split what is to be said into requests; return False if it makes no sense now."""
    if order.kind is OrderKind.CLAIM_STATE:
        claim = order.its_claim
        if claim not in user.claims:
            return False
        order.operation, order.version = _state_of(user, claim), claim.state_version
    is_heartbeat = order.kind is OrderKind.HEARTBEAT
    order.parts = [order.operation] if is_heartbeat else list(split(order.operation))
    return True


def _state_of(user: UserTable, claim: Claim) -> SetStateOperation:
    return SetStateOperation(
        subscribe_key=user.shared.settings.subscribe_key,
        user_id=user.user_id,
        channels=claim.channels,
        channel_groups=claim.channel_groups,
        state=claim.state or {},
        acting_user_id=user.user_id,
    )


# What came of it.


def note_effect(user: UserTable, send: Send, outcome: Outcome, now_s: float) -> None:
    """Expect the worst of what a request may have done to names that claims hold.

    Not of a join that succeeded, which says itself what it has done.
    """
    if not user.claims:
        return
    is_acknowledged = isinstance(outcome, Acknowledged) and not send.is_join
    may_have_effect = isinstance(outcome, Failed) and outcome.has_effect
    if not is_acknowledged and not may_have_effect:
        return
    operation = send.operation
    if isinstance(operation, SetStateOperation):
        return
    if isinstance(operation, HeartbeatOperation):
        since_s = send.taken_s
        if isinstance(outcome, Acknowledged):
            since_s = outcome.sent_at_s - outcome.age_s
        user.shorten(operation, since_s + operation.presence_timeout_s)
        health.update(user, now_s)
        difference.catch_up(user, now_s)
    # A channel may be a member of a group: leaving one may end the other.
    if operation.channel_groups or groups_of(user.held()):
        user.hasten(now_s)


def answered(user: UserTable, send: Send, outcome: Outcome, now_s: float) -> None:
    """Take in the outcome of an order's request."""
    order = send.order
    if order is None or order not in user.orders:
        return
    order.attempts += 1
    if order.kind is OrderKind.JOIN:
        joining.note_heard(order, outcome)
    if isinstance(outcome, Acknowledged):
        order.failures, order.error = 0, None
        _acknowledged(user, order, send, outcome, now_s)
        return
    order.error = outcome.error
    order.failures += 1
    if order.kind is OrderKind.LEAVE:
        leaving.failed(user, order, outcome, now_s)
        return
    if isinstance(outcome, Failed) and order_queue.try_again(
        user, order, outcome, now_s
    ):
        return
    if not handing_over.is_kept_on(user, order):
        fail(user, order, outcome.error, now_s)


def _acknowledged(
    user: UserTable, order: Order, send: Send, answer: Acknowledged, now_s: float
) -> None:
    if order.kind is OrderKind.JOIN:
        joining.acknowledged(user, order, send, answer, now_s)
        return
    if order.kind is OrderKind.LEAVE:
        leaving.acknowledged(user, order, send)
        return
    operation = send.operation
    if order.is_about_state:
        names = set(names_of(operation.channels, operation.channel_groups))
        for told in user.told.values():
            if told.name in names:
                told.version = order.version
    replies = order.replies = (*order.replies, answer.value)
    order.parts.pop(0)
    if not order.parts and not handing_over.is_kept_on(user, order):
        value = replies[0] if len(replies) == 1 else order.operation.merged(replies)
        order_queue.finish(user, order, None, value)


def fail(user: UserTable, order: Order, error: Exception, now_s: float) -> None:
    """End an order without success."""
    if order.kind is OrderKind.JOIN:
        joining.dismiss(user, order.its_claim, now_s)
    order_queue.finish(user, order, error)


def give_up(user: UserTable, ticket: int, now_s: float) -> Send | None:
    """Forget a caller who waits no longer.

    Returns:
        The request under way on its behalf alone, which may be cut.
    """
    order = next((x for x in user.orders if ticket in x.tickets), None)
    if order is None:
        return None
    order.tickets = tuple(x for x in order.tickets if x != ticket)
    order.is_known = False
    # A leave is owed whoever waits for it, and a patch belongs to the lease by now.
    if order.kind is OrderKind.LEAVE or order.is_patch:
        return None
    out = user.out if order_queue.is_out(user, order) else None
    # A question to the register is not cut.
    out = None if isinstance(out, Ask) else out
    fail(user, order, ClientClosedError("nobody waits for it"), now_s)
    return out
