"""What is due next among many: a heap in which moving an item is cheap."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["DueHeap"]

KeyT = TypeVar("KeyT", bound=Hashable)


class DueHeap(Generic[KeyT]):
    """Keys by due time, first come first served among equals.

    Moving or removing a key leaves its old entry in the heap, where it is skipped when
    it comes up; when more entries are stale than not, they are swept out.
    """

    __slots__ = ("_entries", "_heap", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, KeyT]] = []
        self._entries: dict[KeyT, tuple[float, int, KeyT]] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: KeyT, due_s: float) -> None:
        """Make a key due at another time; ``math.inf`` removes it."""
        known = self._entries.get(key)
        if known is not None and known[0] == due_s:
            return
        if due_s == math.inf:
            self._entries.pop(key, None)
            return
        self._sequence += 1
        entry = self._entries[key] = (due_s, self._sequence, key)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + 64:
            self._sweep()

    def discard(self, key: KeyT) -> None:
        """Remove a key."""
        self._entries.pop(key, None)

    def due_s(self, key: KeyT) -> float:
        """Return when a key is due, ``math.inf`` if it is not here."""
        known = self._entries.get(key)
        return math.inf if known is None else known[0]

    @property
    def next_due_s(self) -> float:
        """When the first key is due, ``math.inf`` when there is none."""
        heap, entries = self._heap, self._entries
        while heap:
            first = heap[0]
            if entries.get(first[2]) is first:
                return first[0]
            heapq.heappop(heap)
        return math.inf

    def pop_due(self, now_s: float) -> KeyT | None:
        """Remove and return the first key that is due, if any."""
        if self.next_due_s > now_s or not self._heap:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._entries[key]
        return key

    def _sweep(self) -> None:
        self._heap = [x for x in self._heap if self._entries.get(x[2]) is x]
        heapq.heapify(self._heap)
