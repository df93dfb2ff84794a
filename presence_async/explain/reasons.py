"""Why a user was shown offline: the clause after "because"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import words
from .circumstances import (
    Blocked,
    Closed,
    Ended,
    OutageBegan,
    OutageEnded,
    Slept,
    Started,
)
from .facts import (
    Asked,
    Fact,
    Failed,
    GaveUp,
    HandedOver,
    Joined,
    Left,
    Lost,
    Released,
    Seen,
    What,
)
from .shown import Spell

__all__ = ["because"]

_OK = 200
_SLACK_S = 6.0
"""How long after a sleep or a block it may be before somebody looks at the clock."""
_SAME_S = 0.5

_LEFT = {
    "": "this client was asked to leave",
    "closed": "the client was closed",
    "lingered": "the lease ended and the user was not back in time",
    "others": "the process that kept the user was gone, and another one left for it",
    "undone": "a join was taken back, as nobody waited for it any more",
}
_NO_LEAVE = "the lease ended without a leave, so the service timed the user out"


def because(spell: Spell, facts: Sequence[Fact]) -> str:
    """Return why a user was offline in a spell.

    Args:
        spell: The spell, which has a cause.
        facts: What is known, in order.
    """
    say = _REASONS.get(type(spell.cause))
    return _NO_LEAVE if say is None else say(spell.cause, spell, facts)


def _failed(fact: Failed, spell: Spell, facts: Sequence[Fact]) -> str:
    if fact.what != What.HEARTBEAT:
        return (
            f"it is not known what came of a {fact.what} ({words.printable(fact.why)})"
        )
    if not fact.is_refused:
        return _lost(fact, spell, facts)
    text = words.printable(fact.why)
    if fact.status:
        return f"the service refused the heartbeats: {text}"
    return f"no heartbeat could be sent: {text}"


def _left(fact: Left, _: Spell, __: Sequence[Fact]) -> str:
    return _LEFT.get(fact.why, _LEFT[""])


def _handed_over(_: HandedOver, __: Spell, ___: Sequence[Fact]) -> str:
    return "the client was closed, and no other process took over in time"


def _gave_up(fact: GaveUp, _: Spell, __: Sequence[Fact]) -> str:
    why = words.printable(fact.why)
    if fact.what == What.JOIN:
        return f"it is not known what came of a join ({why})"
    return f"the lease ended and its leave failed ({why})"


def _no_leave(fact: Closed | Released, spell: Spell, facts: Sequence[Fact]) -> str:
    for later in reversed(facts):
        if not isinstance(later, Failed) or later.what != What.LEAVE:
            continue
        if later.at >= fact.at and spell.name in later.names:
            return (
                f"the lease ended and its leave failed ({words.printable(later.why)})"
            )
    return _NO_LEAVE


def _joined(_: Joined, __: Spell, ___: Sequence[Fact]) -> str:
    return "the first heartbeat was acknowledged late"


def _ended(fact: Ended, _: Spell, facts: Sequence[Fact]) -> str:
    starts = [x for x in facts if isinstance(x, Started) and x.run == fact.run]
    who = "the process"
    if starts:
        who = f"process {starts[-1].pid} on {words.printable(starts[-1].host)}"
    return f"{who} ended without closing its client, and its heartbeats with it"


# What others saw.


def _seen(fact: Seen, _: Spell, facts: Sequence[Fact]) -> str:
    asked = [x for x in facts if isinstance(x, Asked) and fact.name in x.names]
    if any(isinstance(x, Asked) for x in facts):
        return _at_the_service(fact, [x for x in asked if x.at <= fact.at])
    if fact.action == "timeout":
        return "the service timed the user out, whatever this client had sent"
    return "another process or device with the same user ID left"


def _at_the_service(seen: Seen, asked: Sequence[Asked]) -> str:
    """Return what the service had received when a user went."""
    if seen.action != "timeout":
        return "a leave arrived"
    beats = [x for x in asked if x.what == What.HEARTBEAT]
    good = [x.last or x.at for x in beats if x.status == _OK]
    if not good:
        return "no heartbeat arrived in time"
    told = f"the last good heartbeat had arrived at {words.clock(good[-1])}"
    bad = [x for x in beats if x.status != _OK and x.at >= good[-1]]
    if not bad:
        return f"{told}, and none followed"
    times = words.count(sum(x.times for x in bad), "heartbeat")
    how = f"were answered with {bad[0].status}" if bad[0].status else "got no answer"
    return f"{told}, and {times} after it {how}"


# No heartbeat in time.


def _lost(fact: Lost | Failed, spell: Spell, facts: Sequence[Fact]) -> str:
    if stood_still := _stood_still(fact.until, facts):
        return stood_still
    if outage := _outage(facts, fact.until):
        return f"no heartbeat got through: {outage}"
    ends = facts[-1].at if spell.ends is None else spell.ends
    if failed := _failures(facts, fact.until, ends):
        return f"no heartbeat got through: {_summary(failed)}"
    return "no heartbeat was acknowledged in time"


def _stood_still(until: float, facts: Sequence[Fact]) -> str:
    """Return what kept the process from sending anything at a time, if it did."""
    for fact in facts:
        if isinstance(fact, (Slept, Blocked)) and (
            fact.at - fact.for_s <= until <= fact.at + _SLACK_S
        ):
            span = words.lasting(fact.for_s)
            if isinstance(fact, Slept):
                return f"the machine slept for {span}"
            return f"the event loop was blocked for {span}: no heartbeat could be sent"
    return ""


def _failures(facts: Sequence[Fact], until: float, ends: float) -> list[Failed]:
    """Return the failed heartbeats between the last good one and the end."""
    return [
        fact
        for fact in facts
        if isinstance(fact, Failed)
        and fact.what == What.HEARTBEAT
        and fact.at <= ends
        and (abs(fact.until - until) < _SAME_S or fact.at >= until)
    ]


def _summary(failed: Sequence[Failed]) -> str:
    times = sum(fact.times for fact in failed)
    usual = max(failed, key=lambda fact: fact.times)
    attempts = words.count(times, "attempt")
    begins = words.clock(min(fact.at for fact in failed))
    ends = words.clock(max(fact.last or fact.at for fact in failed))
    when = f"from {begins} to {ends}" if times > 1 else f"at {begins}"
    text = words.printable(usual.why)
    if len({fact.status or fact.why for fact in failed}) > 1:
        return f"{attempts} failed {when}, most of them so: {words.answer(usual)}"
    if usual.status:
        return f"the service answered {text} to {attempts} {when}"
    return f"{attempts} failed {when}: {text}"


def _outage(facts: Sequence[Fact], until: float) -> str:
    """Return what is known of an outage in which a presence ran out."""
    began = [f for f in facts if isinstance(f, OutageBegan) and f.at <= until]
    if not began:
        return ""
    since = began[-1].at
    why = f": {words.printable(began[-1].why)}" if began[-1].why else ""
    ends = [f for f in facts if isinstance(f, OutageEnded) and f.at > since]
    if not ends:
        return f"the service has been out of reach since {words.clock(since)}{why}"
    if ends[0].at < until:
        return ""
    span = f"from {words.clock(since)} to {words.clock(ends[0].at)}"
    failed = words.count(ends[0].attempts, "heartbeat")
    return f"the service was out of reach {span}; {failed} failed in that time{why}"


_REASONS: Mapping[type[Fact | None], Callable[[Any, Spell, Sequence[Fact]], str]] = {
    Closed: _no_leave,
    Ended: _ended,
    Failed: _failed,
    GaveUp: _gave_up,
    HandedOver: _handed_over,
    Joined: _joined,
    Left: _left,
    Lost: _lost,
    Released: _no_leave,
    Seen: _seen,
}
