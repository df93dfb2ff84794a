"""The heap of what is due next."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from presence_async.deadlines import DueHeap


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100)), max_size=200))
def test_keys_come_out_by_their_latest_times(moves: list[tuple[int, float]]) -> None:
    heap: DueHeap[int] = DueHeap()
    latest = {}
    for key, due_s in moves:
        heap.put(key, due_s)
        latest[key] = due_s

    popped = []
    while heap.next_due_s < math.inf:
        due_s = heap.next_due_s
        assert heap.pop_due(math.nextafter(due_s, -1)) is None
        popped.append((due_s, heap.pop_due(due_s)))

    assert [due_s for due_s, _ in popped] == sorted(latest.values())
    assert {key: due_s for due_s, key in popped} == latest
    assert len(heap) == 0


def test_equal_times_come_out_in_the_order_they_were_put_in() -> None:
    heap: DueHeap[str] = DueHeap()
    for key in "cab":
        heap.put(key, 1)

    assert [heap.pop_due(1) for _ in range(3)] == ["c", "a", "b"]


def test_a_removed_key_does_not_come_up() -> None:
    heap: DueHeap[str] = DueHeap()
    heap.put("a", 1)
    heap.put("b", 2)
    heap.put("a", math.inf)
    heap.put("b", 3)
    heap.discard("c")

    assert (heap.due_s("a"), heap.due_s("b"), heap.next_due_s) == (math.inf, 3, 3)


def test_a_hundred_thousand_moves_keep_the_heap_small() -> None:
    heap: DueHeap[int] = DueHeap()
    for move in range(100_000):
        heap.put(move % 10, move + 1)

    assert len(heap._heap) < 100
