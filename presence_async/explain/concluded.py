"""What nobody wrote down and follows all the same: ends of processes and presences."""

from __future__ import annotations

from collections.abc import Iterable

from .circumstances import Alive, Closed, Ended
from .facts import Fact, Failed, Joined, Lost, RanOut
from .shown import Spell

__all__ = ["ran_out", "told_at", "with_ends"]

_NEXT_S = 1.0
_SIGNS_OF_LIFE_S = 90.0
"""Three signs of life."""


def told_at(fact: Fact) -> float:
    """Return when a fact took effect: a presence may run out unnoticed."""
    return min(fact.at, fact.until) if isinstance(fact, Lost) else fact.at


def _place(fact: Fact) -> tuple[float, bool]:
    """Return what to order facts by: the end of a client comes after what led to it."""
    return told_at(fact), isinstance(fact, Closed)


def with_ends(facts: Iterable[Fact], now: float) -> list[Fact]:
    """Return facts in order, with the ends of processes that nobody wrote down.

    Clients in memory have no run and are no such case, and of a process that kept
    nobody at last there is no sign of life to miss.
    """
    ordered = sorted(facts, key=_place)
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
    return sorted([*told, *ends], key=_place)


def ran_out(spells: Iterable[Spell], user: str) -> list[Fact]:
    """Return, as facts, when names had certainly run out that nobody reported."""
    found: dict[tuple[float, Fact, bool], list[str]] = {}
    before: Spell | None = None
    for spell in spells:
        cause, last, before = spell.cause, before, spell
        if cause is None or not spell.is_sure:
            continue
        is_told = spell.begins <= told_at(cause) + _NEXT_S
        if isinstance(cause, Failed) or not is_told:
            is_about = (
                last is not None and last.ends == spell.begins and not last.is_sure
            )
            found.setdefault((spell.begins, cause, is_about), []).append(spell.name)
    return [
        RanOut(at=at, user=user, run=cause.run, names=tuple(names), is_about=is_about)
        for (at, cause, is_about), names in found.items()
    ]
