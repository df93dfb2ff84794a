"""What follows from a leave for the other workers, and what is said on their behalf."""

from __future__ import annotations

from collections.abc import Sequence

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import JsonError, decode_object
from ..protocol.leave import LeaveOperation
from ..register.values import Again, Departing, Release, Released
from . import leaving, order_queue
from .changes import HeldElsewhere
from .claims import LeaveOrigin, Order, OrderKind, Patience
from .listing import Ask
from .membership import Membership
from .names import Name, channels_of, groups_of, names_of, text_of
from .user import UserTable
from .wire import Failed, Outcome, Refused, Send

__all__ = ["again", "depart", "note", "released"]


def released(
    user: UserTable, membership: Membership, ask: Ask, answer: Released, now_s: float
) -> None:
    """Take in which names have to be left by this client."""
    _unlist(user, ask)
    order = ask.order
    if order is not None and order.hand_over_s:
        order_queue.finish(user, order)
    elif order is not None and not order.is_done:
        operation: LeaveOperation = order.operation
        names = names_of(operation.channels, operation.channel_groups)
        asked = set(ask.value.names) if isinstance(ask.value, Release) else set()
        rest = set(names) - set(answer.leave)
        refused = asked & rest
        if order.may_be_late and refused:
            # An attempt of this client's may have left what another one holds.
            _note_departed(user, membership, tuple(refused))
        if refused:
            held = HeldElsewhere(user.user_id, tuple(refused))
            user.shared.changes.append(held)
        leaving.drop(user, order, refused)
        order.granted, order.granted_s = answer.leave, ask.taken_s
    again(user, answer.again, now_s)


def _unlist(user: UserTable, ask: Ask) -> None:
    listing = user.listing
    if listing is None or not isinstance(ask.value, Release):
        return
    gone = set(ask.value.names)
    rest = {name: wish for name, wish in listing.listed().items() if name not in gone}
    if len(rest) < len(listing.listed()):
        listing.list_wishes(rest)


def note(user: UserTable, membership: Membership, send: Send, outcome: Outcome) -> None:
    """Take in what became of a leave; a further attempt has to be allowed anew."""
    order = send.order
    if order is None:
        return
    operation: LeaveOperation = send.operation  # type: ignore[assignment]  # a leave's
    order.granted = None
    if isinstance(outcome, Failed):
        order.may_be_late |= outcome.has_effect
    elif not isinstance(outcome, Refused):
        names = names_of(operation.channels, operation.channel_groups)
        _note_departed(user, membership, names)


def _note_departed(
    user: UserTable, membership: Membership, names: tuple[Name, ...]
) -> None:
    if membership.is_up:
        membership.departed.append(Departing(user.user_id, names))


def depart(user: UserTable, names: Sequence[Name], now_s: float) -> None:
    """Leave names on behalf of workers that are gone."""
    settings = user.shared.settings
    patience = Patience(now_s, now_s + settings.close_timeout_s, settings.retry)
    order = leaving.leave(
        user,
        channels_of(names),
        groups_of(names),
        (),
        patience,
        until_s=now_s + settings.presence_timeout_s,
    )
    order.not_before_s = now_s
    order.granted, order.granted_s = tuple(names), now_s
    order.is_known, order.origin = True, LeaveOrigin.OTHERS


def again(user: UserTable, names: Sequence[Again], now_s: float) -> None:
    """Announce names once on behalf of the workers that hold them."""
    if not names:
        return
    kept = {name for claim in user.joined for name in claim.names}
    if any(each.name in kept for each in names):
        user.hasten(now_s)
    groups: dict[int, list[Again]] = {}
    for each in names:
        if each.name not in kept and each.timeout_s:
            groups.setdefault(each.timeout_s, []).append(each)
    for timeout_s, part in groups.items():
        _announce(user, timeout_s, part, now_s)


def _announce(
    user: UserTable, timeout_s: int, part: Sequence[Again], now_s: float
) -> None:
    settings = user.shared.settings
    names = tuple(each.name for each in part)
    states = {}
    for each in part:
        if each.state is not None:
            try:
                states[text_of(each.name)] = decode_object(each.state.encode())
            except JsonError:
                continue
    operation = HeartbeatOperation(
        subscribe_key=settings.subscribe_key,
        user_id=user.user_id,
        channels=channels_of(names),
        channel_groups=groups_of(names),
        presence_timeout_s=timeout_s,
        state=states or None,
    )
    patience = Patience(now_s, now_s + settings.close_timeout_s, settings.retry)
    order = Order(OrderKind.HEARTBEAT, user.user_id, patience, operation=operation)
    order.not_before_s = now_s
    order.versions = tuple(each.version for each in part)
    user.orders += (order,)
