"""The sentences for each kind of fact, as a witness says them."""

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
from .facts import (
    Asked,
    Back,
    Fact,
    Failed,
    GaveUp,
    HandedOver,
    Joined,
    Kept,
    Left,
    Lost,
    NewToken,
    RanOut,
    Released,
    Seen,
    StillHeld,
    Turn,
    What,
)
from .scene import Scene

__all__ = ["SENTENCES"]


def _joined(fact: Joined, _: Scene) -> str:
    where = words.names(fact.names)
    return f"Joined {where} with a timeout of {words.lasting(fact.timeout_s)}."


def _failed(fact: Failed, _: Scene) -> str:
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


def _asked(fact: Asked, _: Scene) -> str:
    thing = f"{fact.what} for {words.names(fact.names)}"
    how = f"answered with {fact.status}" if fact.status else "cut off without an answer"
    if fact.times == 1:
        return f"{words.one(thing)} arrived and was {how}."
    until = words.clock(fact.last)
    return f"{words.many(fact.times, thing)} arrived until {until} and were {how}."


def _new_token(fact: NewToken, _: Scene) -> str:
    if fact.is_refresh:
        return "The token was dropped; the next request asked for another."
    return "Another token was set."


def _turn(fact: Turn, _: Scene) -> str:
    if fact.is_ours:
        return "This process sent the heartbeats after that."
    return "Another process, which also held the user, sent the heartbeats after that."


def _outage_began(fact: OutageBegan, _: Scene) -> str:
    why = f": {words.printable(fact.why)}" if fact.why else ""
    return (
        "The heartbeats of several users failed in a row, so one at a time went on"
        f" trying{why}."
    )


def _outage_ended(fact: OutageEnded, _: Scene) -> str:
    span, failed = words.lasting(fact.at - fact.since), ""
    if fact.attempts:
        failed = f" {words.count(fact.attempts, 'heartbeat')} had failed meanwhile."
    return f"The service could be reached again after {span}.{failed}"


def _blocked(fact: Blocked, _: Scene) -> str:
    span = words.lasting(fact.for_s)
    return f"The event loop had been blocked for {span}; nothing was sent meanwhile."


def _slept(fact: Slept, _: Scene) -> str:
    span = words.lasting(fact.for_s)
    return f"The machine had slept for {span}, or its clock was set forward by that."


def _register_lost(fact: RegisterLost, _: Scene) -> str:
    return (
        "The register was away, so heartbeats went on without it and leaves waited:"
        f" {words.printable(fact.why)}."
    )


def _register_back(fact: RegisterBack, _: Scene) -> str:
    return f"The register was back after {words.lasting(fact.away_s)}."


def _started(fact: Started, _: Scene) -> str:
    if fact.is_more:
        return ""
    return f"Process {fact.pid} on {words.printable(fact.host)} began to write."


def _ended(_: Ended, __: Scene) -> str:
    return "The last sign of life: the process ended without closing its client."


def _lost(fact: Lost, scene: Scene) -> str:
    where = words.names(fact.names)
    if scene.is_doubtful(fact):
        return (
            f"The presence on {where} ran out, unless a heartbeat had arrived whose"
            " answer was late or lost."
        )
    return f"The presence on {where} ran out: {scene.who} was shown offline."


def _ran_out(fact: RanOut, scene: Scene) -> str:
    where = words.names(fact.names)
    by = "had run out by then" if fact.is_about else "ran out"
    return f"The presence on {where} {by}: {scene.who} was shown offline."


def _back(fact: Back, scene: Scene) -> str:
    lost = scene.lost()
    if lost is None:
        return "A heartbeat was acknowledged again, before the presence ran out."
    online = f"{scene.who} was shown online on {words.names(fact.names)}"
    if fact.is_answer_to(lost):
        return f"A heartbeat was sent at once and acknowledged: {online} again."
    if scene.is_doubtful(lost):
        return f"A heartbeat was acknowledged: {online}."
    since = lost.until if isinstance(lost, Lost) else lost.at
    span = words.lasting(fact.at - since)
    return f"A heartbeat was acknowledged: {online} again, after {span}."


def _released(fact: Released, scene: Scene) -> str:
    where = words.names(fact.names)
    soon = scene.soon()
    if any(isinstance(x, (Left, HandedOver)) and _meets(x, fact) for x in soon):
        return ""
    if fact.why == "closed":
        is_tried = any(isinstance(x, (StillHeld, Failed, GaveUp)) for x in soon)
        how = "" if is_tried else " without leaving"
        return f"The client, which kept {where}, was closed{how}."
    if set(fact.still) == set(fact.names):
        return f"A lease on {where} ended; another one of this client went on."
    if fact.linger_s:
        span = words.lasting(fact.linger_s)
        return f"The lease on {where} ended; the user had {span} to come back."
    return f"The lease on {where} ended."


def _meets(one: Left | HandedOver | Released, other: Left | Released) -> bool:
    return not set(one.names).isdisjoint(other.names)


def _left(fact: Left, scene: Scene) -> str:
    where = words.names(fact.names)
    had_lease = any(
        isinstance(earlier, Released) and _meets(earlier, fact)
        for earlier in scene.just_before()
    )
    usual = f"The lease ended, and the client left {where}"
    told = {
        "closed": f"The client was closed and left {where}",
        "lingered": f"{scene.who} was not back in time, so the client left {where}",
        "others": f"Left {where} for another process that was gone",
        "undone": f"A join was taken back by leaving {where}",
    }
    text = told.get(fact.why, usual if had_lease else f"Left {where}")
    return f"{text}; the service acknowledged it."


def _still_held(fact: StillHeld, scene: Scene) -> str:
    where = words.names(fact.names)
    return f"Another process still held {scene.who} on {where}, so no leave was sent."


def _handed_over(fact: HandedOver, scene: Scene) -> str:
    if not fact.timeout_s:
        return (
            f"The client was closed and left {scene.who} to the processes that share"
            " its register."
        )
    span = words.lasting(fact.timeout_s)
    return (
        f"The client was closed and handed {scene.who} over with a last heartbeat:"
        f" another process had {span} to join."
    )


def _gave_up(fact: GaveUp, scene: Scene) -> str:
    why = words.printable(fact.why)
    if fact.what == What.JOIN:
        return f"Could not join {words.names(fact.names)}: {why}."
    return f"The leave was given up, and {scene.who} left to time out: {why}."


def _seen(fact: Seen, scene: Scene) -> str:
    verbs = {"join": "joined", "leave": "left", "timeout": "timed out on"}
    verb = verbs.get(fact.action, words.printable(fact.action))
    name = words.names((fact.name,))
    told = f"The service announced that {scene.who} {verb} {name}."
    if fact.action == "leave" and fact.is_held:
        told += (
            " This client had not left: another process or device with the same user"
            " ID had."
        )
    return told


def _kept(fact: Kept, scene: Scene) -> str:
    told = f"{scene.who} is kept on {words.names(fact.names)}"
    acked = words.clock(fact.acked)
    if fact.is_shared:
        return f"{told} by another process, whose last heartbeat was sent at {acked}."
    due = f"; the next is due at {words.clock(fact.due)}" if fact.due else ""
    return f"{told}. The last heartbeat was acknowledged at {acked}{due}."


SENTENCES: Mapping[type[Fact], Callable[[Any, Scene], str]] = {
    Asked: _asked,
    Back: _back,
    Blocked: _blocked,
    Ended: _ended,
    Failed: _failed,
    GaveUp: _gave_up,
    HandedOver: _handed_over,
    Joined: _joined,
    Kept: _kept,
    Left: _left,
    Lost: _lost,
    NewToken: _new_token,
    OutageBegan: _outage_began,
    OutageEnded: _outage_ended,
    RanOut: _ran_out,
    RegisterBack: _register_back,
    RegisterLost: _register_lost,
    Released: _released,
    Seen: _seen,
    Slept: _slept,
    Started: _started,
    StillHeld: _still_held,
    Turn: _turn,
}
"""What is said of each kind of fact, among others; it may be nothing."""
