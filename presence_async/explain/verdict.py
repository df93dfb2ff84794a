"""The verdict: one sentence on why a user was shown as they were."""

from __future__ import annotations

from collections.abc import Sequence

from . import words
from .facts import (
    Blocked,
    Closed,
    Ended,
    Fact,
    Failed,
    GaveUp,
    HandedOver,
    Kept,
    Left,
    Lost,
    OutageBegan,
    OutageEnded,
    Released,
    Seen,
    Slept,
    Started,
    StillHeld,
    What,
)
from .timeline import Spell, Timeline

__all__ = ["verdict"]

_SLACK_S = 6.0
"""How long after a sleep or a block it may be before somebody looks at the clock."""

_LEFT = {
    "": "this client was asked to leave",
    "closed": "the client was closed",
    "lingered": "the lease ended and the user was not back in time",
    "others": "the process that kept the user was gone, and another one left for it",
    "undone": "a join was taken back, as nobody waited for it any more",
}


def verdict(user: str, facts: Sequence[Fact], *, at: float | None, now: float) -> str:
    """Return the answer to the question, for now or for a time.

    Args:
        user: The user.
        facts: What is known, in order.
        at: The time that is asked about; ``None``: now, and what was wrong last.
        now: The time of asking.
    """
    who, timeline = words.printable(user), Timeline(facts, now)
    spells = timeline.spells_at(now if at is None else at)
    away = [spell for spell in spells if spell.cause is not None]
    if away:
        there = words.names(spell.name for spell in spells if spell.cause is None)
        rest = f" On {there} {who} was shown online." if len(away) < len(spells) else ""
        return _away(who, away, facts) + rest
    if at is None:
        before = [s for s in timeline.spells if s.cause is not None and s.ends]
        if before:
            last = max(before, key=lambda spell: spell.begins)
            return _away(who, [s for s in before if _is_one(s, last)], facts)
    if spells:
        return _there(who, spells, facts, at)
    return _unknown(who, facts, at)


def _is_one(one: Spell, other: Spell) -> bool:
    return one.cause is other.cause or one[1:3] == other[1:3]


def _away(who: str, spells: Sequence[Spell], facts: Sequence[Fact]) -> str:
    first = min(spells, key=lambda spell: spell.begins)
    same = [spell for spell in spells if _is_one(spell, first)]
    where, begins = words.names(s.name for s in same), words.clock(first.begins)
    if isinstance(first.cause, StillHeld):
        return (
            f"This client let go of {who} on {where} at {begins}, when another process"
            " still held the user; it does not know what came later."
        )
    about = "about " if isinstance(first.cause, (Ended, Closed, Released)) else ""
    if first.ends is None:
        sentence = f"{who} has been shown offline on {where} since {about}{begins}"
    else:
        ends = words.clock(first.ends)
        sentence = f"{who} was shown offline on {where} from {about}{begins} to {ends}"
    told = f"{sentence} because {_cause(first, facts)}."
    rest = [spell for spell in spells if spell not in same]
    return f"{told} {_away(who, rest, facts)}" if rest else told


def _cause(spell: Spell, facts: Sequence[Fact]) -> str:
    match spell.cause:
        case Lost():
            return _lost(spell, spell.cause, facts)
        case Failed() as refused:
            text = words.printable(refused.why)
            if refused.status:
                return f"the service refused the heartbeats: {text}"
            return f"no heartbeat could be sent: {text}"
        case Left(why=why):
            return _LEFT.get(why, _LEFT[""])
        case Seen(action="timeout"):
            return "the service timed the user out, whatever this client had sent"
        case Seen():
            return "another process or device with the same user ID left"
        case HandedOver():
            return "the client was closed, and no other process took over in time"
        case GaveUp(why=why):
            return f"the lease ended; its leave failed, so the service timed the user out ({words.printable(why)})"
        case Ended(run=run):
            return f"{_process(run, facts)} ended without closing, and its heartbeats with it"
        case _:
            return "the lease ended without a leave, so the service timed the user out"


def _process(run: str, facts: Sequence[Fact]) -> str:
    for fact in facts:
        if isinstance(fact, Started) and fact.run == run:
            return f"process {fact.pid} on {words.printable(fact.host)}"
    return "the process"


def _lost(spell: Spell, lost: Lost, facts: Sequence[Fact]) -> str:
    """Return why no heartbeat was acknowledged in time."""
    until = lost.until
    for fact in facts:
        if isinstance(fact, (Slept, Blocked)):
            if fact.at - fact.for_s <= until <= fact.at + _SLACK_S:
                span = words.lasting(fact.for_s)
                if isinstance(fact, Slept):
                    return f"the machine slept for {span}"
                return f"the event loop was blocked for {span}: no heartbeat could be sent"
    ends = spell.ends or max(fact.at for fact in facts)
    failed = _failures(facts, until, ends)
    if failed:
        return f"no heartbeat got through: {_summary(failed)}"
    outage = _outage(facts, until)
    if outage:
        return f"no heartbeat got through: {outage}"
    return "no heartbeat was acknowledged in time"


def _failures(facts: Sequence[Fact], until: float, ends: float) -> list[Failed]:
    """Return the failed heartbeats between the last good one and the end."""
    return [
        fact
        for fact in facts
        if isinstance(fact, Failed)
        and fact.what == What.HEARTBEAT
        and fact.at <= ends
        and (fact.until == until or fact.at >= until or not fact.until)
    ]


def _summary(failed: Sequence[Failed]) -> str:
    times = sum(fact.times for fact in failed)
    usual = max(failed, key=lambda fact: fact.times)
    attempts = words.count(times, "attempt")
    begins = words.clock(min(fact.at for fact in failed))
    ends = words.clock(max(fact.last or fact.at for fact in failed))
    when = f"from {begins} to {ends}" if times > 1 else f"at {begins}"
    text = words.printable(usual.why)
    kinds = {fact.status or fact.why for fact in failed}
    if len(kinds) > 1:
        return f"{attempts} failed {when}, most of them so: {words.answer(usual)}"
    if usual.status:
        return f"the service answered {text} to {attempts} {when}"
    return f"{attempts} failed {when}: {text}"


def _outage(facts: Sequence[Fact], until: float) -> str:
    for fact in facts:
        if isinstance(fact, OutageEnded) and fact.since <= until <= fact.at:
            span = f"from {words.clock(fact.since)} to {words.clock(fact.at)}"
            return f"the service could not be reached {span}"
    began = [f for f in facts if isinstance(f, OutageBegan) and f.at <= until]
    if not began:
        return ""
    return f"the service cannot be reached since {words.clock(began[-1].at)}"


def _there(
    who: str, spells: Sequence[Spell], facts: Sequence[Fact], at: float | None
) -> str:
    where = words.names(spell.name for spell in spells)
    since = words.clock(min(spell.begins for spell in spells))
    if at is not None:
        return (
            f"{who} was shown online on {where} at {words.clock(at)}, and had been"
            f" since {since}."
        )
    told = f"{who} has been shown online on {where} since {since}"
    if not any(isinstance(fact, Kept) for fact in facts):
        return f"{told}."
    return (
        f"{told}, as far as this client knows: its heartbeats were acknowledged in"
        " time. Whoever saw the user offline saw a leave by another process or device"
        " with the same user ID, which only a stream or roster of this client notices."
    )


def _unknown(who: str, facts: Sequence[Fact], at: float | None) -> str:
    failed = [f for f in facts if isinstance(f, GaveUp) and f.what == What.JOIN]
    if failed and (at is None or failed[0].at <= at):
        where, why = words.names(failed[-1].names), words.printable(failed[-1].why)
        return f"{who} was not shown online on {where} because no join succeeded: {why}."
    own = [fact for fact in facts if fact.user]
    if at is not None and own:
        begins = words.clock(own[0].at)
        return (
            f"Nothing is known of {who} at {words.clock(at)}: the story begins at"
            f" {begins}."
        )
    return f"Nothing is known of {who}: no lease for that user is remembered here."
