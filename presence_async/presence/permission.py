"""Leaves that a register has to allow: one worker sends them, and only if nobody holds.

While the register is away they wait: who is still online must not be shown offline.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import RegisterError
from ..register.values import Release
from . import order_queue
from .claims import Order, Patience
from .listing import Ask, AskKind
from .membership import Membership
from .names import Name
from .user import UserTable

__all__ = ["ask", "is_granted", "resume", "wait"]

_FRESH_S = 1.0
_COMING_FORWARD_S = 40.0


def ask(
    user: UserTable,
    membership: Membership,
    order: Order,
    names: Sequence[Name],
    now_s: float,
) -> Ask:
    """Return the question whether names may be left."""
    listing = user.listing
    listed = {} if listing is None else listing.listed()
    # Other holders ask whose turn it is once in half a timeout, and come forward then.
    doubt_s = max((listed[name][0] / 2 for name in names if name in listed), default=0)
    if listing is not None and membership.was_forgotten(listing.life):
        # They have noticed it, too.
        doubt_s = min(doubt_s, _COMING_FORWARD_S)
    value = Release(user.user_id, tuple(names), order.hand_over_s, doubt_s)
    return Ask(AskKind.RELEASE, value, now_s, order)


def is_granted(order: Order, names: Sequence[Name], now_s: float) -> bool:
    """Return True if the register has just allowed to leave names.

    The others wait for as long as an attempt takes, counted from the question.
    """
    is_fresh = now_s - order.granted_s <= _FRESH_S
    return order.granted is not None and is_fresh and set(names) <= set(order.granted)


def wait(user: UserTable, order: Order, now_s: float) -> None:
    """Put a leave off until the register is back; its caller does not wait for that."""
    error = RegisterError(
        "the register is away, so another process may hold the user; not left"
    )
    if order.is_last or order.hand_over_s:
        order_queue.drop(user, order)
        order.is_done, order.error = True, error
        order_queue.settle(user, order, error)
        return
    order_queue.settle(user, order, None)
    order.error = error
    # What was said meanwhile the others do not know of.
    order.is_overdue = order.is_waiting = order.may_be_late = True
    order.not_before_s = order.until_s
    order.patience = Patience(now_s, order.until_s, order.patience.retry)


def resume(user: UserTable, now_s: float) -> None:
    """Go on with the leaves that waited."""
    for order in user.orders:
        if order.is_waiting:
            order.is_waiting, order.not_before_s = False, now_s
