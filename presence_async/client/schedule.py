"""When the next heartbeat of a user is due: pure, takes ``now_s``.

A presence counts from when its last acknowledged heartbeat was *sent*, since the
service may have acted at any time after.
"""

from __future__ import annotations

import heapq
import math
import random
from typing import Generic, Protocol, TypeVar

__all__ = [
    "Schedule",
    "attempt_limit_s",
    "hold_s",
    "next_beat_s",
    "phase",
    "retry_gap_s",
]

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
_LOST_PACE_S = 5.0
_LONGEST_GAP_S = 4.5
_SHORTEST_ATTEMPT_S = 1.0
_SHORTEST_GAP_S = 0.1
_LONGEST_HOLD_S = 14.5


class Scheduled(Protocol):
    """What a schedule holds: knows itself when it is due."""

    due_s: float


ItemT = TypeVar("ItemT", bound=Scheduled)


class Schedule(Generic[ItemT]):
    """Items by due time; moving one costs ``O(log n)`` and no timer."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, ItemT]] = []
        self._sequence = 0

    def put(self, item: ItemT, due_s: float) -> None:
        """Make an item due at another time; ``math.inf`` takes it out."""
        item.due_s = due_s
        if due_s < math.inf:
            self._sequence += 1
            heapq.heappush(self._heap, (due_s, self._sequence, item))

    def next_due_s(self) -> float:
        """Return when the first item is due, ``math.inf`` when there is none."""
        heap = self._heap
        while heap and heap[0][2].due_s != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    def pop_due(self, now_s: float) -> ItemT | None:
        """Take the first item that is due, if any."""
        if self.next_due_s() > now_s:
            return None
        _, _, item = heapq.heappop(self._heap)
        item.due_s = math.inf
        return item


def phase(number: int) -> float:
    """Return the share of its first interval that the n-th user waits, 0 to 1.

    Multiples of the golden ratio: any run of users is spread evenly, whenever they
    joined, so that no second is busier than another.
    """
    return (number * _GOLDEN_RATIO) % 1.0


def next_beat_s(place_s: float, interval_s: float, now_s: float) -> float:
    """Return the next time at a user's own place in the interval: no drift.

    Whatever came in between, such as an outage after which all beat at once, users stay
    spread as they were.

    Args:
        place_s: Any time at that place, earlier or later.
        interval_s: Seconds between two heartbeats.
        now_s: Loop time; a place right now is taken, and the next one a whole interval
            away.
    """
    return now_s + interval_s - (now_s - place_s) % interval_s


def retry_gap_s(remaining_s: float, rng: random.Random) -> float:
    """Return the wait after a failed heartbeat.

    While presence lasts, at most an eighth of what is left, so that several tries fit
    in; never over 4.5 s, so that with the longest attempt of 10 s recovery is noticed
    within 15 s.
    """
    longest_s = (
        min(remaining_s / 8, _LONGEST_GAP_S) if remaining_s > 0 else _LONGEST_GAP_S
    )
    return max(_SHORTEST_GAP_S, longest_s * rng.uniform(0.5, 1.0))


def attempt_limit_s(remaining_s: float, attempt_timeout_s: float) -> float:
    """Return how long one heartbeat may be on the wire while at risk or lost."""
    if remaining_s <= 0:
        return min(_LOST_PACE_S, attempt_timeout_s)
    shortest_s = min(_SHORTEST_ATTEMPT_S, attempt_timeout_s / 2)
    return min(max(remaining_s / 4, shortest_s), attempt_timeout_s)


def hold_s(retry_after_s: float, remaining_s: float, attempt_timeout_s: float) -> float:
    """Return how much of a ``Retry-After`` is obeyed.

    Under 15 s, within which presence has to be back after an outage; and half of what
    is left to a presence that the outage has not outlasted yet (one shorter than the
    timeout without interval and ``attempt_timeout_s`` must go unnoticed).
    """
    longest_s = _LONGEST_HOLD_S
    if remaining_s > attempt_timeout_s:
        longest_s = min(longest_s, remaining_s / 2)
    return min(retry_after_s, longest_s)
