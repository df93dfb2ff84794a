"""From facts to spells: when a user was shown online on each name, and why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .circumstances import Alive, Closed, Ended
from .facts import (
    Back,
    Fact,
    Failed,
    GaveUp,
    HandedOver,
    Joined,
    Kept,
    Left,
    Lost,
    Names,
    RanOut,
    Released,
    Seen,
    StillHeld,
    What,
)

__all__ = ["Spell", "Timeline", "is_unknown", "ran_out", "told_at", "with_ends"]

_USUAL_TIMEOUT_S = 300
_NEXT_S = 1.0
_SIGNS_OF_LIFE_S = 90.0
"""Three signs of life."""


class Spell(NamedTuple):
    """A time in which a user was shown online on a name, or was not.

    Attributes:
        name: The name.
        begins: When it began.
        ends: When it ended; ``None``: not yet.
        cause: The fact that made the user go offline; ``None``: was shown online.
    """

    name: str
    begins: float
    ends: float | None
    cause: Fact | None


def told_at(fact: Fact) -> float:
    """Return when a fact took effect: a presence may run out unnoticed."""
    return min(fact.at, fact.until) if isinstance(fact, Lost) else fact.at


def with_ends(facts: Iterable[Fact], now: float) -> list[Fact]:
    """Return facts in order, with the ends of processes that nobody wrote down.

    Clients in memory have no run and are no such case, and of a process that kept
    nobody at last there is no sign of life to miss.
    """
    ordered = sorted(facts, key=told_at)
    last: dict[str, float] = {}
    idle: set[str] = set()
    for fact in ordered:
        if fact.run:
            last[fact.run] = max(fact.at, last.get(fact.run, 0.0))
        if isinstance(fact, Alive) and not fact.users:
            idle.add(fact.run)
        elif isinstance(fact, (Alive, Joined)):
            idle.discard(fact.run)
    closed = {fact.run for fact in ordered if isinstance(fact, Closed)}
    ends: list[Fact] = [
        Ended(at=at, run=run)
        for run, at in last.items()
        if run not in closed | idle and now - at > _SIGNS_OF_LIFE_S
    ]
    told = [fact for fact in ordered if not isinstance(fact, Alive)]
    return sorted([*told, *ends], key=told_at)


def is_unknown(cause: Fact | None) -> bool:
    """Return True if other processes decide about a name since, unknown to us."""
    return isinstance(cause, StillHeld) or (
        isinstance(cause, HandedOver) and not cause.timeout_s
    )


def ran_out(spells: Iterable[Spell], user: str) -> list[Fact]:
    """Return, as facts, when names ran out that nobody reported."""
    found: dict[tuple[float, Fact], list[str]] = {}
    for spell in spells:
        cause = spell.cause
        is_told = cause is None or spell.begins <= told_at(cause) + _NEXT_S
        if cause is not None and (isinstance(cause, Failed) or not is_told):
            found.setdefault((spell.begins, cause), []).append(spell.name)
    return [
        RanOut(
            at=at,
            user=user,
            run=cause.run,
            names=tuple(names),
            is_about=not isinstance(cause, (Failed, HandedOver)),
        )
        for (at, cause), names in found.items()
    ]


class Timeline:
    """When a user was online and when not, name by name.

    Args:
        facts: In order; those about everybody among them.
        now: Up to when.
        since: From when on no facts were dropped.

    Attributes:
        since: Likewise.
    """

    def __init__(self, facts: Iterable[Fact], now: float, since: float = 0.0) -> None:
        self.since: float = since
        self._changes: dict[str, list[tuple[float, Fact | None]]] = {}
        # Names that run out by themselves, unless something happens before.
        self._pending: dict[str, tuple[float, Fact]] = {}
        self._timeouts: dict[str, int] = {}
        self._held: dict[str, set[str]] = {}
        takes: Mapping[type[Fact], Callable[[Any], None]] = {
            Back: self._back,
            Closed: self._ended,
            Ended: self._ended,
            Failed: self._failed,
            GaveUp: self._gave_up,
            HandedOver: self._handed_over,
            Joined: self._joined,
            Kept: self._kept,
            Left: self._left,
            Lost: self._lost,
            Released: self._gave_up,
            Seen: self._seen,
            StillHeld: self._left_to_others,
        }
        for fact in facts:
            self._run_out(told_at(fact))
            if take := takes.get(type(fact)):
                take(fact)
        self._run_out(now)

    @property
    def spells(self) -> list[Spell]:
        """Every spell, by name and time."""
        return [
            Spell(name, at, changes[i + 1][0] if i + 1 < len(changes) else None, cause)
            for name, changes in self._changes.items()
            for i, (at, cause) in enumerate(changes)
        ]

    def spells_at(self, at: float) -> list[Spell]:
        """Return the spell of each name that was under way at a time."""
        return [
            spell
            for spell in self.spells
            if spell.begins <= at and (spell.ends is None or at < spell.ends)
        ]

    def _joined(self, fact: Joined) -> None:
        for name in fact.names:
            self._timeouts[name] = fact.timeout_s
            self._held.setdefault(name, set()).add(fact.run)
        self._online(fact.names, fact.at)

    def _back(self, fact: Back) -> None:
        if fact.was != "at_risk":
            self._unassume(fact.names)
        self._online(fact.names, fact.at)

    def _kept(self, fact: Kept) -> None:
        """A heartbeat brings a name back, not that somebody asks."""
        for name in fact.names:
            since, cause = self._changes.get(name, [(0.0, None)])[-1]
            if cause is None or fact.acked > since:
                self._online((name,), fact.acked if cause else fact.at)

    def _unassume(self, names: Names) -> None:
        """Drop what was assumed of names, as it turns out to have been otherwise."""
        for name in names:
            if self.since and self._changes.get(name) == [(self.since, None)]:
                del self._changes[name]

    def _lost(self, fact: Lost) -> None:
        self._offline(fact.names, fact.until, fact)

    def _left(self, fact: Left) -> None:
        self._let_go(fact.names, fact.run)
        if fact.why != "undone":
            self._offline(fact.names, fact.at, fact)
            return
        for name in fact.names:
            # Of a join that failed nobody knows whether it was ever seen.
            if self._is_online(name):
                self._offline((name,), fact.at, fact)

    def _handed_over(self, fact: HandedOver) -> None:
        if not fact.timeout_s:
            self._left_to_others(fact)
            return
        self._let_go(fact.names, fact.run)
        for name in fact.names:
            if self._is_online(name):
                self._pending[name] = (fact.at + fact.timeout_s, fact)

    def _failed(self, fact: Failed) -> None:
        if fact.what != What.HEARTBEAT or not fact.until:
            return
        self._offline(fact.gone, fact.until, fact)
        if fact.is_refused:
            for name in fact.names:
                if self._is_online(name) and name not in self._pending:
                    self._pending[name] = (fact.until, fact)

    def _seen(self, fact: Seen) -> None:
        if fact.action == "join":
            self._online((fact.name,), fact.at)
            return
        _, cause = self._pending.get(fact.name, (0.0, None))
        is_expected = fact.action == "timeout" and cause is not None
        if self._is_online(fact.name) or fact.name not in self._changes:
            self._offline(
                (fact.name,), fact.at, cause if is_expected and cause else fact
            )

    def _gave_up(self, fact: Released | GaveUp) -> None:
        """Expect the user to time out, until a leave is acknowledged after all."""
        if isinstance(fact, GaveUp) and fact.what == What.JOIN:
            return
        names = fact.names or tuple(self._changes)
        if isinstance(fact, Released):
            names = tuple(name for name in names if name not in fact.still)
        for name in names:
            self._let_go((name,), fact.run)
        self._offline_later(names, fact)

    def _ended(self, fact: Fact) -> None:
        names = tuple(n for n, runs in self._held.items() if fact.run in runs)
        self._let_go(names, fact.run)
        self._offline_later(names, fact)

    def _left_to_others(self, fact: StillHeld | HandedOver) -> None:
        """Say that it is not known any more, if no other process tells of a name."""
        self._let_go(fact.names, fact.run)
        for name in fact.names:
            self._pending.pop(name, None)
            if not self._held.get(name) and name in self._changes:
                self._changes[name].append((fact.at, fact))

    def _offline_later(self, names: Names, fact: Fact) -> None:
        """Expect names to run out within their timeout, if nobody else holds them."""
        for name in names:
            if not self._held.get(name) and self._is_online(name):
                at = fact.at + self._timeouts.get(name, _USUAL_TIMEOUT_S)
                if isinstance(fact, Released) and fact.until:
                    at = max(fact.at, fact.until)
                before, _ = self._pending.get(name, (at, fact))
                self._pending[name] = (min(at, before), fact)

    def _let_go(self, names: Names, run: str) -> None:
        for name in names:
            self._held.get(name, set()).discard(run)

    def _is_online(self, name: str) -> bool:
        """Return True if a name is online, or may be through another process."""
        changes = self._changes.get(name)
        if not changes:
            return False
        cause = changes[-1][1]
        return cause is None or is_unknown(cause)

    def _online(self, names: Names, at: float) -> None:
        # Who joined before is assumed to have been online then.
        at = max(at, self.since)
        for name in names:
            self._pending.pop(name, None)
            changes = self._changes.setdefault(name, [])
            if not changes or changes[-1][1] is not None:
                changes.append((at, None))

    def _offline(self, names: Names, at: float, cause: Fact) -> None:
        if at <= self.since:
            self._unassume(names)
        for name in names:
            self._pending.pop(name, None)
            if self._is_online(name) or name not in self._changes:
                self._changes.setdefault(name, []).append((at, cause))

    def _run_out(self, until: float) -> None:
        for name, (at, cause) in list(self._pending.items()):
            if at <= until:
                self._offline((name,), at, cause)
