"""What is due next: the same as a plain look at all, at a cost that does not grow."""

from __future__ import annotations

import math
import random

import pytest

from presence_async.deadlines import DueHeap, DueSlots, Slot


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


class Item:
    """Something that knows its slot."""

    def __init__(self) -> None:
        self.slot: Slot | None = None


@pytest.mark.parametrize("seed", range(5))
def test_the_first_item_of_slots_is_that_of_a_look_at_all(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # repeatable, guards nothing
    slots: DueSlots[Item] = DueSlots()
    items = [Item() for _ in range(8)]
    expected: dict[Item, float] = {}

    for _ in range(5000):
        item = rng.choice(items)
        if rng.random() < 0.2:
            slots.discard(item)
            expected.pop(item, None)
        else:
            due_s = rng.choice([*range(50), math.inf])
            slots.put(item, due_s)
            expected[item] = due_s
        if rng.random() < 0.1:
            first_s = min(expected.values(), default=math.inf)
            popped = slots.pop_due(20)
            assert (popped is None) == (first_s > 20)
            if popped is not None:
                assert expected.pop(popped) == first_s

        assert slots.next_due_s == min(expected.values(), default=math.inf)
        for known in items:
            due_s = math.inf if known.slot is None else known.slot.due_s
            assert due_s == expected.get(known, math.inf)


def test_items_of_a_slot_come_in_the_order_they_were_put() -> None:
    slots: DueSlots[Item] = DueSlots()
    items = [Item() for _ in range(200)]
    for item in [*items[100:], *items[:100]]:
        slots.put(item, 5)
    slots.put(items[100], 5)
    slots.put(items[150], 4)

    popped = [slots.pop_due(5) for _ in range(201)]

    assert popped[0] is items[150]
    rest = [*items[100:150], *items[151:], *items[:100], None]
    assert popped[1:] == rest


@pytest.mark.parametrize("now_s", [0, math.inf])
def test_nothing_is_due_in_empty_slots(now_s: float) -> None:
    slots: DueSlots[Item] = DueSlots()
    item = Item()
    slots.put(item, 5)
    slots.discard(item)
    slots.discard(Item())

    assert (slots.pop_due(now_s), slots.next_due_s) == (None, math.inf)


def test_items_that_move_often_do_not_pile_up_in_slots() -> None:
    slots: DueSlots[Item] = DueSlots()
    first, other = Item(), Item()
    slots.put(first, 0)
    for number in range(10_000):
        slots.put(other, 1 + number)
        slots.put(other, 0)

    assert len(slots._times) < 100
    assert first.slot is not None
    assert len(first.slot.items) < 100
    assert [slots.pop_due(0), slots.pop_due(0)] == [first, other]
