"""A single heartbeat of a user of whom nothing else is known, as most of them are.

It needs no place in the timetable, waits for nobody of its user, and leaves nothing
behind when it is acknowledged: 4 us of the engine's where the long way takes 11. At
anything unusual it goes the long way from there.
"""

from __future__ import annotations

from collections.abc import Container

from . import order_queue
from .claims import Order, OrderKind
from .user import UserTable
from .wire import Acknowledged, Outcome, Send

__all__ = ["is_lone", "is_over", "send_of"]


def is_lone(order: Order, users: Container[str]) -> bool:
    """Return True if an order is all there is of its user."""
    is_heartbeat = order.kind is OrderKind.HEARTBEAT
    is_alone = is_heartbeat and order.user_id not in users
    return is_alone and not order.patience.is_endless


def send_of(user: UserTable, now_s: float) -> Send | None:
    """Return the request of a user's only order; ``None``: it is not lone any more."""
    if len(user.orders) != 1 or user.claims:
        return None
    (order,) = user.orders
    if order.kind is not OrderKind.HEARTBEAT or order.patience.deadline_s <= now_s:
        return None
    order.has_begun, order.parts = True, [order.operation]
    attempt_s = user.shared.settings.attempt_timeout_s
    return Send(
        user.user_id,
        order.operation,
        order.params,
        now_s,
        attempt_s,
        order.patience,
        order.not_before_s,
        order,
    )


def is_over(user: UserTable, send: Send, outcome: Outcome) -> bool:
    """End a user's only order if it is acknowledged and nothing is in doubt."""
    order = send.order
    if order is None or order.kind is not OrderKind.HEARTBEAT:
        return False
    if user.orders != (order,) or user.claims or user.rare is not None:
        return False
    if not isinstance(outcome, Acknowledged) or outcome.age_s or outcome.is_in_doubt:
        return False
    user.orders, order.is_done = (), True
    order_queue.settle(user, order, None, outcome.value)
    return True
