"""What a witness says of one fact, whatever else is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import words
from .circumstances import (
    Blocked,
    Ended,
    OutageBegan,
    OutageEnded,
    RegisterBack,
    RegisterLost,
    Slept,
    Started,
)
from .facts import Asked, Fact, Failed, Joined, NewToken, Turn, What

__all__ = ["SENTENCES"]


def _joined(fact: Joined) -> str:
    where = words.names(fact.names)
    return f"Joined {where} with a timeout of {words.lasting(fact.timeout_s)}."


def _failed(fact: Failed) -> str:
    where, thing = words.names(fact.names), fact.what
    if thing in {What.JOIN, What.LEAVE}:
        thing = f"attempt to {thing} {where}"
    elif fact.is_refused:
        thing = f"{thing} for {where}"
    how = "refused" if fact.is_refused and fact.status else ""
    if fact.times > 1:
        verb = f"were {how}" if how else "failed"
        told = f"{words.many(fact.times, thing)} {verb} until {words.clock(fact.last)}"
    else:
        told = f"{words.one(thing)} {f'was {how}' if how else 'failed'}"
    return f"{told}: {words.answer(fact)}.{_time_left(fact)}"


def _time_left(fact: Failed) -> str:
    left_s = fact.until - fact.at
    if fact.what != What.HEARTBEAT or left_s <= 0:
        return ""
    when = "then" if fact.times == 1 else "at first"
    return f" The presence had {words.lasting(left_s)} left {when}."


def _asked(fact: Asked) -> str:
    thing = f"{fact.what} for {words.names(fact.names)}"
    how = f"answered with {fact.status}" if fact.status else "cut off without an answer"
    if fact.times == 1:
        return f"{words.one(thing)} arrived and was {how}."
    until = words.clock(fact.last)
    return f"{words.many(fact.times, thing)} arrived until {until} and were {how}."


def _new_token(fact: NewToken) -> str:
    if fact.is_refresh:
        return "The token was dropped; the next request asked for another."
    return "Another token was set."


def _turn(fact: Turn) -> str:
    if fact.is_ours:
        return "This process sent the heartbeats after that."
    return "Another process, which also held the user, sent the heartbeats after that."


def _outage_began(fact: OutageBegan) -> str:
    why = f": {words.printable(fact.why)}" if fact.why else ""
    return (
        "The heartbeats of several users failed in a row, so one at a time went on"
        f" trying{why}."
    )


def _outage_ended(fact: OutageEnded) -> str:
    span, failed = words.lasting(fact.at - fact.since), ""
    if fact.attempts:
        failed = f" {words.count(fact.attempts, 'heartbeat')} had failed meanwhile."
    return f"The service could be reached again after {span}.{failed}"


def _blocked(fact: Blocked) -> str:
    span = words.lasting(fact.for_s)
    return f"The event loop had been blocked for {span}; nothing was sent meanwhile."


def _slept(fact: Slept) -> str:
    span = words.lasting(fact.for_s)
    return f"The machine had slept for {span}, or its clock was set forward by that."


def _register_lost(fact: RegisterLost) -> str:
    return (
        "The register was away, so heartbeats went on without it and leaves waited:"
        f" {words.printable(fact.why)}."
    )


def _register_back(fact: RegisterBack) -> str:
    return f"The register was back after {words.lasting(fact.away_s)}."


def _started(fact: Started) -> str:
    if fact.is_more:
        return ""
    return f"Process {fact.pid} on {words.printable(fact.host)} began to write."


def _ended(_: Ended) -> str:
    return "The last sign of life: the process ended without closing its client."


SENTENCES: Mapping[type[Fact], Callable[[Any], str]] = {
    Asked: _asked,
    Blocked: _blocked,
    Ended: _ended,
    Failed: _failed,
    Joined: _joined,
    NewToken: _new_token,
    OutageBegan: _outage_began,
    OutageEnded: _outage_ended,
    RegisterBack: _register_back,
    RegisterLost: _register_lost,
    Slept: _slept,
    Started: _started,
    Turn: _turn,
}
"""The sentence for each kind of fact that needs no other; it may be empty."""
