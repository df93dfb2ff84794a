"""The verdict: in a sentence or two, how a user was shown, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import words
from .circumstances import Closed, Ended
from .facts import (
    Asked,
    Back,
    Fact,
    GaveUp,
    Kept,
    Left,
    Released,
    Seen,
    StillHeld,
    What,
)
from .reasons import because
from .timeline import Spell, Timeline, is_unknown

__all__ = ["verdict"]

_MOST_SPELLS = 3
_UNSEEN = (
    "Whoever saw the user offline saw a leave by another process or device with the"
    " same user ID, which only a stream or roster of {} client notices."
)
_FRESH_S = 35.0
"""A sign of life is written each 30 s."""


class _Case(NamedTuple):
    """What is judged: the user, ready to be printed, all that is known, and now.

    Attributes:
        since: From when on nothing was dropped of what was known.
        written: When a process last wrote what is known; 0: none did.
    """

    who: str
    facts: Sequence[Fact]
    now: float
    since: float
    written: float

    def clock(self, at: float) -> str:
        return words.moment(at, self.now)

    def begin(self, spells: Sequence[Spell]) -> str:
        """Return since when the first of some spells has lasted, as far as known."""
        begins = min(spell.begins for spell in spells)
        least = " at least" if begins == self.since else ""
        return f"{self.clock(begins)}{least}"


def verdict(
    user: str,
    facts: Sequence[Fact],
    timeline: Timeline,
    *,
    at: float | None,
    now: float,
    written: float = 0.0,
) -> str:
    """Return the answer to the question, for now or for a time.

    Args:
        user: The user.
        facts: What is known, in order.
        timeline: What follows from them.
        at: The time that is asked about; ``None``: now, and what was wrong last.
        now: The time of asking.
        written: When a process last wrote what is known; 0: none did.
    """
    case = _Case(words.printable(user), facts, now, timeline.since, written)
    spells = timeline.spells_at(now if at is None else at)
    away = [spell for spell in spells if spell.cause is not None]
    if away:
        there = [spell.name for spell in spells if spell.cause is None]
        also = f" On {words.names(there)} {case.who} was shown online." if there else ""
        return _away(case, away) + also
    before = [s for s in timeline.spells if s.cause is not None and s.ends is not None]
    if at is None and before:
        last = max(before, key=lambda spell: spell.begins)
        return _away(case, [spell for spell in before if _is_one(spell, last)])
    if not spells:
        return _unknown(case, at)
    if at is None or 0 < written < at - _FRESH_S:
        return _now(case, spells)
    return _then(case, spells, at)


def _is_one(one: Spell, other: Spell) -> bool:
    times = (one.begins, one.ends)
    return one.cause is other.cause or times == (other.begins, other.ends)


def _away(case: _Case, spells: Sequence[Spell]) -> str:
    """Return when and why a user was offline, once for spells that are alike."""
    groups: list[list[Spell]] = []
    for spell in sorted(spells, key=lambda spell: spell.begins):
        if groups and _is_one(groups[-1][0], spell):
            groups[-1].append(spell)
        else:
            groups.append([spell])
    told = [
        _spell(case, group[0], words.names(spell.name for spell in group))
        for group in groups[-_MOST_SPELLS:]
    ]
    older = [spell.name for group in groups[:-_MOST_SPELLS] for spell in group]
    if older:
        told.append(f"So it is, for longer, on {words.names(older)}.")
    return " ".join(told)


def _spell(case: _Case, spell: Spell, where: str) -> str:
    who, begins, ends = case.who, case.clock(spell.begins), spell.ends
    if is_unknown(spell.cause):
        others = "and left the user to the processes that share its register"
        if isinstance(spell.cause, StillHeld):
            others = "when another process still held the user"
        return (
            f"This client let go of {who} on {where} at {begins}, {others}; it does not"
            " know what came later."
        )
    if isinstance(spell.cause, (Ended, Closed, Released, GaveUp)):
        begins = f"about {begins}"
    told = f"{who} has been shown offline on {where} since {begins}"
    if ends is not None:
        when = f"from {begins} to {case.clock(ends)}"
        if case.clock(ends) == begins:
            when = f"for a moment at {begins}"
        told = f"{who} was shown offline on {where} {when}"
    return f"{told} because {because(spell, case.facts)}{_way_back(case, spell)}."


def _way_back(case: _Case, spell: Spell) -> str:
    """Return how a user who is kept came or will come back if others made them go."""
    if not isinstance(spell.cause, Seen):
        return ""
    own = [fact for fact in case.facts if isinstance(fact, (Back, Kept))]
    for fact in own:
        if fact.at < spell.begins or spell.name not in fact.names:
            continue
        if isinstance(fact, Back) and fact.is_answer_to(spell.cause):
            return f"; a heartbeat sent at once brought {case.who} back"
        if isinstance(fact, Kept) and fact.due and spell.ends is None:
            due = case.clock(fact.due)
            return f"; the next heartbeat, due at {due}, brings {case.who} back"
    return ""


def _now(case: _Case, spells: Sequence[Spell]) -> str:
    where = words.names(spell.name for spell in spells)
    since = case.begin(spells)
    told = f"{case.who} has been shown online on {where} since {since}"
    if any(isinstance(fact, Kept) for fact in case.facts):
        return (
            f"{told}, as far as this client knows: its heartbeats were acknowledged in"
            f" time. {_UNSEEN.format('this')}"
        )
    if not case.written:
        return f"{told}."
    if case.now - case.written <= _FRESH_S:
        return f"{told}, as far as the file tells. {_UNSEEN.format('that')}"
    verb = "seems to" if any(isinstance(f, Ended) for f in case.facts) else "may"
    return (
        f"As of {case.clock(case.written)}, when the file was last written, {case.who}"
        f" had been shown online on {where} since {since}. The process {verb} have"
        " ended since."
    )


def _then(case: _Case, spells: Sequence[Spell], at: float) -> str:
    where = words.names(spell.name for spell in spells)
    since = case.begin(spells)
    return (
        f"{case.who} was shown online on {where} at {case.clock(at)}, and had been"
        f" since {since}."
    )


def _unknown(case: _Case, at: float | None) -> str:
    who, by = case.who, case.now if at is None else at
    own = [fact for fact in case.facts if fact.user]
    failed = [
        fact
        for fact in own
        if isinstance(fact, GaveUp) and fact.what == What.JOIN and fact.at <= by
    ]
    if failed:
        where, why = words.names(failed[-1].names), words.printable(failed[-1].why)
        return f"{who} was not shown online on {where}, as no join succeeded: {why}."
    undone = [
        f for f in own if isinstance(f, Left) and f.why == "undone" and f.at <= by
    ]
    if undone:
        where, when = words.names(undone[-1].names), case.clock(undone[-1].at)
        return f"{who} was not kept on {where}: a join was taken back at {when}."
    if at is not None and at <= case.since:
        return (
            f"What happened to {who} before {case.clock(case.since)} is not remembered"
            " any more."
        )
    if own and at is not None and at < own[0].at:
        begins = case.clock(own[0].at)
        return (
            f"Nothing is known of {who} at {case.clock(at)}; the story begins at"
            f" {begins}."
        )
    return _untold(who, own)


def _untold(who: str, own: Sequence[Fact]) -> str:
    """Return that no fact tells of a join, whatever else is known."""
    if not own:
        return f"Nothing is known of {who}: no lease for that user is remembered here."
    asked = [fact for fact in own if isinstance(fact, Asked)]
    if not asked:
        return f"Whether {who} was shown online does not follow from what is known."
    times = words.count(sum(fact.times for fact in asked), "request")
    statuses = sorted({str(fact.status) for fact in asked if fact.status})
    how = f", answered with {' and '.join(statuses)}" if statuses else ""
    return (
        f"The service announced nothing of {who}, though {times} of the user arrived"
        f"{how}."
    )
