"""What is due next among many, at a cost that does not grow with them. Pure."""

from __future__ import annotations

import heapq
import math

__all__ = ["Deadlines"]

_COMPACT_FROM = 1024


class Deadlines:
    """One deadline for each name, at most.

    One that is set anew leaves its old entry behind, which is dropped when it comes up
    or when such entries outnumber the rest.
    """

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def set(self, name: str, due_s: float) -> None:
        """Say when something is due for a name, ``math.inf`` for never."""
        if due_s == self._due_s.get(name, math.inf):
            return
        if due_s == math.inf:
            del self._due_s[name]
            return
        self._due_s[name] = due_s
        heapq.heappush(self._heap, (due_s, name))
        if len(self._heap) > 2 * len(self._due_s) + _COMPACT_FROM:
            self._heap = [(due_s, name) for name, due_s in self._due_s.items()]
            heapq.heapify(self._heap)

    def next_s(self) -> float:
        """Return the first deadline of all, ``math.inf`` for none."""
        heap = self._heap
        while heap and self._due_s.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def first_due(self, now_s: float) -> str | None:
        """Return the name whose deadline came first, ``None`` when none has come."""
        return self._heap[0][1] if self.next_s() <= now_s else None
