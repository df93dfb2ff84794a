"""The end of all presence: the last request about each user, and what became of it."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import ClientClosedError
from . import handing_over, health, leaving, orders
from .claims import Order, OrderKind, Params, Patience
from .names import Name, channels_of, groups_of
from .records import Told
from .user import UserTable

__all__ = ["Departure", "close"]


class Departure(NamedTuple):
    """One leave or last heartbeat at the close.

    Attributes:
        user_id: The user.
        channels: The channels that were held.
        channel_groups: The groups that were held.
        order: The request, whose ``error`` tells how it went; ``None`` if none is sent.
    """

    user_id: str
    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    order: Order | None

    @property
    def is_handed_over(self) -> bool:
        """Return True if the request is a last heartbeat, well or not."""
        return self.order is not None and self.order.kind is OrderKind.HAND_OVER


def close(
    user: UserTable,
    patience: Patience,
    now_s: float,
    *,
    leave: bool,
    hand_over_s: float | None = None,
) -> list[Departure]:
    """Release everything of a user and give every last request its attempts.

    Args:
        user: The user.
        patience: For every request.
        now_s: Loop time.
        leave: Whether what is held is left; leaves owed before always are.
        hand_over_s: Seconds for another process to join the user again, who is sent a
            last heartbeat instead of the leave; also where a leave only lingers. 0 or
            ``None``: the user is left.
    """
    held = _held(user)
    if hand_over_s:
        for name, params in handing_over.lingering(user, now_s).items():
            held.setdefault(name, params)
    refused, told = handing_over.refused(user), user.told
    # One request for what is held, whatever waits to be left as well.
    leaving.drop_names(user, channels_of(held), groups_of(held))
    for claim in user.claims:
        health.release(user, claim, "the client was closed", now_s)
    departures = [
        _last(order, patience, now_s)
        for order in user.orders
        if order.kind is OrderKind.LEAVE
    ]
    _fail_the_rest(user, now_s)
    if not held:
        return departures
    if hand_over_s:
        parts = _apart(held, refused)
        return departures + [
            _hand_over(user, part, told, patience, hand_over_s) for part in parts
        ]
    if leave:
        return [*departures, _leave(user, held, patience, now_s)]
    names = (channels_of(held), groups_of(held))
    return [*departures, Departure(user.user_id, *names, None)]


def _held(user: UserTable) -> dict[Name, Params]:
    """Return the names that the service may have heard of, with their parameters."""
    held: dict[Name, Params] = {}
    for claim in user.claims:
        if user.has_heard(claim):
            for name in claim.names:
                held.setdefault(name, claim.params)
    return held


def _fail_the_rest(user: UserTable, now_s: float) -> None:
    """Fail whatever callers wait for that is no leave."""
    for order in user.orders:
        if order.kind is not OrderKind.LEAVE:
            problem = f"the client was closed while {order.name} went on"
            orders.fail(user, order, ClientClosedError(problem), now_s)


def _leave(
    user: UserTable, held: dict[Name, Params], patience: Patience, now_s: float
) -> Departure:
    """Leave what was held in one go."""
    params = next(iter(held.values()))
    names = (channels_of(held), groups_of(held))
    until_s = patience.deadline_s
    order = leaving.leave(user, *names, params, patience, until_s=until_s)
    return _last(order, patience, now_s)


def _last(order: Order, patience: Patience, now_s: float) -> Departure:
    """Give a leave its last attempts; whoever waits for it waits no longer by that."""
    if order.patience.deadline_s < patience.deadline_s:
        order.caller = order.patience
    order.patience, order.is_last, order.failures = patience, True, 0
    order.not_before_s = now_s
    return _departure(order)


def _hand_over(
    user: UserTable,
    part: dict[Name, Params],
    told: dict[Name, Told],
    patience: Patience,
    hand_over_s: float,
) -> Departure:
    """Send a last heartbeat, or have the register keep the user."""
    order = handing_over.hand_over(user, part, patience, hand_over_s)
    if user.shared.sharing is not None:
        handing_over.keep(order, told)
    return _departure(order)


def _apart(held: dict[Name, Params], refused: set[Name]) -> list[dict[Name, Params]]:
    """Part names that were refused from the others, which they would take down."""
    fine = {name: params for name, params in held.items() if name not in refused}
    rest = {name: params for name, params in held.items() if name in refused}
    return [part for part in (fine, rest) if part]


def _departure(order: Order) -> Departure:
    operation = order.operation
    return Departure(order.user_id, operation.channels, operation.channel_groups, order)
