"""Leaves: owed until they are acknowledged, refused by the service, or pointless."""

from __future__ import annotations

from collections.abc import Collection

from ..protocol.leave import LeaveOperation
from ..protocol.splitting import split
from . import order_queue
from .changes import LeaveGivenUp
from .claims import Order, OrderKind, Params, Patience, PresenceOperation
from .listing import Ask
from .names import Name, channels_of, groups_of, names_of
from .patience import LEAVE_PACE_S, NO_RETRY
from .user import UserTable
from .wire import Failed, Refused, Send

__all__ = ["acknowledged", "drop", "drop_names", "failed", "leave", "next_send"]


def leave(
    user: UserTable,
    channels: tuple[str, ...],
    channel_groups: tuple[str, ...],
    params: Params,
    patience: Patience,
    *,
    until_s: float,
) -> Order:
    """Owe a leave; it is sent without the names that claims hold by then."""
    operation = LeaveOperation(
        subscribe_key=user.shared.settings.subscribe_key,
        user_id=user.user_id,
        channels=channels,
        channel_groups=channel_groups,
    )
    order = Order(
        OrderKind.LEAVE, user.user_id, patience, None, operation, params, until_s
    )
    user.orders += (order,)
    return order


def drop_names(
    user: UserTable,
    channels: tuple[str, ...],
    channel_groups: tuple[str, ...],
) -> None:
    """Take names to which a user is back out of the leaves that wait."""
    for order in user.orders:
        if order.kind is OrderKind.LEAVE:
            _shrink(order, {*channels}, {*channel_groups})
            if not order.operation.channels and not order.operation.channel_groups:
                order_queue.finish(user, order)


def drop(user: UserTable, order: Order, names: Collection[Name]) -> None:
    """Take names out of a leave, and end it with its last one."""
    _shrink(order, {*channels_of(names)}, {*groups_of(names)})
    if not order.operation.channels and not order.operation.channel_groups:
        order_queue.finish(user, order)


def _shrink(order: Order, channels: set[str], groups: set[str]) -> None:
    operation: LeaveOperation = order.operation
    order.operation = operation.about(
        tuple(c for c in operation.channels if c not in channels),
        tuple(g for g in operation.channel_groups if g not in groups),
    )


def next_send(user: UserTable, order: Order, now_s: float) -> Send | Ask | None:
    """Return the leave without names that a claim holds again by now.

    With a register, first the question whether somebody else holds them.
    """
    operation: LeaveOperation = order.operation
    held = user.held()
    names = names_of(operation.channels, operation.channel_groups)
    rest = [name for name in names if name not in held]
    if not rest:
        order_queue.finish(user, order)
        return None
    sharing = user.shared.sharing
    if sharing is not None and not sharing.may_leave(user, order, rest, now_s):
        return sharing.ask_leave(user, order, rest, now_s)
    if len(rest) < len(names):
        operation = operation.about(channels_of(rest), groups_of(rest))
    # Sent part by part: the order shrinks with each acknowledgement.
    part = split(operation)[0]
    send = order_queue.send(user, order, part, now_s)  # type: ignore[arg-type]  # a part of a leave
    if sharing is not None:
        send.patience = send.patience.ending(sharing.leave_by_s(order))
    return send


def acknowledged(user: UserTable, order: Order, send: Send) -> None:
    """Note what was left; the order ends with its last name."""
    operation = send.operation
    _end_linger(user, order, operation)
    if operation is not order.operation:
        _shrink(order, {*operation.channels}, {*operation.channel_groups})
        if order.operation.channels or order.operation.channel_groups:
            return
    order_queue.finish(user, order)


def _end_linger(user: UserTable, done: Order, operation: PresenceOperation) -> None:
    """Take names that were left out of the leaves that linger: nobody is there now."""
    for order in user.orders:
        if order is not done and order.present_until_s and not order.has_begun:
            _shrink(order, {*operation.channels}, {*operation.channel_groups})
            if not order.operation.channels and not order.operation.channel_groups:
                order_queue.finish(user, order)


def failed(
    user: UserTable, order: Order, outcome: Failed | Refused, now_s: float
) -> None:
    """Try a leave again, by its caller's patience first, at a slow pace later."""
    order.error = outcome.error
    if isinstance(outcome, Failed) and order_queue.try_again(
        user, order, outcome, now_s
    ):
        return
    order_queue.settle(user, order, outcome.error)
    is_pointless = now_s + LEAVE_PACE_S >= order.until_s
    # A token provider that failed may do better; a service that refuses will not.
    is_final = isinstance(outcome, Refused) and outcome.is_about_service
    if is_final or is_pointless or order.is_last:
        order_queue.drop(user, order)
        order.is_done = True
        user.shared.changes.append(
            LeaveGivenUp(
                user.user_id,
                outcome.error,
                order.is_known,
                user.shared.is_down,
                names_of(order.operation.channels, order.operation.channel_groups),
            )
        )
        return
    order.is_overdue, order.failures = True, 0
    order.not_before_s = now_s + LEAVE_PACE_S
    attempt_s = user.shared.settings.attempt_timeout_s
    order.patience = Patience(
        order.not_before_s, order.not_before_s + attempt_s, NO_RETRY
    )
