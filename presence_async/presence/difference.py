"""The difference between the two columns of a user, and the heartbeats that say it."""

from __future__ import annotations

from collections.abc import Collection

from .claims import FRESH, Claim
from .merging import Beat, Wanted, merged, simple, wanted
from .names import Name
from .user import UserTable

__all__ = ["beats", "catch_up"]


def beats(
    user: UserTable, names: Collection[Name] | None = None, *extra: Claim
) -> list[Beat]:
    """Return the heartbeats for names that the claims that have joined want.

    Args:
        user: The user.
        names: Some of them; ``None``: all.
        extra: Claims to say as well that have not joined.
    """
    key = user.shared.settings.subscribe_key
    if names is None and len(user.claims) == 1:
        (only,) = user.claims
        is_plain = only.health is FRESH or only in extra
        is_plain = is_plain and (user.listing is None or user.listing.others is None)
        if is_plain and (user.rare is None or user.states is None):
            beat = simple(key, only)
            if beat is not None:
                return [beat]
    table = _wanted(user, *extra)
    if names is not None:
        table = {name: entry for name, entry in table.items() if name in names}
    refused = [told.name for told in user.told.values() if told.is_refused]
    return merged(key, user.user_id, table, refused)


def catch_up(user: UserTable, now_s: float) -> None:
    """Make a round due if a timeout or state told is not the one wanted now.

    A state that an order is about to tell is not missing.
    """
    if not user.claims or _is_plainly_as_wanted(user):
        return
    is_telling = any(order.is_about_state for order in user.orders)
    known = user.told
    for name, entry in _wanted(user).items():
        told = known.get(name)
        if told is not None and (
            told.timeout_s != entry.timeout_s
            or (told.version != entry.version and not is_telling)
        ):
            user.hasten(now_s)
            return


def _is_plainly_as_wanted(user: UserTable) -> bool:
    """Return True if the only claim, for its only name, says nothing of state."""
    told = user.only_told
    if told is None or user.rare is not None or len(user.claims) > 1:
        return False
    if user.listing is not None and user.listing.others is not None:
        return False
    (only,) = user.claims
    is_stateless = only.rare is None and told.version == -1
    return is_stateless and told.timeout_s == only.presence_timeout_s


def _wanted(user: UserTable, *extra: Claim) -> dict[Name, Wanted]:
    claims = [c for c in user.claims if c.health is not None or c in extra]
    others = None if user.listing is None else user.listing.others
    return wanted(claims, user.states or {}, others)
