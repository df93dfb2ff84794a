"""How all users stand, counted on request: for statistics, logs and the close."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import NamedTuple

from .claims import AT_RISK, LOST, Claim, OrderKind
from .user import UserTable
from .wire import Purpose

__all__ = [
    "Standing",
    "claims",
    "is_leaving",
    "late",
    "leaving",
    "next_heartbeat_s",
    "overdue",
    "standing",
]

_OWED = (OrderKind.LEAVE, OrderKind.HAND_OVER)


class Standing(NamedTuple):
    """How many users are kept, and how many of their leases are not fresh."""

    users: int
    at_risk: int
    lost: int


def claims(users: Iterable[UserTable]) -> list[Claim]:
    """Return every claim that is kept, those still joining left out."""
    return [claim for user in users for claim in user.joined]


def standing(users: Collection[UserTable]) -> Standing:
    """Return how many users are kept, and how they fare."""
    healths = [claim.health for claim in claims(users)]
    return Standing(
        sum(user.has_joined for user in users),
        healths.count(AT_RISK),
        healths.count(LOST),
    )


def leaving(users: Iterable[UserTable]) -> int:
    """Return how many leaves, last heartbeats and repeats are still owed."""
    return sum(_owed(user) for user in users)


def is_leaving(users: Iterable[UserTable]) -> bool:
    """Return True if a leave, a last heartbeat or a repeat is still owed."""
    # Asked after each leave of a close: it must not look at all users each time.
    return any(_owed(user) for user in users)


def _owed(user: UserTable) -> int:
    owed = sum(order.kind in _OWED for order in user.orders)
    if user.doubts is not None:
        owed += len(user.doubts.repeats)
    if user.out is not None:
        owed += user.out.purpose is Purpose.REPEAT
    if not owed and not user.claims and user.listing is not None:
        # The register has to be told that the user is not held any more.
        sharing = user.shared.sharing
        owed += sharing is not None and sharing.is_listed(user)
    return owed


def next_heartbeat_s(users: Iterable[UserTable]) -> float:
    """Return when the next heartbeat of any user is due."""
    return min((user.due_s for user in users), default=math.inf)


def overdue(users: Iterable[UserTable], now_s: float) -> dict[str, float]:
    """Return whose heartbeats are overdue, and since when."""
    return {user.user_id: user.due_s for user in users if user.due_s <= now_s}


def late(users: Iterable[UserTable], now_s: float) -> tuple[list[str], int]:
    """Return whose heartbeats are overdue, and how many of these have run out."""
    overdue = [user for user in users if user.due_s <= now_s]
    lost = sum(user.end_s(now_s) <= now_s for user in overdue)
    return [user.user_id for user in overdue], lost
