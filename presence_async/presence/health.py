"""The health of a user's claims: the worst of the names that each holds."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from .changes import HealthChanged, Narrowed
from .claims import AT_RISK, FRESH, LOST, REFUSED, RELEASED, Claim, LeaseHealth
from .difference import catch_up
from .names import Name
from .user import UserTable

__all__ = ["begin", "hold", "let_go", "mark", "release", "slept", "update"]


def update(user: UserTable, now_s: float, *, is_shared: bool = False) -> None:
    """Derive the health of every claim; report what changed."""
    for claim in user.claims:
        if claim.health is not None and claim.extends is None:
            health, reason = _derived(user, claim, now_s)
            if health is not claim.health:
                _set(user, claim, health, reason, now_s, is_shared=is_shared)


def mark(
    user: UserTable, names: Iterable[Name], trouble: str, *, is_refused: bool = False
) -> None:
    """Note that the latest heartbeat for names failed."""
    table = user.told
    for name in names:
        told = table.get(name)
        if told is not None:
            told.trouble, told.is_refused = trouble, is_refused


def hold(user: UserTable, trouble: str, now_s: float) -> None:
    """Keep the next round waiting; everything that was fine is at risk by that."""
    user.is_held = True
    fine = [name for name, told in user.told.items() if told.trouble is None]
    mark(user, fine, trouble)
    update(user, now_s)


def slept(user: UserTable, seconds: float, now_s: float) -> None:
    """Take off time that the loop clock did not see."""
    for told in user.told.values():
        told.until_s -= seconds
        # At risk until the next heartbeat, whatever else is acknowledged before.
        told.trouble = told.trouble or "time went by unseen"
    for order in user.orders:
        if order.present_until_s:
            order.present_until_s -= seconds
    update(user, now_s, is_shared=True)


def begin(user: UserTable, claim: Claim, now_s: float) -> None:
    """Keep a claim from its first acknowledged heartbeat on."""
    _set(user, claim, FRESH, "joined", now_s)


def release(
    user: UserTable,
    claim: Claim,
    reason: str,
    now_s: float,
    names: tuple[Name, ...] | None = None,
) -> None:
    """Remove a claim for good; ``names`` are what it held last, if not what it has."""
    _set(user, claim, RELEASED, reason, now_s, names=names)
    user.drop(claim)
    user.forget_unwanted()
    catch_up(user, now_s)


def let_go(
    user: UserTable,
    claims: Iterable[Claim],
    channels: Collection[str],
    channel_groups: Collection[str],
    now_s: float,
) -> None:
    """Take names out of claims; those left with none are released."""
    for claim in claims:
        held = claim.names
        claim.channels = tuple(c for c in claim.channels if c not in channels)
        claim.channel_groups = tuple(
            g for g in claim.channel_groups if g not in channel_groups
        )
        if not claim.channels and not claim.channel_groups:
            release(user, claim, "its names were left", now_s, held)
        elif claim.is_joined and claim.names != held:
            user.shared.changes.append(Narrowed(claim, held))
    user.forget_unwanted()
    catch_up(user, now_s)
    update(user, now_s)


def _derived(user: UserTable, claim: Claim, now_s: float) -> tuple[LeaseHealth, str]:
    only, names = user.only_told, claim.names
    if only is not None and names == (only.name,):
        known = [only]
    else:
        table = user.told
        known = [table[name] for name in names if name in table]
    trouble, end_s = None, math.inf
    for told in known:
        if told.is_refused:
            return REFUSED, told.trouble or "refused"
        trouble = trouble or told.trouble
        end_s = min(end_s, told.until_s)
    if end_s <= now_s:
        return LOST, trouble or "the presence timeout has passed"
    if trouble is not None:
        return AT_RISK, trouble
    return FRESH, "heartbeat acknowledged"


def _set(
    user: UserTable,
    claim: Claim,
    health: LeaseHealth,
    reason: str,
    now_s: float,
    *,
    is_shared: bool = False,
    names: tuple[Name, ...] | None = None,
) -> None:
    previous = claim.health
    if previous is health or previous is RELEASED:
        return
    claim.health = health
    latest = None if claim.rare is None else claim.latest
    # As its latest change was one of many, so is its recovery from it.
    is_shared |= user.shared.is_down
    is_shared |= health is FRESH and latest is not None and latest.is_shared
    until_s = user.expires_s(claim)
    names = claim.names if names is None else names
    change = HealthChanged(
        claim, previous, health, reason, now_s, until_s, is_shared, names
    )
    user.shared.changes.append(change)
    if health is not FRESH or (latest is not None and claim.is_followed):
        claim.latest = change
    elif latest is not None:
        claim.latest = None
