"""The end of all presence: one last leave for each user, and what became of it."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ClientClosedError
from . import health, leaving, orders
from .claims import Order, OrderKind, Patience
from .user import UserTable

__all__ = ["Departure", "close"]


class Departure(NamedTuple):
    """One leave at the close.

    Attributes:
        user_id: The user.
        channels: The channels that were held.
        channel_groups: The groups that were held.
        order: The leave, whose ``error`` tells how it went; ``None`` if none is sent.
    """

    user_id: str
    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    order: Order | None


def close(
    user: UserTable, patience: Patience, now_s: float, *, leave: bool
) -> list[Departure]:
    """Release everything of a user and give every leave its last attempts.

    Args:
        user: The user.
        patience: For every leave.
        now_s: Loop time.
        leave: Whether what is held is left; leaves owed before always are.
    """
    heard = [claim for claim in user.claims if user.has_heard(claim)]
    channels = tuple(dict.fromkeys(c for x in heard for c in x.channels))
    groups = tuple(dict.fromkeys(g for x in heard for g in x.channel_groups))
    # One leave for what is held, whatever waits to be left as well.
    leaving.drop_names(user, channels, groups)
    for claim in user.claims:
        health.release(user, claim, "the client was closed", now_s)
    departures = [
        _last(order, patience, now_s)
        for order in user.orders
        if order.kind is OrderKind.LEAVE
    ]
    for order in user.orders:
        if order.kind is OrderKind.LEAVE:
            continue
        error = ClientClosedError(f"the client was closed while {order.name} went on")
        orders.fail(user, order, error, now_s)
    if not heard:
        return departures
    if not leave:
        return [*departures, Departure(user.user_id, channels, groups, None)]
    order = leaving.leave(
        user, channels, groups, heard[0].params, patience, until_s=patience.deadline_s
    )
    return [*departures, _last(order, patience, now_s)]


def _last(order: Order, patience: Patience, now_s: float) -> Departure:
    """Give a leave its last attempts; whoever waits for it waits no longer by that."""
    if order.patience.deadline_s < patience.deadline_s:
        order.caller = order.patience
    order.patience, order.is_last, order.failures = patience, True, 0
    order.not_before_s = now_s
    operation = order.operation
    return Departure(order.user_id, operation.channels, operation.channel_groups, order)
