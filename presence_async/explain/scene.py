"""What a fact is told among: the facts before and after it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import takewhile

from .facts import Back, Fact, Failed, Joined, Left, Lost, RanOut, Released, Seen

__all__ = ["Scene"]

_SOON_S = 10.0


class Scene:
    """What a fact is told among.

    Attributes:
        who: The user, ready to be printed.
    """

    def __init__(
        self, who: str, facts: Sequence[Fact], place: int, doubtful: AbstractSet[Fact]
    ) -> None:
        self.who: str = who
        self._doubtful = doubtful
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

    def is_doubtful(self, fact: Fact) -> bool:
        """Return True if what follows from a fact is not certain."""
        return fact in self._doubtful

    def acked(self) -> float:
        """Return when a heartbeat was last acknowledged before the next trouble."""
        for later in self.after():
            if isinstance(later, (Joined, Back, Released, Left)):
                return 0.0
            if isinstance(later, (Failed, Lost)) and later.acked:
                return later.acked
        return 0.0
