"""What the register lists of a user, and what it has to be told: the third column.

Nothing of this happens without a register.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..protocol.json_codec import JsonError, decode_object, encode_state
from ..register.values import WITHDRAWN, Holding, Release, Standing, Wish
from .claims import Claim, Order
from .difference import catch_up
from .listing import Ask, AskKind, Listing, Other, Wishes
from .membership import Membership
from .merging import Wanted, wanted
from .names import Name, names_of
from .user import UserTable

__all__ = ["held", "is_listed", "next_ask", "note_others", "owes", "to_hold"]

_JUST_NOW_S = 1.0
_SAID_BEFORE_S = 0.001


def owes(user: UserTable, membership: Membership) -> bool:
    """Return True if the register lists something else than is wanted."""
    listing = user.listing
    if not membership.is_up:
        return False
    if listing is not None and listing.life == membership.life:
        if len(user.claims) == 1:
            (only,) = user.claims
            is_plain = only.rare is None and only.health is not None
            if is_plain and listing.is_plainly_of(only):
                return False
    elif not user.claims:
        return False
    return _missing(user, membership, None) != {} or bool(_surplus(user, membership))


def next_ask(user: UserTable, membership: Membership, now_s: float) -> Ask | None:
    """Return what the register has to be told about a user, whatever is due."""
    if not owes(user, membership):
        return None
    if ask := to_hold(user, membership, None, now_s):
        return ask
    surplus = _surplus(user, membership)
    # They were never announced, so there is nothing to leave.
    value = Release(user.user_id, tuple(surplus), math.inf)
    return Ask(AskKind.RELEASE, value, now_s)


def to_hold(
    user: UserTable, membership: Membership, order: Order | None, now_s: float
) -> Ask | None:
    """Return a hold if a name that is wanted is not listed as it is wanted.

    Args:
        user: The user.
        membership: What is known of the register.
        order: The join whose claim is about to be announced.
        now_s: Loop time.
    """
    if not membership.is_up:
        return None
    extra = None if order is None else order.its_claim
    missing = _missing(user, membership, extra)
    if not missing:
        return None
    table = _wanted(user, extra)
    wishes = tuple(_wish(user, name, table[name], now_s) for name in missing)
    value = Holding(user.user_id, wishes)
    return Ask(AskKind.HOLD, value, now_s, order, missing)


def is_listed(user: UserTable, membership: Membership) -> bool:
    """Return True if the register lists this client as a holder of the user."""
    return membership.is_up and bool(_listed(user, membership))


def _wanted(user: UserTable, extra: Claim | None) -> dict[Name, Wanted]:
    """Return what the claims that the service may have heard of want."""
    claims = [c for c in user.claims if c is extra or user.has_heard(c)]
    return wanted(claims, user.states or {})


def _listed(user: UserTable, membership: Membership) -> Wishes:
    listing = user.listing
    if listing is None or listing.life != membership.life:
        return {}
    return listing.listed()


def _missing(user: UserTable, membership: Membership, extra: Claim | None) -> Wishes:
    """Return what is wanted and not listed so.

    A state that an order is about to tell the service is listed after that.
    """
    listed = _listed(user, membership)
    is_telling = any(order.is_about_state for order in user.orders)
    missing = {}
    for name, entry in _wanted(user, extra).items():
        timeout_s, version = listed.get(name, (0, -1))
        if timeout_s != entry.timeout_s or (
            version != entry.version and not is_telling
        ):
            missing[name] = (entry.timeout_s, entry.version)
    return missing


def _surplus(user: UserTable, membership: Membership) -> list[Name]:
    """Return names that are listed, not wanted, and not about to be left."""
    listed = _listed(user, membership)
    if not listed:
        return []
    kept = {name for claim in user.claims for name in claim.names}
    for order in user.orders:
        if order.is_leave or order.hand_over_s:
            operation = order.operation
            kept.update(names_of(operation.channels, operation.channel_groups))
    return [name for name in listed if name not in kept]


def _wish(user: UserTable, name: Name, entry: Wanted, now_s: float) -> Wish:
    listed = {} if user.listing is None else user.listing.listed()
    before = listed.get(name, (0, -1))[1]
    if entry.state is None:
        return Wish(name, entry.timeout_s, None if before == -1 else WITHDRAWN)
    told = user.told.get(name)
    is_told = told is not None and told.version == entry.version
    age_s = now_s - entry.version / 1000
    if before == entry.version:
        age_s = max(age_s, _SAID_BEFORE_S)
    elif age_s < _JUST_NOW_S:
        age_s = 0.0
    return Wish(name, entry.timeout_s, encode_state(entry.state), age_s, is_told)


def held(
    user: UserTable,
    membership: Membership,
    ask: Ask,
    answer: Sequence[Standing],
    now_s: float,
) -> None:
    """Note that the register lists what was wanted when it was asked."""
    listing, wishes = user.listing or Listing(), ask.wishes or {}
    was_seen = not membership.was_left and wishes.keys() <= listing.listed().keys()
    if listing.life != membership.life:
        listing.life = membership.life
        listing.list_wishes({})
    claims = user.claims
    is_plain = len(claims) == 1 and claims[0].rare is None
    if is_plain and not listing.listed() and wishes:
        listing.list_claim(claims[0])
        if listing.listed() != wishes:
            listing.list_wishes(wishes)
    else:
        listing.list_wishes({**listing.listed(), **wishes})
    user.listing = listing
    note_others(user, listing, answer, now_s)
    catch_up(user, now_s)
    leaving_s = max((standing.leaving_s for standing in answer), default=0.0)
    if leaving_s:
        listing.repeat_s = now_s + leaving_s
    if ask.order is None and (leaving_s or not was_seen):
        # Others who saw nobody hold the names may have left them.
        user.hasten(now_s)


def note_others(
    user: UserTable, listing: Listing, names: Iterable[Standing], now_s: float
) -> None:
    """Take in what other workers want of names."""
    before, others = listing.others or {}, dict(listing.others or {})
    versions = dict(listing.versions or {})
    for standing in names:
        name = standing.name
        others.pop(name, None)
        if standing.state is None:
            versions[name] = standing.version
        if standing.others_timeout_s or standing.state is not None:
            others[name] = _other(user, standing, before.get(name), now_s)
    listing.others = others or None
    versions = {name: version for name, version in versions.items() if version != -1}
    listing.versions = versions or None


def _other(
    user: UserTable, standing: Standing, before: Other | None, now_s: float
) -> Other:
    if standing.state is None:
        return Other(standing.others_timeout_s, -1, -1, None)
    if before is not None and before.version == standing.version:
        return before._replace(timeout_s=standing.others_timeout_s)
    try:
        state = decode_object(standing.state.encode())
    except JsonError:
        return Other(standing.others_timeout_s, -1, -1, None)
    rank = user.shared.next_version(now_s)
    return Other(standing.others_timeout_s, standing.version, rank, state)
