"""What callers asked for, said in sequence: joins, states, heartbeats and leaves.

A user's orders go out in the order they were asked for. One that fails is tried again
by its caller's patience; a leave goes on after that, until it is acknowledged, refused,
or the service has timed the user out anyway.
"""

from __future__ import annotations

import math

from ..errors import LeaseReleasedError
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.leave import LeaveOperation
from ..protocol.splitting import split
from ..protocol.user_state import SetStateOperation
from .changes import LeaveGivenUp, Settled
from .claims import (
    Claim,
    Name,
    Order,
    OrderKind,
    Params,
    Patience,
    channels_of,
    groups_of,
    names_of,
)
from .merging import Beat, merged
from .patience import LEAVE_PACE_S, NO_RETRY, is_blocking, overdue, retry_s
from .user import UserTable
from .wire import Acknowledged, Failed, Outcome, Purpose, Refused, Send

__all__ = [
    "answered",
    "deadline_s",
    "dismiss",
    "drop_names",
    "expire",
    "finish",
    "give_up",
    "leave",
    "next_send",
    "note_effect",
    "wake_s",
]


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
    """Return when the first caller's time is up whose order waits to be sent."""
    return min(
        (
            order.patience.deadline_s
            for order in user.orders
            if not _is_out(user, order)
        ),
        default=math.inf,
    )


def expire(user: UserTable, now_s: float) -> None:
    """Fail every waiting order whose caller's time is up."""
    for order in list(user.orders):
        if order.patience.deadline_s <= now_s and not _is_out(user, order):
            error = overdue(order)
            failed = Failed(error, has_effect=False, is_about_service=False)
            if order.kind is OrderKind.LEAVE:
                _leave_failed(user, order, failed, now_s)
            else:
                finish(user, order, now_s, error)


def next_send(user: UserTable, now_s: float) -> Send | None:
    """Return the request of the first order that may go out now."""
    for order in list(user.orders):
        if order.not_before_s > now_s:
            if is_blocking(order, now_s):
                return None
            continue
        send = _send_of(user, order, now_s)
        if send is not None:
            order.has_begun = True
            return send
    return None


def _is_out(user: UserTable, order: Order) -> bool:
    return user.out is not None and user.out.order is order


def _send_of(user: UserTable, order: Order, now_s: float) -> Send | None:
    """Return the next request of an order; finish the order if there is none."""
    if order.kind is OrderKind.JOIN:
        return _join(user, order, now_s)
    if order.kind is OrderKind.LEAVE:
        return _leave(user, order, now_s)
    if order.kind is OrderKind.CLAIM_STATE and order.parts is None:
        claim = order.claim
        if claim is None or claim not in user.claims:
            finish(user, order, now_s, LeaseReleasedError())
            return None
        order.operation = _state_of(user, claim)
        order.version = claim.state_version
    if order.parts is None:
        is_heartbeat = order.kind is OrderKind.HEARTBEAT
        order.parts = [order.operation] if is_heartbeat else split(order.operation)
    return _send(user, order, order.parts[0], now_s)


def _send(
    user: UserTable,
    order: Order,
    operation: object,
    now_s: float,
    beat: Beat | None = None,
) -> Send:
    attempt_s = user.shared.settings.attempt_timeout_s
    started_s, deadline_s = order.patience.started_s, order.patience.deadline_s
    if order.patience.is_endless:
        # A token that never comes must not keep the user's other requests waiting.
        started_s, deadline_s = now_s, now_s + 2 * attempt_s
    return Send(
        user_id=user.user_id,
        operation=operation,  # type: ignore[arg-type]  # one of the three
        params=order.params,
        taken_s=now_s,
        attempt_s=attempt_s,
        started_s=started_s,
        deadline_s=deadline_s,
        due_s=order.not_before_s,
        purpose=Purpose.ORDER,
        order=order,
        beat=beat,
        attempts=order.attempts,
    )


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

    Not of one that keeps them, nor of a join that succeeded.
    """
    is_acknowledged = isinstance(outcome, Acknowledged)
    is_join = send.order is not None and send.order.kind is OrderKind.JOIN
    may_have_effect = isinstance(outcome, Failed) and outcome.has_effect
    if not may_have_effect and (is_join or not is_acknowledged):
        return
    operation = send.operation
    if isinstance(operation, HeartbeatOperation):
        since_s = send.taken_s
        if isinstance(outcome, Acknowledged):
            since_s = outcome.sent_at_s - outcome.age_s
        user.shorten(operation, since_s + operation.presence_timeout_s)
        user.update_health(now_s)
        user.catch_up(now_s)
    if isinstance(operation, SetStateOperation):
        return
    # A channel may be a member of a group: leaving one may end the other.
    if operation.channel_groups or any(name.is_group for name in user.held()):
        user.hasten(now_s)


def answered(user: UserTable, send: Send, outcome: Outcome, now_s: float) -> None:
    """Take in the outcome of an order's request."""
    order = send.order
    if order is None or order not in user.orders:
        return
    order.attempts += 1
    if order.kind is OrderKind.JOIN:
        _note_heard(order, outcome)
    if isinstance(outcome, Acknowledged):
        order.failures, order.error = 0, None
        _acknowledged(user, order, send, outcome, now_s)
        return
    order.error = outcome.error
    order.failures += 1
    if order.kind is OrderKind.LEAVE:
        _leave_failed(user, order, outcome, now_s)
    elif isinstance(outcome, Refused):
        finish(user, order, now_s, outcome.error)
    else:
        due_s = _retry_s(user, order, outcome, now_s)
        if due_s is None:
            finish(user, order, now_s, outcome.error)
        else:
            order.not_before_s = due_s


def _retry_s(
    user: UserTable, order: Order, failed: Failed, now_s: float
) -> float | None:
    return retry_s(
        order,
        failed,
        now_s,
        attempt_timeout_s=user.shared.settings.attempt_timeout_s,
        rng=user.shared.rng,
    )


def _acknowledged(
    user: UserTable, order: Order, send: Send, answer: Acknowledged, now_s: float
) -> None:
    if order.kind is OrderKind.JOIN:
        _join_acknowledged(user, order, send, answer, now_s)
        return
    if order.kind is OrderKind.LEAVE:
        _leave_acknowledged(user, order, send, now_s)
        return
    operation = send.operation
    if order.kind is not OrderKind.HEARTBEAT:
        for name in names_of(operation.channels, operation.channel_groups):
            told = user.told.get(name)
            if told is not None:
                told.version = order.version
    order.replies.append(answer.value)
    if order.parts:
        order.parts.pop(0)
    if not order.parts:
        replies = order.replies
        is_split = len(replies) > 1
        value = order.operation.merged(replies) if is_split else replies[0]
        finish(user, order, now_s, None, value)


def finish(
    user: UserTable,
    order: Order,
    now_s: float,
    error: Exception | None,
    value: object = None,
) -> None:
    """End an order and tell whoever waits for it."""
    if order in user.orders:
        user.orders.remove(order)
    order.is_done, order.error = True, error
    if error is not None and order.kind is OrderKind.JOIN and order.claim is not None:
        dismiss(user, order.claim, now_s)
    _settle(user, order, error, value)


def _settle(
    user: UserTable, order: Order, error: Exception | None, value: object = None
) -> None:
    user.shared.changes.extend(Settled(t, error, value) for t in order.tickets)
    order.tickets.clear()


def give_up(user: UserTable, ticket: int, now_s: float) -> Send | None:
    """Forget a caller who waits no longer.

    Returns:
        The request under way on its behalf alone, which may be cut.
    """
    order = next((x for x in user.orders if ticket in x.tickets), None)
    if order is None:
        return None
    order.tickets.remove(ticket)
    # A leave is owed whoever waits for it, and a patch belongs to the lease by now.
    if order.kind is OrderKind.LEAVE or order.is_patch:
        return None
    out = user.out if _is_out(user, order) else None
    user.orders.remove(order)
    order.is_done = True
    if order.kind is OrderKind.JOIN and order.claim is not None:
        dismiss(user, order.claim, now_s)
    return out


# Joining.


def _join(user: UserTable, order: Order, now_s: float) -> Send | None:
    """Return a heartbeat for names of the joining claim alone.

    The first heartbeat travels alone, so that a refusal is about this claim and
    nothing else.
    """
    claim = order.claim
    beats = [] if claim is None else _beats_of(user, claim, order.parts)
    if claim is None or not beats:
        _joined(user, order, now_s)
        return None
    order.parts = [beat.names for beat in beats]
    claim.is_announced = True
    return _send(user, order, beats[0].operation, now_s, beats[0])


def _beats_of(
    user: UserTable, claim: Claim, parts: list[tuple[Name, ...]] | None
) -> list[Beat]:
    names = set(claim.names)
    if parts is not None:
        names &= {name for part in parts for name in part}
    table = user.wanted(claim)
    mine = {name: entry for name, entry in table.items() if name in names}
    return merged(user.shared.settings.subscribe_key, user.user_id, mine)


def _note_heard(order: Order, outcome: Outcome) -> None:
    order.was_heard |= isinstance(outcome, Acknowledged) or (
        isinstance(outcome, Failed) and outcome.has_effect
    )
    if order.claim is not None:
        order.claim.is_announced = order.was_heard


def _join_acknowledged(
    user: UserTable, order: Order, send: Send, answer: Acknowledged, now_s: float
) -> None:
    beat, claim = send.beat, order.claim
    if beat is None or claim is None:
        return
    timeout_s = beat.operation.presence_timeout_s
    until_s = answer.sent_at_s + timeout_s - answer.age_s
    wanted = set(claim.names)
    known = [n in wanted for n in beat.names]
    user.tell(
        [n for n, is_known in zip(beat.names, known, strict=True) if is_known],
        [v for v, is_known in zip(beat.versions, known, strict=True) if is_known],
        until_s,
        timeout_s,
    )
    # Other claims may hold some of the names.
    user.update_health(now_s)
    order.parts = (order.parts or [])[1:]
    if not order.parts:
        _joined(user, order, now_s)


def _joined(user: UserTable, order: Order, now_s: float) -> None:
    claim = order.claim
    error: Exception | None = None
    if claim is None or claim not in user.claims:
        # All its names were left while it was joining.
        error = LeaseReleasedError()
    else:
        drop_names(user, claim.channels, claim.channel_groups, now_s)
        if claim.extends is None:
            user.begin(claim, now_s)
        elif claim.extends in user.claims:
            _extend(user, claim, claim.extends)
        else:
            error = LeaseReleasedError()
    if error is None:
        user.place(now_s)
        user.update_health(now_s)
        user.catch_up(now_s)
    finish(user, order, now_s, error)


def _extend(user: UserTable, claim: Claim, lease: Claim) -> None:
    """Let a lease take over the names that were added to it."""
    user.claims.remove(claim)
    lease.channels += tuple(c for c in claim.channels if c not in lease.channels)


def dismiss(user: UserTable, claim: Claim, now_s: float) -> None:
    """Take back a claim whose join failed or was cancelled."""
    if claim not in user.claims:
        return
    names = (claim.channels, claim.channel_groups)
    was_announced = claim.is_announced
    user.claims.remove(claim)
    user.forget_unwanted()
    if was_announced:
        settings = user.shared.settings
        patience = Patience(now_s, now_s + settings.close_timeout_s, settings.retry)
        until_s = now_s + claim.presence_timeout_s
        leave(user, *names, params=claim.params, patience=patience, until_s=until_s)


# Leaving.


def leave(
    user: UserTable,
    channels: tuple[str, ...],
    channel_groups: tuple[str, ...],
    *,
    params: Params,
    patience: Patience,
    until_s: float,
    ticket: int | None = None,
    not_before_s: float = 0.0,
) -> Order:
    """Owe a leave; it is sent without the names that claims hold by then."""
    order = Order(
        kind=OrderKind.LEAVE,
        user_id=user.user_id,
        patience=patience,
        operation=LeaveOperation(
            subscribe_key=user.shared.settings.subscribe_key,
            user_id=user.user_id,
            channels=channels,
            channel_groups=channel_groups,
        ),
        params=params,
        until_s=until_s,
        tickets=[] if ticket is None else [ticket],
        is_known=ticket is not None,
        not_before_s=not_before_s,
    )
    user.orders.append(order)
    return order


def drop_names(
    user: UserTable,
    channels: tuple[str, ...],
    channel_groups: tuple[str, ...],
    now_s: float,
) -> None:
    """Take names to which a user is back out of the leaves that wait."""
    for order in list(user.orders):
        if order.kind is OrderKind.LEAVE and not _is_out(user, order):
            _shrink(order, {*channels}, {*channel_groups})
            if not order.operation.channels and not order.operation.channel_groups:
                finish(user, order, now_s, None)


def _shrink(order: Order, channels: set[str], groups: set[str]) -> None:
    operation: LeaveOperation = order.operation
    order.operation = operation.about(
        tuple(c for c in operation.channels if c not in channels),
        tuple(g for g in operation.channel_groups if g not in groups),
    )


def _leave(user: UserTable, order: Order, now_s: float) -> Send | None:
    operation: LeaveOperation = order.operation
    held = user.held()
    names = names_of(operation.channels, operation.channel_groups)
    rest = [name for name in names if name not in held]
    if not rest:
        finish(user, order, now_s, None)
        return None
    part = split(operation.about(channels_of(rest), groups_of(rest)))[0]
    return _send(user, order, part, now_s)


def _leave_acknowledged(
    user: UserTable, order: Order, send: Send, now_s: float
) -> None:
    operation = send.operation
    _shrink(order, {*operation.channels}, {*operation.channel_groups})
    rest: LeaveOperation = order.operation
    if not rest.channels and not rest.channel_groups:
        finish(user, order, now_s, None)


def _leave_failed(
    user: UserTable, order: Order, outcome: Failed | Refused, now_s: float
) -> None:
    """Try a leave again, by its caller's patience first, at a slow pace later."""
    order.error = outcome.error
    if isinstance(outcome, Failed):
        due_s = _retry_s(user, order, outcome, now_s)
        if due_s is not None:
            order.not_before_s = due_s
            return
    _settle(user, order, outcome.error)
    is_pointless = now_s + LEAVE_PACE_S >= order.until_s
    if isinstance(outcome, Refused) or is_pointless or order.is_last:
        user.orders.remove(order)
        order.is_done = True
        user.shared.changes.append(
            LeaveGivenUp(
                user.user_id, outcome.error, order.is_known, user.shared.is_down
            )
        )
        return
    order.is_overdue, order.failures = True, 0
    order.not_before_s = now_s + LEAVE_PACE_S
    attempt_s = user.shared.settings.attempt_timeout_s
    order.patience = Patience(
        order.not_before_s, order.not_before_s + attempt_s, NO_RETRY
    )
