"""One fact, one line: what a witness says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import words
from .facts import (
    Back,
    Blocked,
    Ended,
    Fact,
    Failed,
    GaveUp,
    HandedOver,
    Joined,
    Kept,
    Left,
    Lost,
    NewToken,
    OutageBegan,
    OutageEnded,
    RegisterBack,
    RanOut,
    RegisterLost,
    Released,
    Seen,
    Slept,
    Started,
    StillHeld,
    Turn,
    What,
)

__all__ = ["Scene", "lines"]

_SOON_S = 10.0
_NEXT_S = 1.0


class Scene:
    """What a line is told among.

    Attributes:
        who: The user, ready to be printed.
        before: The facts before it, oldest first.
        after: The facts after it.
    """

    def __init__(
        self, who: str, before: Sequence[Fact] = (), after: Sequence[Fact] = ()
    ) -> None:
        self.who: str = who
        self.before: Sequence[Fact] = before
        self.after: Sequence[Fact] = after

    def lost(self, fact: Fact) -> Lost | Failed | None:
        """Return what made the user go offline before a fact, if that is the last."""
        for earlier in reversed(self.before):
            if isinstance(earlier, (Back, Joined)):
                return None
            if isinstance(earlier, Lost) or (
                isinstance(earlier, Failed)
                and earlier.is_refused
                and 0 < earlier.until < fact.at
            ):
                return earlier
        return None


def lines(who: str, facts: Sequence[Fact]) -> list[tuple[Fact, str]]:
    """Return the facts that are told, each with its sentences."""
    told: list[tuple[Fact, str]] = []
    for place, fact in enumerate(facts):
        say = _SENTENCES.get(type(fact))
        scene = Scene(who, facts[:place], facts[place + 1 :])
        text = "" if say is None else say(fact, scene)
        if text:
            told.append((fact, text + _calm_until(fact, scene)))
    return told


def _calm_until(fact: Fact, scene: Scene) -> str:
    """Return until when all was well, if the next trouble tells."""
    if not isinstance(fact, (Joined, Back)):
        return ""
    for later in scene.after:
        if isinstance(later, (Joined, Back, Released, Left)):
            break
        if isinstance(later, Failed) and later.acked > fact.at + _NEXT_S:
            acked = words.clock(later.acked)
            return f" Heartbeats were acknowledged until {acked}."
    return ""


def _joined(fact: Joined, scene: Scene) -> str:
    where = words.names(fact.names)
    return f"Joined {where} with a timeout of {words.lasting(fact.timeout_s)}."


def _failed(fact: Failed, scene: Scene) -> str:
    where = words.names(fact.names)
    things = {
        What.HEARTBEAT: "heartbeat",
        What.JOIN: f"attempt to join {where}",
        What.LEAVE: f"attempt to leave {where}",
        What.LAST_HEARTBEAT: "last heartbeat",
    }
    thing = things[fact.what]
    if fact.is_refused and fact.what == What.HEARTBEAT:
        thing = f"heartbeat for {where}"
    verb = "was refused" if fact.is_refused and fact.status else "failed"
    if fact.times > 1:
        thing = _many(fact.times, thing)
        verb = "were refused" if verb == "was refused" else verb
        verb += f" until {words.clock(fact.last)}"
    else:
        article = "An" if thing[0] == "a" else "A"
        thing = f"{article} {thing}" if thing[0] != "l" else f"The {thing}"
    return f"{thing} {verb}: {words.answer(fact)}.{_left(fact)}"


def _many(times: int, thing: str) -> str:
    first, _, rest = thing.partition(" ")
    if first == "last":
        return f"{times:,} last heartbeats"
    return f"{times:,} {first}s {rest}".rstrip()


def _left(fact: Failed) -> str:
    if fact.what != What.HEARTBEAT or not fact.until:
        return ""
    left_s = fact.until - fact.at
    if left_s <= 0:
        return ""
    first = " then" if fact.times == 1 else " at first"
    return f" The presence had {words.lasting(left_s)} left{first}."


def _lost(fact: Lost, scene: Scene) -> str:
    where = words.names(fact.names)
    return f"The presence on {where} ran out: {scene.who} was shown offline."


def _ran_out(fact: RanOut, scene: Scene) -> str:
    where, about = words.names(fact.names), " at about this time" * fact.is_about
    return f"The presence on {where} ran out{about}: {scene.who} was shown offline."


def _back(fact: Back, scene: Scene) -> str:
    lost, where = scene.lost(fact), words.names(fact.names)
    if lost is None:
        return "A heartbeat was acknowledged again, before the presence ran out."
    span = words.lasting(fact.at - lost.until)
    return (
        f"A heartbeat was acknowledged: {scene.who} was shown online on {where}"
        f" again, after {span}."
    )


def _released(fact: Released, scene: Scene) -> str:
    where = words.names(fact.names)
    if any(
        isinstance(later, Left) and later.at - fact.at < _SOON_S
        for later in scene.after
    ):
        return ""
    if fact.why == "closed":
        return f"The client, which kept {where}, was closed."
    return f"The lease on {where} ended."


def _left_names(fact: Left, scene: Scene) -> str:
    where = words.names(fact.names)
    has_lease = any(
        isinstance(earlier, Released) and fact.at - earlier.at < _SOON_S
        for earlier in scene.before
    )
    told = {
        "": f"The lease ended and left {where}" if has_lease else f"Left {where}",
        "closed": f"The client was closed and left {where}",
        "lingered": f"{scene.who} was not back in time, so the client left {where}",
        "others": f"Left {where} for another process that is gone",
        "undone": f"A join was taken back by leaving {where}",
    }
    return f"{told.get(fact.why, told[''])}; the service acknowledged it."


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


def _new_token(fact: NewToken, scene: Scene) -> str:
    if fact.is_refresh:
        return "The token was dropped; the next request asked for another."
    return "Another token was set."


def _seen(fact: Seen, scene: Scene) -> str:
    name = words.names((fact.name,))
    verbs = {"join": "joined", "leave": "left", "timeout": "timed out on"}
    verb = verbs.get(fact.action, words.printable(fact.action))
    told = f"The service announced that {scene.who} {verb} {name}."
    if fact.action == "leave" and fact.is_held:
        told += (
            " This client had not left: another process or device with the same user"
            " ID had."
        )
    return told


def _turn(fact: Turn, scene: Scene) -> str:
    if fact.is_ours:
        return "This process sends the heartbeats from now on."
    return "Another process, which also holds the user, sends the heartbeats now."


def _kept(fact: Kept, scene: Scene) -> str:
    due = f"; the next is due at {words.clock(fact.due)}" if fact.due else ""
    return (
        f"{scene.who} is kept on {words.names(fact.names)}. The last heartbeat was"
        f" acknowledged at {words.clock(fact.acked)}{due}."
    )


def _outage_began(fact: OutageBegan, scene: Scene) -> str:
    why = f": {words.printable(fact.why)}" if fact.why else ""
    return (
        "The heartbeats of several users failed in a row, so one at a time went on"
        f" trying{why}."
    )


def _outage_ended(fact: OutageEnded, scene: Scene) -> str:
    span, failed = words.lasting(fact.at - fact.since), ""
    if fact.attempts:
        failed = f" {words.count(fact.attempts, 'heartbeat')} had failed meanwhile."
    return f"The service could be reached again after {span}.{failed}"


def _blocked(fact: Blocked, scene: Scene) -> str:
    span = words.lasting(fact.for_s)
    return f"The event loop had been blocked for {span}; it could send nothing meanwhile."


def _slept(fact: Slept, scene: Scene) -> str:
    span = words.lasting(fact.for_s)
    return f"The machine had slept for {span}, or its clock was set forward by that."


def _register_lost(fact: RegisterLost, scene: Scene) -> str:
    why = words.printable(fact.why)
    return f"The register was away, so heartbeats went on without it and leaves waited: {why}."


def _register_back(fact: RegisterBack, scene: Scene) -> str:
    return f"The register was back after {words.lasting(fact.away_s)}."


def _started(fact: Started, scene: Scene) -> str:
    if fact.is_more:
        return ""
    return f"Process {fact.pid} on {words.printable(fact.host)} began to keep users."


def _ended(fact: Ended, scene: Scene) -> str:
    return "The last sign of life: the process ended without closing its client."


_SENTENCES: Mapping[type[Fact], Callable[[Any, Scene], str]] = {
    Back: _back,
    Blocked: _blocked,
    Ended: _ended,
    Failed: _failed,
    GaveUp: _gave_up,
    HandedOver: _handed_over,
    Joined: _joined,
    Kept: _kept,
    Left: _left_names,
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
