"""Handing users over to the next process: a last, short heartbeat instead of a leave.

The service itself then times out whoever is not back in time, so observers of a deploy
see neither a leave nor a join.
"""

from __future__ import annotations

import math

from ..protocol.heartbeat import HeartbeatOperation
from .claims import Order, OrderKind, Params, Patience
from .names import Name, channels_of, groups_of, names_of
from .user import UserTable

__all__ = ["SHORTEST_S", "hand_over", "lingering", "presence_timeout_s", "refused"]

SHORTEST_S = 20
"""The shortest presence timeout that PubNub documents.

Source: the documentation of PubNub's SDKs (read 2026-11), of which the one for Go
raises shorter timeouts to it. The service was recorded to accept shorter ones, too.
"""


def presence_timeout_s(hand_over_s: float) -> int:
    """Return the presence timeout of last heartbeats: whole seconds, 20 or more."""
    return max(math.ceil(hand_over_s), SHORTEST_S)


def lingering(user: UserTable, now_s: float) -> dict[Name, Params]:
    """Return the names that only linger, each with the parameters of its leave.

    Not those that another leave is about as well, nor those of users who may have
    timed out meanwhile: a heartbeat would make them join.
    """
    leaves = [order for order in user.orders if order.kind is OrderKind.LEAVE]
    waiting = [order for order in leaves if _lingers(order, now_s)]
    going_on = {n for order in leaves if order not in waiting for n in _names(order)}
    return {
        name: order.params
        for order in waiting
        if now_s < order.present_until_s
        for name in _names(order)
        if name not in going_on
    }


def refused(user: UserTable) -> set[Name]:
    """Return the names whose latest heartbeat the service refused."""
    return {told.name for told in user.told.values() if told.is_refused}


def hand_over(
    user: UserTable,
    names: list[Name],
    params: Params,
    patience: Patience,
    now_s: float,
    *,
    hand_over_s: float,
) -> Order:
    """Owe a last heartbeat; without a state, so that the service keeps the one it has.

    With a register none is sent: it keeps the user, and another worker leaves whoever
    is not back in time.

    Args:
        user: The user.
        names: What to be present on.
        params: Query parameters beside the client's.
        patience: How long to try.
        now_s: Loop time.
        hand_over_s: Seconds for another process to join the user again.
    """
    operation = HeartbeatOperation(
        subscribe_key=user.shared.settings.subscribe_key,
        user_id=user.user_id,
        channels=channels_of(names),
        channel_groups=groups_of(names),
        presence_timeout_s=presence_timeout_s(hand_over_s),
    )
    order = Order(OrderKind.HAND_OVER, user.user_id, patience, None, operation, params)
    order.not_before_s, order.hand_over_s = now_s, hand_over_s
    user.orders += (order,)
    return order


def _lingers(order: Order, now_s: float) -> bool:
    """Return True if a leave still waits for its user to be back."""
    is_untried = not order.has_begun and not order.is_overdue
    return is_untried and order.present_until_s > 0 and order.not_before_s > now_s


def _names(order: Order) -> tuple[Name, ...]:
    return names_of(order.operation.channels, order.operation.channel_groups)
