"""Whose turn it is to send a user's heartbeats, and what other workers want said.

What a register lists is the third column of a user; the difference to what is wanted
here is what it is told. Nothing of this happens without a register.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import JsonError, decode_object, encode_state
from ..protocol.user_state import SetStateOperation
from ..register.values import (
    WITHDRAWN,
    Beaten,
    Claimed,
    Claiming,
    Holding,
    Release,
    Standing,
    Wish,
)
from . import health
from .claims import Claim, Order
from .difference import catch_up
from .listing import Ask, AskKind, Listing, Other, Wishes
from .membership import Membership
from .merging import Wanted, wanted
from .names import Name, names_of
from .rounds import follow_s
from .user import UserTable
from .wire import Acknowledged, Send

__all__ = [
    "ask_turn",
    "behind",
    "claimed",
    "held",
    "is_listed",
    "next_ask",
    "note_beaten",
    "note_state",
    "owes",
    "to_hold",
    "unanswered",
]

_JUST_NOW_S = 1.0
_SAID_BEFORE_S = 0.001
_AGAIN_AFTER_S = 0.1
_AGAIN_AT_MOST_S = 2.0
"""Long enough that a register which is never content is no burden."""

_CALM_AFTER_S = 10.0


# What the register is asked.


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


def ask_turn(user: UserTable, membership: Membership, now_s: float) -> Ask | None:
    """Return the question whose turn it is, if it has to be asked now.

    Not of a user about whom anything is in doubt: one heartbeat too many does no harm.
    """
    if user.listing is not None and user.listing.has_turn:
        return None
    if not membership.is_up or user.shared.is_down:
        membership.unasked += 1
        return None
    if ask := to_hold(user, membership, None, now_s):
        return ask
    if user.rare is not None and (user.is_pressed or user.failures or user.doubts):
        return None
    value = Claiming(user.user_id, user.interval_s)
    return Ask(AskKind.CLAIM, value, now_s)


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


def is_listed(user: UserTable, membership: Membership) -> bool:
    """Return True if the register lists this client as a holder of the user."""
    return membership.is_up and bool(_listed(user, membership))


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


# What the register answers.


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
    _note_others(user, listing, answer, now_s)
    catch_up(user, now_s)
    leaving_s = max((standing.leaving_s for standing in answer), default=0.0)
    if leaving_s:
        listing.repeat_s = now_s + leaving_s
    if ask.order is None and (leaving_s or not was_seen):
        # Others who saw nobody hold the names may have left them.
        user.hasten(now_s)


def claimed(user: UserTable, ask: Ask, answer: Claimed, now_s: float) -> None:
    """Take the turn, or follow the worker whose turn it is."""
    listing = user.listing
    if listing is None:
        return
    if not answer.is_known:
        # A register that forgets at once what it is told keeps nobody from speaking.
        listing.has_turn = listing.is_doubted
        listing.life, listing.is_doubted = 0, True
        return
    listing.is_doubted = False
    if not answer.names:
        listing.others = None
    else:
        _note_others(user, listing, answer.names, now_s)
    listing.has_turn = listing.is_leading = answer.is_due
    if answer.is_due:
        return
    _note_heartbeats(user, ask, answer.names, now_s)
    user.due_s = follow_s(user, answer.next_s, now_s)
    if user.pressing_s is not None:
        user.due_s = min(user.due_s, user.pressing_s)


def unanswered(user: UserTable, ask: Ask) -> None:
    """Go on without the register."""
    if ask.kind is AskKind.CLAIM and user.listing is not None:
        user.listing.has_turn = True


def _note_heartbeats(
    user: UserTable, ask: Ask, names: Iterable[Standing], now_s: float
) -> None:
    """Take in what other workers have said meanwhile."""
    listing = user.listing
    others = {} if listing is None else listing.others or {}
    table = wanted(user.joined, user.states or {}, others)
    told = user.told
    for standing in names:
        known, entry = told.get(standing.name), table.get(standing.name)
        if known is None or entry is None or standing.age_s == math.inf:
            continue
        sent_s = ask.taken_s - standing.age_s
        if sent_s > known.until_s - known.timeout_s:
            # Whatever was said before does not count any more.
            timeout_s = standing.said_timeout_s
            known.renew(sent_s + timeout_s, timeout_s, entry.version)
    health.update(user, now_s)


def _note_others(
    user: UserTable, listing: Listing, names: Iterable[Standing], now_s: float
) -> None:
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


# What the register is told afterwards.


def note_beaten(
    user: UserTable, membership: Membership, send: Send, answer: Acknowledged
) -> None:
    """Have an acknowledged heartbeat noted, for the others to see."""
    operation = send.operation
    if not isinstance(operation, HeartbeatOperation):
        return
    if send.beat is not None:
        names = send.beat.names
    elif send.order is not None and send.order.versions:
        names = names_of(operation.channels, operation.channel_groups)
    else:
        return
    beaten = Beaten(
        user.user_id,
        names,
        operation.presence_timeout_s,
        0.0,
        _versions(user, send, names),
    )
    membership.beaten.append((beaten, answer.sent_at_s - answer.age_s))


def note_state(
    user: UserTable, membership: Membership, operation: SetStateOperation
) -> None:
    """Have a state noted that was set for names this client does not hold."""
    kept = {name for claim in user.claims for name in claim.names}
    state = encode_state(operation.state)
    wishes = tuple(
        Wish(name, 0, state, 0.0, is_told=True)
        for name in names_of(operation.channels, operation.channel_groups)
        if name not in kept
    )
    if wishes:
        membership.states.append(Holding(user.user_id, wishes))


def _versions(user: UserTable, send: Send, names: Sequence[Name]) -> tuple[int, ...]:
    """Return the register's versions of the states that a heartbeat carried."""
    if send.order is not None and send.order.versions:
        return send.order.versions
    listing = user.listing
    if send.beat is None or listing is None or max(send.beat.versions) == -1:
        return ()
    listed, others = listing.listed(), listing.others or {}
    said = []
    for name, version in zip(names, send.beat.versions, strict=True):
        other = others.get(name)
        if other is not None and version != -1 and other.rank == version:
            said.append(other.version)
        elif version != -1 and listed.get(name, (0, -1))[1] == version:
            said.append((listing.versions or {}).get(name, -1))
        else:
            said.append(-1)
    return tuple(said)


def behind(user: UserTable, now_s: float) -> None:
    """Say again what was not as the others want it by now, or unknown to them."""
    listing = user.listing
    if listing is None:
        user.hasten(now_s + _AGAIN_AFTER_S)
        return
    is_again = now_s < listing.behind_s + _CALM_AFTER_S
    listing.pause_s = (
        min(2 * listing.pause_s, _AGAIN_AT_MOST_S) if is_again else _AGAIN_AFTER_S
    )
    listing.life, listing.behind_s = 0, now_s
    user.hasten(now_s + listing.pause_s)
