"""One user's orders, in the order they were asked for: what all kinds of them share."""

from __future__ import annotations

from .changes import Settled
from .claims import Order, Patience, PresenceOperation
from .merging import Beat
from .pace import order_attempt_s
from .patience import retry_s
from .user import UserTable
from .wire import Failed, Send

__all__ = ["drop", "finish", "is_out", "send", "settle", "try_again"]


def is_out(user: UserTable, order: Order) -> bool:
    """Return True if a request of the order is under way."""
    return user.out is not None and user.out.order is order


def send(
    user: UserTable,
    order: Order,
    operation: PresenceOperation,
    now_s: float,
    beat: Beat | None = None,
) -> Send:
    """Return the next request of an order."""
    full_s = user.shared.settings.attempt_timeout_s
    attempt_s = order_attempt_s(user.end_s(now_s) - now_s, full_s)
    patience = order.patience
    if patience.is_endless:
        # A token that never comes must not keep the user's other requests waiting.
        patience = Patience(now_s, now_s + 2 * full_s, patience.retry)
    due_s, params = order.not_before_s, order.params
    return Send(
        user.user_id, operation, params, now_s, attempt_s, patience, due_s, order, beat
    )


def try_again(user: UserTable, order: Order, failed: Failed, now_s: float) -> bool:
    """Put an order off until its next attempt; return False if there is none."""
    shared = user.shared
    attempt_s = shared.settings.attempt_timeout_s
    due_s = retry_s(order, failed, now_s, attempt_timeout_s=attempt_s, rng=shared.rng)
    if due_s is not None:
        order.not_before_s = due_s
    return due_s is not None


def drop(user: UserTable, order: Order) -> None:
    """Take an order out of the queue."""
    if user.orders == (order,):
        user.orders = ()
    else:
        user.orders = tuple(x for x in user.orders if x is not order)


def finish(
    user: UserTable,
    order: Order,
    error: Exception | None = None,
    value: object = None,
) -> None:
    """End an order and tell whoever waits for it."""
    drop(user, order)
    order.is_done, order.error = True, error
    settle(user, order, error, value)


def settle(
    user: UserTable, order: Order, error: Exception | None, value: object = None
) -> None:
    """Tell whoever waits for an order; it may go on all the same."""
    for ticket in order.tickets:
        user.shared.changes.append(Settled(ticket, error, value))
    order.tickets = ()
