"""One fact after the other: what a witness says of each, knowing the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from . import words
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
    RanOut,
    Released,
    Seen,
    StillHeld,
    What,
)
from .sentences import SENTENCES

__all__ = ["lines"]

_SOON_S = 10.0
_NEXT_S = 1.0


class _Scene:
    """What a fact is told among.

    Attributes:
        who: The user, ready to be printed.
    """

    def __init__(self, who: str, facts: Sequence[Fact], place: int) -> None:
        self.who: str = who
        self._facts = facts
        self._place = place

    def before(self) -> Iterator[Fact]:
        """Return the facts before it, the latest first."""
        return (self._facts[i] for i in range(self._place - 1, -1, -1))

    def after(self) -> Iterator[Fact]:
        """Return the facts after it."""
        return (self._facts[i] for i in range(self._place + 1, len(self._facts)))

    def soon(self) -> list[Fact]:
        """Return the facts in the ten seconds after it."""
        until = self._facts[self._place].at + _SOON_S
        return list(takewhile(lambda later: later.at < until, self.after()))

    def just_before(self) -> list[Fact]:
        """Return the facts in the ten seconds before it."""
        since = self._facts[self._place].at - _SOON_S
        return list(takewhile(lambda earlier: earlier.at > since, self.before()))

    def lost(self) -> Lost | RanOut | Seen | None:
        """Return what made the user go offline, unless it was put right since."""
        for earlier in self.before():
            if isinstance(earlier, (Back, Joined)):
                return None
            if isinstance(earlier, (Lost, RanOut)):
                return earlier
            if isinstance(earlier, Seen) and earlier.is_undoing:
                return earlier
        return None

    def acked(self) -> float:
        """Return when a heartbeat was last acknowledged before the next trouble."""
        for later in self.after():
            if isinstance(later, (Joined, Back, Released, Left)):
                return 0.0
            if isinstance(later, (Failed, Lost)) and later.acked:
                return later.acked
        return 0.0


def lines(who: str, facts: Sequence[Fact]) -> list[tuple[Fact, str]]:
    """Return the facts that are told, each with its sentences."""
    told: list[tuple[Fact, str]] = []
    for place, fact in enumerate(facts):
        scene, kind = _Scene(who, facts, place), type(fact)
        if kind in _IN_SCENE:
            text = _IN_SCENE[kind](fact, scene)
        else:
            text = SENTENCES[kind](fact) if kind in SENTENCES else ""
        if text:
            told.append((fact, text + _calm(fact, scene)))
    return told


def _calm(fact: Fact, scene: _Scene) -> str:
    """Return until when all was well after a user came, if the next trouble tells."""
    acked = scene.acked() if isinstance(fact, (Joined, Back)) else 0.0
    if acked <= fact.at + _NEXT_S:
        return ""
    return f" Heartbeats were acknowledged until {words.clock(acked)}."


def _lost(fact: Lost | RanOut, scene: _Scene) -> str:
    where = words.names(fact.names)
    is_about = isinstance(fact, RanOut) and fact.is_about
    about = " at about this time" if is_about else ""
    return f"The presence on {where} ran out{about}: {scene.who} was shown offline."


def _back(fact: Back, scene: _Scene) -> str:
    lost = scene.lost()
    if lost is None:
        return "A heartbeat was acknowledged again, before the presence ran out."
    again = f"{scene.who} was shown online on {words.names(fact.names)} again"
    if fact.is_answer_to(lost):
        return f"A heartbeat was sent at once and acknowledged: {again}."
    since = lost.until if isinstance(lost, Lost) else lost.at
    span = words.lasting(fact.at - since)
    return f"A heartbeat was acknowledged: {again}, after {span}."


def _released(fact: Released, scene: _Scene) -> str:
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


def _left(fact: Left, scene: _Scene) -> str:
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


def _still_held(fact: StillHeld, scene: _Scene) -> str:
    where = words.names(fact.names)
    return f"Another process still held {scene.who} on {where}, so no leave was sent."


def _handed_over(fact: HandedOver, scene: _Scene) -> str:
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


def _gave_up(fact: GaveUp, scene: _Scene) -> str:
    why = words.printable(fact.why)
    if fact.what == What.JOIN:
        return f"Could not join {words.names(fact.names)}: {why}."
    return f"The leave was given up, and {scene.who} left to time out: {why}."


def _seen(fact: Seen, scene: _Scene) -> str:
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


def _kept(fact: Kept, scene: _Scene) -> str:
    told = f"{scene.who} is kept on {words.names(fact.names)}"
    acked = words.clock(fact.acked)
    if fact.is_shared:
        return f"{told} by another process, whose last heartbeat was sent at {acked}."
    due = f"; the next is due at {words.clock(fact.due)}" if fact.due else ""
    return f"{told}. The last heartbeat was acknowledged at {acked}{due}."


_IN_SCENE: Mapping[type[Fact], Callable[[Any, _Scene], str]] = {
    Back: _back,
    GaveUp: _gave_up,
    HandedOver: _handed_over,
    Kept: _kept,
    Left: _left,
    Lost: _lost,
    RanOut: _lost,
    Released: _released,
    Seen: _seen,
    StillHeld: _still_held,
}
