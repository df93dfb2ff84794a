"""The verdict: in a sentence or two, how a user was shown, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from . import words
from .facts import (
    Asked,
    Back,
    Fact,
    Failed,
    GaveUp,
    Joined,
    Kept,
    Left,
    Lost,
    Seen,
    StillHeld,
    What,
)
from .reasons import because
from .shown import Spell, is_unknown
from .timeline import Timeline

__all__ = ["verdict"]

_MOST_SPELLS = 3
_UNSEEN = (
    "Whoever saw the user offline saw a leave by another process or device with the"
    " same user ID, which only a stream or roster of {} client notices."
)
_OPEN = (
    "; a heartbeat whose answer was late or lost may have kept the user online all the"
    " same"
)
_FRESH_S = 35.0
"""A sign of life is written each 30 s."""


class _Case(NamedTuple):
    """What is judged: the user, ready to be printed, all that is known, and now.

    Attributes:
        spells: What follows from that.
        since: From when on nothing was dropped of what was known.
        written: When a process last wrote what is known; 0: none did.
    """

    who: str
    facts: Sequence[Fact]
    spells: Sequence[Spell]
    now: float
    since: float
    written: float

    def clock(self, at: float) -> str:
        return words.moment(at, self.now)

    def span(self, begins: float, ends: float | None) -> str:
        """Return from when to when, or since when."""
        if ends is None:
            return f"since {self.clock(begins)}"
        if self.clock(ends) == self.clock(begins):
            return f"for a moment at {self.clock(begins)}"
        return f"from {self.clock(begins)} to {self.clock(ends)}"

    def doubtful(self, spell: Spell) -> tuple[float, float | None]:
        """Return when a spell began and ended with what may belong to it."""
        begins, ends = spell.begins, spell.ends
        for each in self.spells:
            if each.name == spell.name and not each.is_sure:
                if each.ends == begins:
                    begins = each.begins
                elif each.begins == ends and each.cause is spell.cause:
                    ends = each.ends
        return begins, ends

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
    who, since = words.printable(user), timeline.since
    case = _Case(who, facts, timeline.spells, now, since, written)
    spells = timeline.spells_at(now if at is None else at)
    away = [spell for spell in spells if spell.cause is not None]
    if away:
        there = [spell.name for spell in spells if spell.cause is None]
        also = f" On {words.names(there)} {case.who} was shown online." if there else ""
        return _away(case, away) + also
    over = [s for s in timeline.spells if s.cause is not None and s.ends is not None]
    before = [spell for spell in over if not _is_arrival(spell)]
    if at is None and before:
        cause = max(before, key=lambda spell: spell.begins).cause
        last = max((s for s in before if s.cause is cause), key=_rank)
        return _away(case, [spell for spell in before if _is_one(spell, last)])
    if not spells:
        return _unknown(case, at)
    if at is None or 0 < written < at:
        return _now(case, spells)
    return _then(case, spells, at)


def _is_arrival(spell: Spell) -> bool:
    """Return True if it is in doubt only how early a user came."""
    cause = spell.cause
    is_join = isinstance(cause, Joined) or (
        isinstance(cause, (Failed, GaveUp)) and cause.what == What.JOIN
    )
    return is_join and not spell.is_sure


def _rank(spell: Spell) -> tuple[bool, float]:
    return spell.is_sure, spell.begins


def _is_one(one: Spell, other: Spell) -> bool:
    if one.is_sure is not other.is_sure:
        return False
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
    who, begins, ends = case.who, spell.begins, spell.ends
    if is_unknown(spell.cause):
        others = "and left the user to the processes that share its register"
        if isinstance(spell.cause, StillHeld):
            others = "when another process still held the user"
        return (
            f"This client let go of {who} on {where} at {case.clock(begins)}, {others};"
            " it does not know what came later."
        )
    why = f"because {because(spell, case.facts)}"
    since = case.span(begins, ends)
    if not spell.is_sure:
        is_kept = isinstance(spell.cause, Lost) or (
            isinstance(spell.cause, Failed) and spell.cause.what == What.HEARTBEAT
        )
        open_ = _OPEN if is_kept else ""
        return f"{who} may have been shown offline on {where} {since} {why}{open_}."
    if (wide := case.span(*case.doubtful(spell))) != since:
        since += f", perhaps {wide},"
    verb = "has been" if ends is None else "was"
    told = f"{who} {verb} shown offline on {where} {since} {why}"
    return f"{told}{_way_back(case, spell)}."


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
        return (
            f"{told}, as far as the file tells, which was last written at"
            f" {case.clock(case.written)}. {_UNSEEN.format('that')}"
        )
    return (
        f"As of {case.clock(case.written)}, when the file was last written, {case.who}"
        f" had been shown online on {where} since {since}. The process may have ended"
        " since."
    )


def _then(case: _Case, spells: Sequence[Spell], at: float) -> str:
    where = words.names(spell.name for spell in spells)
    since = case.begin(spells)
    told = (
        f"{case.who} was shown online on {where} at {case.clock(at)}, and had been"
        f" since {since}"
    )
    if any(isinstance(fact, Asked) for fact in case.facts):
        return f"{told}."
    source = "the file tells" if case.written else "this client knows"
    return f"{told}, as far as {source}."


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
