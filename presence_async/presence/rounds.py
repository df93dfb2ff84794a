"""The regular heartbeats of a user: as few as possible, each name at its own risk."""

from __future__ import annotations

import math

from ..errors import ServiceError, TransportError
from . import difference, health
from .claims import Claim, Patience
from .merging import Beat
from .names import Name, names_of
from .pace import next_beat_s, phase
from .patience import NO_RETRY
from .records import Round
from .user import UserTable
from .wire import Acknowledged, Failed, Outcome, Refused, Send

__all__ = [
    "begin",
    "follow_s",
    "kept",
    "kept_calmly",
    "next_send",
    "place",
    "plan_next",
]

_REST = 1 / 16
_BEHIND_S = (0.5, 3.0)
_NO_HURRY_S = 24.0
_SHORTEST_WAIT_S = 1.0
_ROUNDING = 1e-6
"""Of a slot: by how much a time of a slot may be off for being a rounded product."""


def place(user: UserTable, now_s: float, *, rest: float = 0.0) -> None:
    """Give a user a place in the interval and plan the next round there.

    Each user gets its own, so users who joined together spread out.

    Args:
        user: The user.
        now_s: Loop time.
        rest: The share of the interval that the user waits in any case.
    """
    if not user.has_joined:
        return
    user.shared.places += 1
    share = rest + (1 - rest) * (1 - phase(user.shared.places))
    interval_s = user.interval_s
    place_s = max(now_s, _slot_before(user, now_s + interval_s * share, interval_s))
    if user.round is None:
        # A round that is due sooner counts, and becomes the place.
        user.due_s = user.place_s = min(place_s, user.due_s)


def follow_s(user: UserTable, next_s: float, now_s: float) -> float:
    """Return when to ask again whose turn it is: a little after it is another's.

    If the other worker is gone by then the turn is this one's, in good time.
    """
    timeouts_s = [claim.presence_timeout_s for claim in user.joined]
    scale = min(1.0, min(timeouts_s, default=0) / _NO_HURRY_S)
    slack_s = user.shared.rng.uniform(*_BEHIND_S) * scale
    return now_s + next_s + slack_s


def plan_next(user: UserTable, now_s: float) -> None:
    """Plan the next round after one that went well."""
    asked_s, interval_s = user.due_s, user.interval_s
    user.due_s = math.inf
    if interval_s == math.inf:
        return
    next_s = next_beat_s(user.place_s, interval_s, now_s)
    if next_s - now_s < _REST * interval_s:
        place(user, now_s, rest=_REST)
    else:
        user.due_s = user.place_s = _slot_before(user, next_s, interval_s)
    # Somebody may have hastened it while this one was out.
    user.due_s = min(user.due_s, asked_s)


def _slot_before(user: UserTable, due_s: float, interval_s: float) -> float:
    """Return the slot that a time falls into, for company on the way."""
    width_s = user.shared.slot_s(interval_s)
    return (due_s / width_s + _ROUNDING) // 1 * width_s


def begin(user: UserTable, attempt_s: float, now_s: float) -> Send | None:
    """Plan the heartbeats for everything that is kept.

    Returns:
        The only heartbeat of a calm user, about whom no more than that has to be
        remembered; of anybody else ``next_send`` returns them one by one.
    """
    beats = difference.beats(user)
    due_s, user.due_s = user.due_s, math.inf
    if user.listing is not None:
        user.listing.has_turn = False
        user.pressing_s = None
        if user.listing.repeat_s > now_s:
            # A leave on its way may overtake this one.
            user.hasten(user.listing.repeat_s)
            user.listing.repeat_s = -math.inf
    if len(beats) == 1 and user.is_calm:
        return _send(user, beats[0], attempt_s, due_s, now_s)
    user.is_held = False
    user.round = Round(_in_turn(user, beats), attempt_s, due_s)
    return None


def _in_turn(user: UserTable, beats: list[Beat]) -> list[Beat]:
    """Order beats by the nearest end; after each failure another one is the first.

    Otherwise one that is never answered would keep the rest from being sent. Names that
    were refused before come last.
    """
    if len(beats) == 1:
        return beats
    told = user.told
    beats.sort(key=lambda beat: min(told[name].until_s for name in beat.names))
    first = user.failures % len(beats) if beats else 0
    beats = beats[first:] + beats[:first]
    return sorted(beats, key=lambda beat: told[beat.names[0]].is_refused)


def next_send(user: UserTable, now_s: float) -> Send | None:
    """Return the next heartbeat of the round under way."""
    current = user.round
    while current is not None and current.beats:
        beat = _as_wanted_now(user, current.beats.pop(0), current)
        if beat is not None:
            current.has_begun = True
            return _send(user, beat, current.attempt_s, current.due_s, now_s)
    return None


def _send(
    user: UserTable, beat: Beat, attempt_s: float, due_s: float, now_s: float
) -> Send:
    limit_s = 2 * user.shared.settings.attempt_timeout_s
    patience = Patience(now_s, now_s + limit_s, NO_RETRY)
    operation, params = beat.operation, beat.params
    return Send(
        user.user_id, operation, params, now_s, attempt_s, patience, due_s, None, beat
    )


def _as_wanted_now(user: UserTable, beat: Beat, current: Round) -> Beat | None:
    """Return a planned heartbeat as it has to be by now.

    While an earlier one of the round was out, names may have been left and states set.
    """
    if not current.has_begun:
        return beat
    beats = difference.beats(user, beat.names)
    current.beats[:0] = beats[1:]
    return beats[0] if beats else None


def kept_calmly(user: UserTable, send: Send, outcome: Outcome, now_s: float) -> float:
    """Take in the heartbeat of a calm user, if it is acknowledged and no more.

    The same as ``kept`` and all that follows do then, for a quarter of their 20 us.

    Returns:
        When the presence runs out now; 0.0 if it is another case.
    """
    beat = send.beat
    if beat is None or not isinstance(outcome, Acknowledged) or not user.is_calm:
        return 0.0
    if outcome.age_s or outcome.is_in_doubt or not user.claims:
        return 0.0
    user.tell(beat, outcome)
    plan_next(user, now_s)
    return outcome.sent_at_s + beat.operation.presence_timeout_s


def kept(user: UserTable, send: Send, outcome: Outcome, now_s: float) -> None:
    """Take in the outcome of one heartbeat of the round."""
    beat, current = send.beat, user.round
    if beat is None:
        return
    if current is None:
        # Its user was calm until now.
        current = user.round = Round([], send.attempt_s, send.due_s)
        current.has_begun = True
    match outcome:
        case Acknowledged():
            user.tell(beat, outcome)
            current.is_answered = True
            if outcome.age_s:
                _count_age(user, beat, outcome, current, now_s)
        case Refused():
            is_answer = isinstance(outcome.error, ServiceError)
            current.is_answered |= is_answer and outcome.is_about_service
            # A probe that never reached the service has to be followed by a pause.
            is_probe_lost = user.shared.is_down and not outcome.is_about_service
            current.is_pressing |= is_probe_lost
            _refused(user, beat, outcome, current)
        case Failed():
            _failed(user, beat, outcome, current)
    health.update(user, now_s)


def _count_age(
    user: UserTable, beat: Beat, answer: Acknowledged, current: Round, now_s: float
) -> None:
    """Send the next heartbeat sooner if caches gave both answers to this one.

    What is left may not last until the next round; if nothing is, this one failed.
    """
    timeout_s = beat.operation.presence_timeout_s
    left_s = answer.sent_at_s + timeout_s - answer.age_s - now_s
    if left_s > 0:
        user.hasten(now_s + max(left_s / 2, _SHORTEST_WAIT_S))
    else:
        current.is_pressing = True


def _failed(user: UserTable, beat: Beat, outcome: Failed, current: Round) -> None:
    health.mark(user, beat.names, str(outcome.error))
    current.is_pressing = True
    current.is_about_service |= outcome.is_about_service
    current.retry_after_s = max(current.retry_after_s, outcome.retry_after_s or 0.0)
    if isinstance(outcome.error, TransportError) or not outcome.is_about_service:
        # Waiting for each of the rest in turn could use up the time they have left.
        current.beats.clear()


def _refused(user: UserTable, beat: Beat, outcome: Refused, current: Round) -> None:
    """Say again what was not refused, so that no claim suffers from another's."""
    named = set(names_of(outcome.channels, outcome.channel_groups))
    refused = named.intersection(beat.names)
    rest = [set(beat.names) - refused]
    if not refused:
        # A token that cannot be had is the user's affair, whatever the names.
        parts = _by_holders(beat) if outcome.is_about_service else []
        refused, rest = (set(), parts) if len(parts) > 1 else (set(beat.names), [])
    health.mark(user, refused, str(outcome.error), is_refused=True)
    current.beats[:0] = [
        again for names in rest for again in difference.beats(user, names)
    ]


def _by_holders(beat: Beat) -> list[set[Name]]:
    """Part names by the claims that hold them, to find out whose a refusal is.

    Names of the same claims stand or fall together, so that each part is smaller than
    the whole and the questions come to an end.
    """
    parts: dict[tuple[Claim, ...], set[Name]] = {}
    for name in beat.names:
        holders = tuple(claim for claim in beat.claims if name in claim.names)
        parts.setdefault(holders, set()).add(name)
    return list(reversed(parts.values()))
