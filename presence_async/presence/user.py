"""One user's truth: what is wanted and what the service has been told.

``rounds`` and ``orders`` say the difference. At most one request of a user is under
way, so the service applies them in the order they were decided. Whatever is lost on
the way leaves the two columns different, and is said again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

from ..deadlines import Slot
from ..protocol.heartbeat import HeartbeatOperation
from .claims import FRESH, REFUSED, Claim, Order, State
from .doubt import Doubts
from .listing import Ask, Listing
from .merging import Beat
from .names import Name, names_of
from .rarely import Rarely
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
        out: The request under way, or the question to the register.
        confirming: A request to send again since a cache answered it.
        round: The regular heartbeats under way, if there is more to say of them than
            that the only one is out.
        due_s: When the next round begins; ``math.inf`` if none is planned. While one
            is under way: by when another has to follow it.
        place_s: The user's own place in the interval, at its latest occurrence.
        failures: Rounds failed in a row.
        is_held: Whether the next round waits for the end of an outage.
        slot: Where the timetable has it.
        listing: How the register lists this client for the user; mostly ``None``.
        pressing_s: When a heartbeat has to be sent, whoever has sent one meanwhile;
            mostly ``None``. Without a register all of them have to.
        rare: Whatever of this differs from its default.
    """

    __slots__ = (
        "_told",
        "claims",
        "due_s",
        "listing",
        "orders",
        "out",
        "place_s",
        "rare",
        "shared",
        "slot",
        "user_id",
    )

    states: Rarely[dict[Name, tuple[int, State]] | None] = Rarely(None)
    doubts: Rarely[Doubts | None] = Rarely(None)
    confirming: Rarely[Send | None] = Rarely(None)
    round: Rarely[Round | None] = Rarely(None)
    failures: Rarely[int] = Rarely(0)
    is_held: Rarely[bool] = Rarely(default=False)
    pressing_s: Rarely[float | None] = Rarely(None)

    def __init__(self, user_id: str, shared: Shared) -> None:
        self.user_id: str = user_id
        self.shared: Shared = shared
        self.claims: tuple[Claim, ...] = ()
        # Most users have one name, and a dict is many times the size of what it holds.
        self._told: Told | dict[Name, Told] | None = None
        self.orders: tuple[Order, ...] = ()
        self.out: Send | Ask | None = None
        self.due_s: float = math.inf
        self.place_s: float = 0.0
        self.slot: Slot | None = None
        self.listing: Listing | None = None
        self.rare: dict[str, Any] | None = None

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
        for claim in self.claims:  # noqa: SIM110  # any() takes thrice as long
            if claim.health is not None:
                return True
        return False

    @property
    def is_calm(self) -> bool:
        """Return True if nothing is wrong with it, nor was when it last spoke."""
        if self.rare is not None or self.shared.is_down:
            return False
        for claim in self.claims:  # noqa: SIM110  # all() takes thrice as long
            if claim.health is not FRESH:
                return False
        return True

    def has_heard(self, claim: Claim) -> bool:
        """Return True if the service may have heard of one of the user's claims."""
        return claim.is_joined or any(
            order.claim is claim and order.is_announced for order in self.orders
        )

    def held(self) -> set[Name]:
        """Return the names of claims that the service may have heard of.

        A claim that still waits to be announced holds nothing: it may never be.
        """
        heard = [claim for claim in self.claims if self.has_heard(claim)]
        return {name for claim in heard for name in claim.names}

    def forget_unwanted(self) -> None:
        """Drop what was told or set for names that no claim wants any more."""
        if not self.claims:
            self._told, self.states = None, None
            self.due_s, self.is_held = math.inf, False
            return
        kept = {name for claim in self.claims for name in claim.names}
        if self._told is not None:
            self._keep({n: told for n, told in self.told.items() if n in kept})
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
        told = self._told
        names = claim.channels if claim.rare is None else claim.names
        if told.__class__ is Told and len(names) == 1:
            return told.until_s if told.name == names[0] else 0.0
        table = self.told
        return min(
            (table[name].until_s if name in table else 0.0 for name in names),
            default=0.0,
        )

    def open_ends_s(self) -> list[float]:
        """Return when each claim runs out; those refused are in no hurry."""
        return [
            self.expires_s(claim)
            for claim in self.claims
            if claim.health is not None and claim.health is not REFUSED
        ]

    def end_s(self, now_s: float) -> float:
        """Return the earliest expiry still ahead, else the earliest one that passed.

        ``math.inf`` if there is nothing to keep or all of it is refused.
        """
        passed_s, ahead_s = self.ends_s(now_s)
        return passed_s if ahead_s == math.inf else ahead_s

    def ends_s(self, now_s: float) -> tuple[float, float]:
        """Return the earliest expiry that has passed and the earliest still ahead.

        ``math.inf`` for none.
        """
        passed_s = ahead_s = math.inf
        for claim in self.claims:
            if claim.health is None or claim.health is REFUSED:
                continue
            end_s = self.expires_s(claim)
            if end_s <= now_s:
                passed_s = min(passed_s, end_s)
            elif end_s < ahead_s:
                ahead_s = end_s
        return passed_s, ahead_s

    # When to say it.

    @property
    def interval_s(self) -> float:
        """The seconds between two rounds, by the shortest timeout, whoever wants it."""
        shortest_s = math.inf
        for claim in self.claims:
            if claim.health is not None:
                interval_s = self.shared.interval_s(claim.presence_timeout_s)
                shortest_s = min(shortest_s, interval_s)
        if self.listing is None or self.listing.others is None:
            return shortest_s
        wanted_s = [other.timeout_s for other in self.listing.others.values()]
        intervals_s = [self.shared.interval_s(x) for x in wanted_s if x]
        return min([shortest_s, *intervals_s])

    def hasten(self, due_s: float) -> None:
        """Make the next round due no later than a time, whatever failed before.

        It is sent whoever else has sent one meanwhile.
        """
        if due_s <= self.due_s and self.has_joined:
            self.due_s = due_s
            if self.shared.sharing is not None:
                self.pressing_s = due_s

    def expect(self, due_s: float) -> None:
        """Make the next round due no later than a time."""
        if due_s < self.due_s and self.has_joined:
            self.due_s = due_s

    @property
    def is_pressed(self) -> bool:
        """Whether the next round is sent without asking whose turn it is."""
        return self.pressing_s is not None and self.pressing_s <= self.due_s

    def wake_s(self, now_s: float) -> float:
        """Return when something of this, orders aside, has to be said."""
        if self.rare is None:
            return self.due_s
        if self.confirming is not None or (self.round is not None and self.round.beats):
            return now_s
        due_s = math.inf if self.is_held else self.due_s
        return due_s if self.doubts is None else min(due_s, self.doubts.next_s(now_s))

    def is_idle(self, now_s: float) -> bool:
        """Return True if nothing is wanted and nothing is left to be said."""
        if self.claims or self.orders or self.out is not None:
            return False
        if self.rare is None:
            return True
        has_doubts = self.doubts is not None and not self.doubts.is_over(now_s)
        return self.confirming is None and not has_doubts

    # What it has been told.

    @property
    def told(self) -> dict[Name, Told]:
        """What the service has acknowledged, for each name that a claim holds."""
        told = self._told
        if isinstance(told, Told):
            return {told.name: told}
        return told or {}

    @property
    def only_told(self) -> Told | None:
        """What was told of the only name, if there is just one."""
        told = self._told
        return told if isinstance(told, Told) else None

    def _keep(self, table: dict[Name, Told]) -> None:
        if len(table) > 1:
            self._told = table
        else:
            self._told = next(iter(table.values()), None)

    def tell(
        self, beat: Beat, answer: Acknowledged, held: Collection[Name] | None = None
    ) -> None:
        """Note an acknowledged heartbeat for those of its names that are held.

        Args:
            beat: What was said.
            answer: The answer.
            held: The names; ``None`` for those of which something was told before.
        """
        timeout_s = beat.operation.presence_timeout_s
        until_s = answer.sent_at_s + timeout_s - answer.age_s
        told = self._told
        if isinstance(told, Told) and held is None and beat.names == (told.name,):
            told.renew(until_s, timeout_s, beat.versions[0])
            return
        if told is None and len(beat.names) == 1 and held == beat.names:
            self._told = Told(beat.names[0], until_s, timeout_s, beat.versions[0])
            return
        table = self.told
        for name, version in zip(beat.names, beat.versions, strict=True):
            known = table.get(name)
            if held is None:
                if known is not None:
                    known.renew(until_s, timeout_s, version)
            elif name in held:
                table[name] = Told(name, until_s, timeout_s, version)
        self._keep(table)

    def shorten(self, operation: HeartbeatOperation, until_s: float) -> None:
        """Note that a heartbeat beside the claims may end their names sooner."""
        names = set(names_of(operation.channels, operation.channel_groups))
        for told in self.told.values():
            if told.name in names:
                told.timeout_s = operation.presence_timeout_s
                told.until_s = min(told.until_s, until_s)
