"""The newest facts, within bounds: so many of each user, so many bytes in all."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable

from .circumstances import RegisterLost
from .facts import Fact, Failed, GaveUp
from .merging import end_of, merge

__all__ = ["Memory"]

_USER_BYTES = 300
_FLOATS_BYTES = 6 * 24
_SHARED_BYTES = 160
"""A tuple of one short name is mostly that of the lease, and of many leases."""
_MOST_GLOBAL = 200


class Memory:
    """What is remembered of users; the users heard of least lately go first.

    Args:
        most_facts: Facts kept of each user; of everybody, 200.
        most_bytes: Bytes in all, as far as they can be told in advance.

    Attributes:
        everybody: What concerns every user.
        dropped: How many facts are gone.
        size: The bytes taken.
    """

    def __init__(self, most_facts: int, most_bytes: int) -> None:
        self._most_facts = most_facts
        self._most_bytes = most_bytes
        # In the order in which users were last heard of.
        self._facts: dict[str, list[Fact]] = {}
        # When the latest fact happened that is gone: of one user, of whole users.
        self._cut_at: dict[str, float] = {}
        self._forgotten_at = 0.0
        self.everybody: deque[Fact] = deque(maxlen=_MOST_GLOBAL)
        self.dropped: int = 0
        self.size: int = 0

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._facts

    def add(self, user_id: str, fact: Fact) -> bool:
        """Keep a fact about a user, or about everybody if none is named.

        Returns:
            True if it only adds to the one before.
        """
        if not user_id:
            self.everybody.append(fact)
            return False
        facts = self._facts.pop(user_id, None)
        if facts is None:
            facts = []
            self.size += _USER_BYTES + sys.getsizeof(user_id)
        self._facts[user_id] = facts
        if merge(facts, fact):
            return True
        self._insert(facts, fact)
        self.size += _size(fact)
        if len(facts) > self._most_facts:
            gone = facts.pop(0)
            self.size -= _size(gone)
            self.dropped += 1
            self._cut_at[user_id] = max(end_of(gone), self._cut_at.get(user_id, 0.0))
        while self.size > self._most_bytes and self._facts:
            self._drop_user(next(iter(self._facts)))
        return False

    @staticmethod
    def _insert(facts: list[Fact], fact: Fact) -> None:
        """Put a fact in its place: one may be told late, as a join is."""
        place = len(facts)
        while place and facts[place - 1].at > fact.at:
            place -= 1
        facts.insert(place, fact)

    def _drop_user(self, user_id: str) -> None:
        facts = self._facts.pop(user_id)
        self._cut_at.pop(user_id, None)
        self.size -= _USER_BYTES + sys.getsizeof(user_id) + sum(map(_size, facts))
        self.dropped += len(facts)
        self._forgotten_at = max(self._forgotten_at, *map(end_of, facts))

    def of(self, user_id: str) -> tuple[Fact, ...]:
        """Return what is known of a user, oldest first."""
        return tuple(self._facts.get(user_id, ()))

    def since(self, user_id: str) -> float:
        """Return from when on nothing of a user was dropped; 0: nothing ever was."""
        return max(self._forgotten_at, self._cut_at.get(user_id, 0.0))

    def newest(
        self, user_id: str, kinds: type[Fact] | tuple[type[Fact], ...]
    ) -> Fact | None:
        """Return the newest fact of some kinds about a user."""
        facts: Iterable[Fact] = reversed(self._facts.get(user_id, []))
        return next((fact for fact in facts if isinstance(fact, kinds)), None)


def _size(fact: Fact) -> int:
    size = sys.getsizeof(fact) + _FLOATS_BYTES
    names = getattr(fact, "names", None) or (getattr(fact, "name", ""),)
    named = sys.getsizeof(names) + sum(map(sys.getsizeof, names))
    if named > _SHARED_BYTES:
        size += named
    if isinstance(fact, (Failed, GaveUp, RegisterLost)):
        size += sys.getsizeof(fact.why)
    return size
