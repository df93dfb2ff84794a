"""DueHeap: the same as a plain look at all keys, at a cost that does not grow."""

from __future__ import annotations

import math
import random

import pytest

from presence_async.deadlines import DueHeap


@pytest.mark.parametrize("seed", range(5))
def test_the_first_key_is_that_of_a_look_at_all(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # repeatable, guards nothing
    heap: DueHeap[str] = DueHeap()
    expected: dict[str, float] = {}

    for _ in range(5000):
        key = rng.choice("abcdefgh")
        if rng.random() < 0.2:
            heap.discard(key)
            expected.pop(key, None)
        else:
            due_s = rng.choice([*range(50), math.inf])
            heap.put(key, due_s)
            expected[key] = due_s
        if rng.random() < 0.1:
            first_s = min(expected.values(), default=math.inf)
            popped = heap.pop_due(20)
            assert (popped is None) == (first_s > 20)
            if popped is not None:
                assert expected.pop(popped) == first_s

        assert heap.next_due_s == min(expected.values(), default=math.inf)
        assert heap.due_s(key) == expected.get(key, math.inf)
        assert len(heap) == sum(due_s < math.inf for due_s in expected.values())


def test_keys_that_are_due_together_come_in_the_order_they_were_put() -> None:
    heap: DueHeap[str] = DueHeap()
    for key in "badc":
        heap.put(key, 5)
    heap.put("a", 9)
    heap.put("a", 5)

    assert [heap.pop_due(5) for _ in range(5)] == ["b", "d", "c", "a", None]


@pytest.mark.parametrize("now_s", [0, math.inf])
def test_nothing_is_due_in_an_empty_heap(now_s: float) -> None:
    heap: DueHeap[str] = DueHeap()
    heap.put("a", 5)
    heap.discard("a")
    heap.discard("unknown")

    assert (heap.pop_due(now_s), heap.next_due_s, len(heap)) == (None, math.inf, 0)


def test_keys_that_move_often_do_not_pile_up() -> None:
    heap: DueHeap[str] = DueHeap()
    heap.put("first", 0)

    for due_s in range(1, 10_000):
        heap.put("other", due_s)

    assert len(heap._heap) < 100
    assert [heap.pop_due(math.inf), heap.pop_due(math.inf)] == ["first", "other"]
