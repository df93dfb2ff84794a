"""Whose turn it is to send a user's heartbeats, and what the others are told of them.

Nothing of this happens without a register.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.json_codec import encode_state
from ..protocol.user_state import SetStateOperation
from ..register.values import Beaten, Claimed, Claiming, Holding, Standing, Wish
from . import health, listed
from .changes import TurnChanged
from .listing import Ask, AskKind
from .membership import Membership
from .merging import wanted
from .names import Name, names_of
from .rounds import follow_s
from .user import UserTable
from .wire import Acknowledged, Send

__all__ = [
    "ask_turn",
    "behind",
    "claimed",
    "note_beaten",
    "note_state",
    "unanswered",
]

_AGAIN_AFTER_S = 0.1
_AGAIN_AT_MOST_S = 2.0
"""Long enough that a register which is never content is no burden."""

_CALM_AFTER_S = 10.0


def ask_turn(user: UserTable, membership: Membership, now_s: float) -> Ask | None:
    """Return the question whose turn it is, if it has to be asked now.

    Not of a user about whom anything is in doubt: one heartbeat too many does no harm.
    """
    if user.listing is not None and user.listing.has_turn:
        return None
    if not membership.is_up or user.shared.is_down:
        membership.unasked += 1
        return None
    if ask := listed.to_hold(user, membership, None, now_s):
        return ask
    if user.rare is not None and (user.is_pressed or user.failures or user.doubts):
        return None
    value = Claiming(user.user_id, user.interval_s)
    return Ask(AskKind.CLAIM, value, now_s)


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
        listed.note_others(user, listing, answer.names, now_s)
    listing.has_turn = answer.is_due
    if listing.is_leading is not answer.is_due:
        listing.is_leading = answer.is_due
        user.shared.changes.append(TurnChanged(user.user_id, answer.is_due))
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


def note_beaten(
    user: UserTable, membership: Membership, send: Send, answer: Acknowledged
) -> None:
    """Have an acknowledged heartbeat noted, for the others to see."""
    operation = send.operation
    if not isinstance(operation, HeartbeatOperation):
        return
    if send.beat is not None:
        names = send.beat.names
        if user.listing is not None:
            # Whoever announced a user last has the turn next.
            user.listing.is_leading = True
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
    known, others = listing.listed(), listing.others or {}
    said = []
    for name, version in zip(names, send.beat.versions, strict=True):
        other = others.get(name)
        if other is not None and version != -1 and other.rank == version:
            said.append(other.version)
        elif version != -1 and known.get(name, (0, -1))[1] == version:
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
