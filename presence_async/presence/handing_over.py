"""Handing users over to the next process: a last, short heartbeat instead of a leave.

The service itself then times out whoever is not back in time, so observers of a deploy
see neither a leave nor a join.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..protocol.heartbeat import HeartbeatOperation
from .claims import Order, OrderKind, Params, Patience
from .names import Name, channels_of, groups_of, names_of
from .records import Told
from .user import UserTable

__all__ = [
    "SHORTEST_S",
    "hand_over",
    "is_kept_on",
    "keep",
    "lasts",
    "lingering",
    "presence_timeout_s",
    "refused",
]

_SPARE_S = 5

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
    held: Mapping[Name, Params],
    patience: Patience,
    hand_over_s: float,
) -> Order:
    """Owe a last heartbeat; without a state, so that the service keeps the one it has.

    With a register none is sent unless the user would run out: the register keeps the
    user, and another worker leaves whoever is not back in time.

    Args:
        user: The user.
        held: What to be present on, with query parameters beside the client's.
        patience: How long to try, from now on.
        hand_over_s: Seconds for another process to join the user again.
    """
    params = next(iter(held.values()))
    operation = HeartbeatOperation(
        subscribe_key=user.shared.settings.subscribe_key,
        user_id=user.user_id,
        channels=channels_of(held),
        channel_groups=groups_of(held),
        presence_timeout_s=presence_timeout_s(hand_over_s),
    )
    order = Order(OrderKind.HAND_OVER, user.user_id, patience, None, operation, params)
    order.not_before_s, order.hand_over_s = patience.started_s, hand_over_s
    user.orders += (order,)
    return order


def keep(order: Order, table: Mapping[Name, Told]) -> None:
    """With a register: see to it that nobody runs out while they may come back.

    Nor may anybody run out sooner than other workers that hold the user expect.
    """
    told = [table[name] for name in _names(order) if name in table]
    order.present_until_s = min((t.until_s for t in told), default=math.inf)
    shortest_s = presence_timeout_s(order.hand_over_s) + _SPARE_S
    timeout_s = max(shortest_s, max((t.timeout_s for t in told), default=0))
    order.operation = order.operation.lasting(timeout_s)


def lasts(order: Order, now_s: float) -> bool:
    """Return True if a user is present for as long as the register is to keep it."""
    if order.kind is not OrderKind.HAND_OVER:
        return False
    return now_s + order.hand_over_s + _SPARE_S <= order.present_until_s


def is_kept_on(user: UserTable, order: Order) -> bool:
    """Return True if the order goes on: the register has to keep the user now."""
    if order.kind is not OrderKind.HAND_OVER or user.shared.sharing is None:
        return False
    order.present_until_s = math.inf
    return True


def _lingers(order: Order, now_s: float) -> bool:
    """Return True if a leave still waits for its user to be back."""
    is_untried = not order.has_begun and not order.is_overdue
    return is_untried and order.present_until_s > 0 and order.not_before_s > now_s


def _names(order: Order) -> tuple[Name, ...]:
    return names_of(order.operation.channels, order.operation.channel_groups)
