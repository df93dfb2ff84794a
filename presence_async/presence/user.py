"""One user's truth: what is wanted, what the service has been told, what to say next.

``next`` returns the one request to send now; ``answered`` takes its outcome in. At most
one request of a user is under way, so the service applies them in the order they were
decided. Whatever is lost on the way leaves the columns different, and is said again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable

import attrs

from ..errors import ServiceError, TransportError
from ..protocol.heartbeat import HeartbeatOperation
from .changes import Change, HealthChanged
from .claims import (
    Claim,
    LeaseHealth,
    Name,
    Order,
    PresenceOperation,
    RetryPolicy,
    State,
    channels_of,
    groups_of,
    names_of,
)
from .doubt import Doubts
from .merging import Beat, Wanted, merged, wanted
from .pace import SLOT_S, next_beat_s, phase
from .patience import NO_RETRY
from .wire import Acknowledged, Failed, Outcome, Purpose, Refused, Send

__all__ = ["Round", "Settings", "Shared", "Told", "UserTable"]

_REST = 1 / 16


@attrs.frozen(kw_only=True)
class Settings:
    """The figures the engine goes by; ``PresenceConfig`` documents each."""

    subscribe_key: str
    interval_s: Callable[[int], float]
    presence_timeout_s: int = 300
    attempt_timeout_s: float = 10.0
    close_timeout_s: float = 10.0
    max_in_flight: int = 64
    max_requests_per_s: float | None = None
    retry: RetryPolicy = NO_RETRY


class Shared:
    """What all users of an engine share."""

    __slots__ = ("changes", "is_down", "places", "rng", "settings")

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self.settings = settings
        self.rng = rng
        self.changes: list[Change] = []
        self.is_down = False
        self.places = 0


class Told:
    """What the service has been told about one name that a claim holds.

    Attributes:
        until_s: When the last acknowledged heartbeat runs out.
        timeout_s: The timeout it carried.
        version: The version of the state last acknowledged; -1 for none.
        trouble: Why the latest heartbeat for the name failed; ``None`` if it did not.
        is_refused: Whether that was a refusal.
    """

    __slots__ = ("is_refused", "timeout_s", "trouble", "until_s", "version")

    def __init__(self, until_s: float, timeout_s: int, version: int) -> None:
        self.until_s = until_s
        self.timeout_s = timeout_s
        self.version = version
        self.trouble: str | None = None
        self.is_refused = False


class Round:
    """The heartbeats that keep all names of a user, sent one after another.

    Attributes:
        beats: What is still to be sent.
        attempt_s: How long each may be on the wire.
        due_s: Since when the round has been due.
        is_answered: Whether the service acknowledged or refused one of them.
        is_pressing: Whether one failed that may fare better soon.
        is_about_service: Whether what failed concerns other users, too.
        retry_after_s: Seconds the service asked to wait.
        again_s: By when another round has to follow.
    """

    __slots__ = (
        "again_s",
        "attempt_s",
        "beats",
        "due_s",
        "is_about_service",
        "is_answered",
        "is_pressing",
        "retry_after_s",
    )

    def __init__(self, beats: list[Beat], attempt_s: float, due_s: float) -> None:
        self.beats = beats
        self.attempt_s = attempt_s
        self.due_s = due_s
        self.is_answered = False
        self.is_pressing = False
        self.is_about_service = False
        self.retry_after_s: float | None = None
        self.again_s = math.inf


class UserTable:
    """The two columns of one user, wanted and told, and the difference between them.

    Attributes:
        user_id: The user.
        claims: What is wanted, in the order it came; those still joining included.
        told: What the service has acknowledged, for each name that a claim holds.
        orders: What callers asked for, in the order they asked.
        out: The request under way.
        round: The regular heartbeats under way.
        due_s: When the next round begins; ``math.inf`` if none is planned.
        place_s: The user's own place in the interval, at its latest occurrence.
        failures: Rounds failed in a row.
        not_before_s: Before this time a round that failed is not repeated.
        is_held: Whether the next round waits for the end of an outage.
    """

    __slots__ = (
        "_confirm",
        "claims",
        "doubts",
        "due_s",
        "failures",
        "is_held",
        "not_before_s",
        "orders",
        "out",
        "place_s",
        "round",
        "shared",
        "states",
        "told",
        "user_id",
    )

    def __init__(self, user_id: str, shared: Shared) -> None:
        self.user_id = user_id
        self.shared = shared
        self.claims: list[Claim] = []
        self.told: dict[Name, Told] = {}
        self.orders: list[Order] = []
        self.states: dict[Name, tuple[int, State]] | None = None
        self.doubts: Doubts | None = None
        self.out: Send | None = None
        self._confirm: Send | None = None
        self.round: Round | None = None
        self.due_s = math.inf
        self.place_s = 0.0
        self.failures = 0
        self.not_before_s = 0.0
        self.is_held = False

    # What is wanted.

    @property
    def joined(self) -> list[Claim]:
        """The claims whose first heartbeat was acknowledged."""
        return [claim for claim in self.claims if claim.health is not None]

    @property
    def has_joined(self) -> bool:
        """Return True if there is anything to keep."""
        return any(claim.health is not None for claim in self.claims)

    def wanted(self, *extra: Claim) -> dict[Name, Wanted]:
        """Return what the claims that have joined want, and ``extra`` besides."""
        claims = [c for c in self.claims if c.health is not None or c in extra]
        return wanted(claims, self.states or {})

    def held(self) -> set[Name]:
        """Return the names of claims that the service may have heard of.

        A claim that still waits to be announced holds nothing: it may never be.
        """
        return {
            name
            for claim in self.claims
            if claim.is_joined or claim.is_announced
            for name in claim.names
        }

    def forget_unwanted(self) -> None:
        """Drop what was told or set for names that no claim wants any more."""
        kept = {name for claim in self.claims for name in claim.names}
        self.told = {n: told for n, told in self.told.items() if n in kept}
        if self.states is not None:
            self.states = {n: s for n, s in self.states.items() if n in kept} or None
        if not self.has_joined:
            self.due_s = math.inf
            self.is_held = False

    def note_state(self, names: Iterable[Name], state: State, version: int) -> None:
        """Keep a state for those of the names that claims hold.

        A claim that is meant as a whole takes it over; the rest is kept by name.
        """
        meant = set(names)
        partly: set[Name] = set()
        for claim in self.claims:
            own = set(claim.names)
            if own <= meant:
                claim.state, claim.state_version = state, version
            else:
                partly |= own & meant
        if partly:
            kept = dict.fromkeys(partly, (version, state))
            self.states = {**(self.states or {}), **kept}

    # When it runs out.

    def expires_s(self, claim: Claim) -> float:
        """Return when the first name of a claim runs out."""
        told = self.told
        if len(claim.channels) == 1 and not claim.channel_groups:
            known = told.get(Name(False, claim.channels[0]))  # noqa: FBT003  # a field
            return 0.0 if known is None else known.until_s
        return min(
            (told[name].until_s if name in told else 0.0 for name in claim.names),
            default=0.0,
        )

    def open_ends_s(self) -> list[float]:
        """Return when each claim runs out; those refused are in no hurry."""
        return [
            self.expires_s(claim)
            for claim in self.claims
            if claim.health is not None and claim.health is not LeaseHealth.REFUSED
        ]

    def end_s(self, now_s: float) -> float:
        """Return the earliest expiry still ahead, else the earliest one that passed.

        ``math.inf`` if there is nothing to keep or all of it is refused.
        """
        ends_s = self.open_ends_s()
        ahead_s = [end_s for end_s in ends_s if end_s > now_s]
        return min(ahead_s or ends_s, default=math.inf)

    def slept(self, seconds: float, now_s: float) -> None:
        """Take off time that the loop clock did not see."""
        for told in self.told.values():
            told.until_s -= seconds
        for claim in self.joined:
            if claim.health is not LeaseHealth.REFUSED:
                is_over = self.expires_s(claim) <= now_s
                health = LeaseHealth.LOST if is_over else LeaseHealth.AT_RISK
                self._set(claim, health, "time went by unseen", now_s, is_shared=True)

    # Health: the worst of a claim's names.

    def update_health(self, now_s: float) -> None:
        """Derive the health of every claim; report what changed."""
        for claim in self.claims:
            if claim.health is not None and claim.extends is None:
                health, reason = self._health(claim, now_s)
                if health is not claim.health:
                    self._set(claim, health, reason, now_s)

    def trouble(self, reason: str, now_s: float) -> None:
        """Put everything at risk that was fine, such as when an outage begins."""
        for told in self.told.values():
            if told.trouble is None:
                told.trouble = reason
        self.update_health(now_s)

    def _health(self, claim: Claim, now_s: float) -> tuple[LeaseHealth, str]:
        trouble, is_refused, until_s = None, False, math.inf
        for name in claim.names:
            told = self.told.get(name)
            if told is None:
                continue
            until_s = min(until_s, told.until_s)
            if told.trouble is not None and (told.is_refused or trouble is None):
                trouble = told.trouble
            is_refused |= told.is_refused
        if is_refused:
            return LeaseHealth.REFUSED, trouble or "refused"
        if until_s <= now_s:
            return LeaseHealth.LOST, trouble or "the presence timeout has passed"
        if trouble is not None:
            return LeaseHealth.AT_RISK, trouble
        return LeaseHealth.FRESH, "heartbeat acknowledged"

    def _set(
        self,
        claim: Claim,
        health: LeaseHealth,
        reason: str,
        now_s: float,
        *,
        is_shared: bool = False,
    ) -> None:
        previous = claim.health
        if previous in {health, LeaseHealth.RELEASED}:
            return
        claim.health = health
        self.shared.changes.append(
            HealthChanged(
                claim,
                previous,
                health,
                reason,
                now_s,
                max(0.0, self.expires_s(claim) - now_s),
                is_shared or self.shared.is_down,
            )
        )

    def begin(self, claim: Claim, now_s: float) -> None:
        """Keep a claim from its first acknowledged heartbeat on."""
        self._set(claim, LeaseHealth.FRESH, "joined", now_s)

    def release(self, claim: Claim, reason: str, now_s: float) -> None:
        """Remove a claim for good."""
        self._set(claim, LeaseHealth.RELEASED, reason, now_s)
        claim.health = LeaseHealth.RELEASED
        if claim in self.claims:
            self.claims.remove(claim)
        self.forget_unwanted()

    # When the next round is due.

    def interval_s(self) -> float:
        """Return the seconds between two rounds."""
        interval_s = self.shared.settings.interval_s
        return min(
            (
                interval_s(claim.presence_timeout_s)
                for claim in self.claims
                if claim.health is not None
            ),
            default=math.inf,
        )

    def place(self, now_s: float, *, rest: float = 0.0) -> None:
        """Give the user a place in the interval and plan the next round there.

        Each user gets its own, so users who joined together spread out.

        Args:
            now_s: Loop time.
            rest: The share of the interval that the user waits in any case.
        """
        self.shared.places += 1
        share = rest + (1 - rest) * (1 - phase(self.shared.places))
        place_s = now_s + self.interval_s() * share
        place_s = max(now_s, place_s // SLOT_S * SLOT_S)
        if self.round is None:
            # A round that is due sooner counts, and becomes the place.
            self.due_s = self.place_s = min(place_s, self.due_s)

    def plan_next(self, now_s: float) -> None:
        """Plan the next round after one that went well."""
        interval_s = self.interval_s()
        if interval_s == math.inf:
            self.due_s = math.inf
            return
        next_s = next_beat_s(self.place_s, interval_s, now_s)
        if next_s - now_s < _REST * interval_s:
            self.due_s = math.inf
            self.place(now_s, rest=_REST)
        else:
            self.due_s = self.place_s = next_s

    # What to say next: heartbeats, confirmations and repeats. Orders are beside.

    def hasten(self, due_s: float) -> None:
        """Make the next round due no later than a time, whatever failed before."""
        if not self.has_joined:
            return
        if self.round is not None:
            self.round.again_s = min(self.round.again_s, due_s)
        else:
            self.not_before_s = 0.0
            self.due_s = min(self.due_s, due_s)

    def catch_up(self, now_s: float) -> None:
        """Make a round due if a timeout or state told is not the one wanted now."""
        for name, entry in self.wanted().items():
            told = self.told.get(name)
            if told is not None and (
                told.timeout_s != entry.timeout_s or told.version != entry.version
            ):
                self.hasten(now_s)
                return

    def begin_round(self, attempt_s: float) -> None:
        """Plan the heartbeats for everything that is kept."""
        refused = [name for name, told in self.told.items() if told.is_refused]
        key = self.shared.settings.subscribe_key
        beats = merged(key, self.user_id, self.wanted(), refused)
        if len(beats) > 1:
            beats = self._in_turn(beats, set(refused))
        self.round = Round(beats, attempt_s, self.due_s)
        self.due_s = math.inf
        self.is_held = False

    def _in_turn(self, beats: list[Beat], refused: set[Name]) -> list[Beat]:
        """Order beats by the nearest end; after each failure another one is the first.

        Otherwise one that is never answered would keep the rest from being sent. Names
        that were refused before come last.
        """
        told = self.told
        beats.sort(key=lambda beat: min(told[name].until_s for name in beat.names))
        first = self.failures % len(beats)
        beats = beats[first:] + beats[:first]
        return sorted(beats, key=lambda beat: beat.names[0] in refused)

    @property
    def is_confirming(self) -> bool:
        """Return True if the last answer has to be asked for again."""
        return self._confirm is not None

    def confirmation(self) -> Send | None:
        """Return a request once more whose answer came out of a cache."""
        send, self._confirm = self._confirm, None
        return send

    def heartbeat(self, now_s: float) -> Send | None:
        """Return the next heartbeat of the round under way."""
        current = self.round
        while current is not None and current.beats:
            beat = self._as_wanted_now(current.beats.pop(0), current)
            if beat is None:
                continue
            limit_s = 2 * self.shared.settings.attempt_timeout_s
            return Send(
                self.user_id,
                beat.operation,
                beat.params,
                now_s,
                current.attempt_s,
                now_s,
                now_s + limit_s,
                current.due_s,
                Purpose.KEEP,
                beat=beat,
            )
        return None

    def _as_wanted_now(self, beat: Beat, current: Round) -> Beat | None:
        """Return a planned heartbeat as it has to be by now.

        While an earlier one of the round was out, names may have been left and states
        set.
        """
        if not current.is_answered and not current.is_pressing:
            return beat
        table = self.wanted()
        names = {name: table[name] for name in beat.names if name in table}
        beats = merged(self.shared.settings.subscribe_key, self.user_id, names)
        current.beats[:0] = beats[1:]
        return beats[0] if beats else None

    def repeat(self, now_s: float) -> Send | None:
        """Return what has to be said again after a doubt."""
        if self.doubts is None:
            return None
        due = self.doubts.pop_due(now_s)
        if due is None:
            if self.doubts.is_over(now_s):
                self.doubts = None
            return None
        limit_s = self.shared.settings.attempt_timeout_s
        return Send(
            self.user_id,
            due[0],
            due[1],
            now_s,
            limit_s,
            now_s,
            now_s + 2 * limit_s,
            now_s,
            Purpose.REPEAT,
        )

    def wake_s(self, now_s: float) -> float:
        """Return when something of this, orders aside, has to be said."""
        if self._confirm is not None or (self.round is not None and self.round.beats):
            return now_s
        due_s = math.inf if self.is_held else self.due_s
        return due_s if self.doubts is None else min(due_s, self.doubts.next_s(now_s))

    def is_idle(self, now_s: float) -> bool:
        """Return True if nothing is wanted and nothing is left to be said."""
        return not (
            self.claims
            or self.orders
            or self.out is not None
            or self._confirm is not None
            or (self.doubts is not None and not self.doubts.is_over(now_s))
        )

    # What came of it.

    def confirm(self, send: Send, outcome: Outcome) -> bool:
        """Ask once more if the answer came out of a cache: it acknowledges nothing."""
        is_cached = isinstance(outcome, Acknowledged) and outcome.age_s > 0
        if is_cached and not send.is_confirming:
            self._confirm = attrs.evolve(
                send, is_confirming=True, attempts=send.attempts + 1
            )
        return self._confirm is not None

    def note_doubt(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Keep track of what may still be applied, and of what that may undo."""
        after_s = self.shared.settings.attempt_timeout_s
        if isinstance(outcome, (Failed, Acknowledged)) and outcome.is_in_doubt:
            self.doubts = self.doubts or Doubts()
            self.doubts.give_up(send.operation, now_s + after_s)
        if self.doubts is None or not isinstance(outcome, Acknowledged):
            return
        self.doubts.supersede(send.operation)
        if send.purpose is Purpose.REPEAT:
            return
        if self.doubts.may_undo(send.operation, now_s):
            self._say_again(send, now_s + after_s)

    def _say_again(self, send: Send, at_s: float) -> None:
        operation: PresenceOperation = send.operation
        if isinstance(operation, HeartbeatOperation):
            kept = {name for claim in self.joined for name in claim.names}
            names = names_of(operation.channels, operation.channel_groups)
            loose = [name for name in names if name not in kept]
            if len(loose) < len(names):
                # The claims' own heartbeat says it, with what is wanted by then.
                self.hasten(at_s)
            if not loose:
                return
            operation = attrs.evolve(
                operation, channels=channels_of(loose), channel_groups=groups_of(loose)
            )
        if self.doubts is not None:
            self.doubts.repeat(operation, send.params, at_s)

    def tell(
        self,
        names: Iterable[Name],
        versions: Iterable[int],
        until_s: float,
        timeout_s: int,
    ) -> None:
        """Note an acknowledged heartbeat for names that claims hold."""
        for name, version in zip(names, versions, strict=True):
            told = self.told.get(name)
            if told is None:
                self.told[name] = Told(until_s, timeout_s, version)
            else:
                told.until_s, told.timeout_s = until_s, timeout_s
                told.version = version
                told.trouble, told.is_refused = None, False

    def kept(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Take in the outcome of one heartbeat of the round."""
        beat, current = send.beat, self.round
        if beat is None or current is None:
            return
        if isinstance(outcome, Acknowledged):
            timeout_s = beat.operation.presence_timeout_s
            until_s = outcome.sent_at_s + timeout_s - outcome.age_s
            held = {n for n in beat.names if n in self.told}
            pairs = [
                pair
                for pair in zip(beat.names, beat.versions, strict=True)
                if pair[0] in held
            ]
            self.tell(
                (name for name, _ in pairs),
                (version for _, version in pairs),
                until_s,
                timeout_s,
            )
            current.is_answered = True
        elif isinstance(outcome, Refused):
            current.is_answered |= isinstance(outcome.error, ServiceError)
            self._refused(beat, outcome, current)
        else:
            self._failed(beat, outcome, current)
        self.update_health(now_s)

    def _failed(self, beat: Beat, outcome: Failed, current: Round) -> None:
        self._mark(beat.names, str(outcome.error), is_refused=False)
        current.is_pressing = True
        current.is_about_service |= outcome.is_about_service
        if outcome.retry_after_s is not None:
            current.retry_after_s = max(
                current.retry_after_s or 0.0, outcome.retry_after_s
            )
        if isinstance(outcome.error, TransportError) or not outcome.is_about_service:
            # Waiting for each of the rest in turn could use up the time they have left.
            current.beats.clear()

    def _refused(self, beat: Beat, outcome: Refused, current: Round) -> None:
        """Say again what was not refused, so that no claim suffers from another's."""
        named = set(names_of(outcome.channels, outcome.channel_groups))
        refused = [name for name in beat.names if name in named]
        if refused:
            rest = [name for name in beat.names if name not in named]
            self._mark(refused, str(outcome.error), is_refused=True)
            current.beats[:0] = self._beats_of(rest)
            return
        # Claim by claim, to find out whose it is; names of the same claims stand or
        # fall together, so each part is smaller than the whole.
        parts: dict[tuple[Claim, ...], list[Name]] = {}
        for name in beat.names:
            holders = tuple(c for c in beat.claims if name in c.names)
            parts.setdefault(holders, []).append(name)
        if len(parts) > 1:
            current.beats[:0] = [
                b for part in parts.values() for b in self._beats_of(part)
            ]
        else:
            self._mark(beat.names, str(outcome.error), is_refused=True)

    def _beats_of(self, names: Iterable[Name]) -> list[Beat]:
        table = self.wanted()
        part = {name: table[name] for name in names if name in table}
        return merged(self.shared.settings.subscribe_key, self.user_id, part)

    def _mark(self, names: Iterable[Name], trouble: str, *, is_refused: bool) -> None:
        for name in names:
            told = self.told.get(name)
            if told is not None:
                told.trouble, told.is_refused = trouble, is_refused

    def shorten(self, operation: HeartbeatOperation, until_s: float) -> None:
        """Note that a heartbeat beside the claims ends some of their names sooner."""
        timeout_s = operation.presence_timeout_s
        for name in names_of(operation.channels, operation.channel_groups):
            told = self.told.get(name)
            if told is None:
                continue
            told.timeout_s = timeout_s
            told.until_s = min(told.until_s, until_s)
