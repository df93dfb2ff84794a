"""One user's truth: what is wanted and what the service has been told.

``rounds`` and ``orders`` say the difference. At most one request of a user is under
way, so the service applies them in the order they were decided. Whatever is lost on
the way leaves the two columns different, and is said again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from ..deadlines import Slot
from ..protocol.heartbeat import HeartbeatOperation
from .claims import (
    Claim,
    LeaseHealth,
    Name,
    Order,
    State,
    names_of,
)
from .doubt import Doubts
from .merging import Beat, Wanted, merged, wanted
from .records import Round, Told
from .settings import Shared
from .wire import Acknowledged, Send

__all__ = ["UserTable"]


class UserTable:
    """The two columns of one user, wanted and told, and the difference between them.

    Attributes:
        user_id: The user.
        claims: What is wanted, in the order it came; those still joining included.
        orders: What callers asked for, in the order they asked.
        doubts: What may still be applied or has to be said again; mostly ``None``.
        states: States set for single names, with their versions; mostly ``None``.
        out: The request under way.
        confirming: A request to send again since a cache answered it.
        round: The regular heartbeats under way.
        due_s: When the next round begins; ``math.inf`` if none is planned.
        place_s: The user's own place in the interval, at its latest occurrence.
        failures: Rounds failed in a row.
        is_held: Whether the next round waits for the end of an outage.
        slot: Where the timetable has it.
    """

    __slots__ = (
        "_told",
        "claims",
        "confirming",
        "doubts",
        "due_s",
        "failures",
        "is_held",
        "orders",
        "out",
        "place_s",
        "round",
        "shared",
        "slot",
        "states",
        "user_id",
    )

    def __init__(self, user_id: str, shared: Shared) -> None:
        self.user_id: str = user_id
        self.shared: Shared = shared
        self.claims: tuple[Claim, ...] = ()
        self._told: tuple[Told, ...] = ()
        self.orders: tuple[Order, ...] = ()
        self.states: dict[Name, tuple[int, State]] | None = None
        self.doubts: Doubts | None = None
        self.out: Send | None = None
        self.confirming: Send | None = None
        self.round: Round | None = None
        self.due_s: float = math.inf
        self.place_s: float = 0.0
        self.failures: int = 0
        self.is_held: bool = False
        self.slot: Slot | None = None

    # What is wanted. Claims and orders are tuples: most users have one and none, and
    # what goes through them need not mind that they change meanwhile.

    def drop(self, claim: Claim) -> None:
        """Want a claim no longer."""
        self.claims = tuple(c for c in self.claims if c is not claim)

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
        self._told = tuple(told for told in self._told if told.name in kept)
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
            # A claim that extends another has no state of its own.
            if own <= meant and claim.extends is None:
                claim.state, claim.state_version = state, version
            else:
                partly |= own & meant
        if partly:
            kept = dict.fromkeys(partly, (version, state))
            self.states = {**(self.states or {}), **kept}

    # When it runs out.

    def expires_s(self, claim: Claim) -> float:
        """Return when the first name of a claim runs out."""
        if len(claim.channels) == len(self._told) == 1 and not claim.channel_groups:
            (only,) = self._told
            return only.until_s if only.name == claim.channels[0] else 0.0
        told = self.told
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
        ahead_s = passed_s = math.inf
        for end_s in self.open_ends_s():
            if end_s > now_s:
                ahead_s = min(ahead_s, end_s)
            else:
                passed_s = min(passed_s, end_s)
        return passed_s if ahead_s == math.inf else ahead_s

    def next_end_s(self, now_s: float) -> float:
        """Return the earliest expiry still ahead, ``math.inf`` if there is none."""
        end_s = self.end_s(now_s)
        return end_s if end_s > now_s else math.inf

    # When to say it.

    @property
    def interval_s(self) -> float:
        """The seconds between two rounds."""
        interval_s = self.shared.settings.interval_s
        return min(
            (
                interval_s(claim.presence_timeout_s)
                for claim in self.claims
                if claim.health is not None
            ),
            default=math.inf,
        )

    def hasten(self, due_s: float) -> None:
        """Make the next round due no later than a time, whatever failed before."""
        if not self.has_joined or due_s == math.inf:
            return
        if self.round is not None:
            self.round.again_s = min(self.round.again_s, due_s)
        else:
            self.due_s = min(self.due_s, due_s)

    def catch_up(self, now_s: float) -> None:
        """Make a round due if a timeout or state told is not the one wanted now.

        A state that an order is about to tell is not missing.
        """
        if not self.claims:
            return
        is_telling = any(order.is_about_state for order in self.orders)
        known = self.told
        for name, entry in self.wanted().items():
            told = known.get(name)
            if told is not None and (
                told.timeout_s != entry.timeout_s
                or (told.version != entry.version and not is_telling)
            ):
                self.hasten(now_s)
                return

    def wake_s(self, now_s: float) -> float:
        """Return when something of this, orders aside, has to be said."""
        if self.confirming is not None or (self.round is not None and self.round.beats):
            return now_s
        due_s = math.inf if self.is_held else self.due_s
        return due_s if self.doubts is None else min(due_s, self.doubts.next_s(now_s))

    def is_idle(self, now_s: float) -> bool:
        """Return True if nothing is wanted and nothing is left to be said."""
        return not (
            self.claims
            or self.orders
            or self.out is not None
            or self.confirming is not None
            or (self.doubts is not None and not self.doubts.is_over(now_s))
        )

    # What it has been told.

    @property
    def told(self) -> dict[Name, Told]:
        """What the service has acknowledged, for each name that a claim holds.

        Made when it is asked for: most users have one name, and a dict is many times
        the size of a tuple.
        """
        return {told.name: told for told in self._told}

    def tell(self, beat: Beat, answer: Acknowledged, held: Collection[Name]) -> None:
        """Note an acknowledged heartbeat for those of its names that are held."""
        timeout_s = beat.operation.presence_timeout_s
        until_s = answer.sent_at_s + timeout_s - answer.age_s
        table = self.told
        for name, version in zip(beat.names, beat.versions, strict=True):
            if name in held:
                table[name] = Told(name, until_s, timeout_s, version)
        self._told = tuple(table.values())

    def shorten(self, operation: HeartbeatOperation, until_s: float) -> None:
        """Note that a heartbeat beside the claims may end their names sooner."""
        names = set(names_of(operation.channels, operation.channel_groups))
        for told in self._told:
            if told.name in names:
                told.timeout_s = operation.presence_timeout_s
                told.until_s = min(told.until_s, until_s)

    def beats(self, names: Collection[Name] | None = None, *extra: Claim) -> list[Beat]:
        """Return the heartbeats for some of the names wanted; ``None``: for all."""
        table = self.wanted(*extra)
        if names is not None:
            table = {name: entry for name, entry in table.items() if name in names}
        refused = [told.name for told in self._told if told.is_refused]
        key = self.shared.settings.subscribe_key
        return merged(key, self.user_id, table, refused)
