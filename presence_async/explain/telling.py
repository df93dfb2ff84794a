"""The story, fact by fact."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from . import words
from .facts import Back, Fact, Joined
from .scene import Scene
from .sentences import SENTENCES

__all__ = ["lines"]

_NEXT_S = 1.0


def lines(
    who: str, facts: Sequence[Fact], doubtful: AbstractSet[Fact]
) -> list[tuple[Fact, str]]:
    """Return the facts that are told, each with its sentences.

    Args:
        who: The user, ready to be printed.
        facts: In order.
        doubtful: Those of which it is not certain what followed.
    """
    told: list[tuple[Fact, str]] = []
    for place, fact in enumerate(facts):
        scene, say = Scene(who, facts, place, doubtful), SENTENCES.get(type(fact))
        if say is not None and (text := say(fact, scene)):
            told.append((fact, text + _calm(fact, scene)))
    return told


def _calm(fact: Fact, scene: Scene) -> str:
    """Return until when all was well after a user came, if the next trouble tells."""
    acked = scene.acked() if isinstance(fact, (Joined, Back)) else 0.0
    if acked <= fact.at + _NEXT_S:
        return ""
    return f" Heartbeats were acknowledged until {words.clock(acked)}."
