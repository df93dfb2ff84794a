"""What is remembered stays within bounds, and says when something is missing."""

from __future__ import annotations

import gc
import tracemalloc

from presence_async.explain.circumstances import Slept
from presence_async.explain.facts import Failed, Joined, Left, Lost, Seen
from presence_async.explain.memory import Memory


def failed(at: float, why: str = "503", user: str = "alice") -> Failed:
    return Failed(at=at, user=user, what="heartbeat", names=("lobby",), why=why)


def test_failures_of_one_kind_are_one_fact() -> None:
    memory = Memory(50, 10_000)

    told = [memory.add("alice", failed(at)) for at in (1, 2, 3)]
    memory.add("alice", failed(4, "no answer"))

    assert told == [False, True, True]
    first, second = memory.of("alice")
    assert isinstance(first, Failed)
    assert (first.at, first.times, first.last, second.at) == (1, 3, 3, 4)


def test_each_user_has_so_many_facts_and_the_oldest_go() -> None:
    memory = Memory(3, 10_000)
    for at in range(5):
        memory.add("alice", Lost(at=at, user="alice", names=("lobby",), until=at))
    memory.add("bob", Lost(at=9, user="bob", names=("lobby",), until=9))

    assert [fact.at for fact in memory.of("alice")] == [2, 3, 4]
    assert (memory.dropped, memory.since("alice")) == (2, 1.0)
    assert not memory.since("bob")


def test_a_join_that_is_told_late_stands_where_it_belongs() -> None:
    memory = Memory(3, 10_000)
    memory.add("alice", Left(at=5, user="alice", names=("lobby",)))
    memory.add("alice", Joined(at=2, user="alice", names=("lobby",), timeout_s=300))

    assert [fact.at for fact in memory.of("alice")] == [2, 5]


def test_users_heard_of_least_lately_are_forgotten_first() -> None:
    memory = Memory(50, 2_000)
    for at in range(100):
        memory.add(f"u{at}", failed(at))
        memory.add("alice", failed(at))

    assert memory.size <= 2_000
    assert "alice" in memory
    assert "u99" in memory
    assert "u0" not in memory
    assert memory.since("alice")


def test_it_takes_no_more_than_it_says() -> None:
    """Counted in advance, so that nothing is walked: it must not be less than true."""
    most = 200_000
    gc.collect()
    tracemalloc.start()
    memory = Memory(50, most)
    for n in range(3_000):
        user = f"user-{n // 3:07}"
        memory.add(user, failed(n + 0.5, f"the answer number {n} was odd", user))
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most * 0.9 < memory.size <= most
    assert most * 0.4 < taken < most * 1.1


def test_names_of_any_length_count() -> None:
    memory, long = Memory(50, 100_000), "c" * 20_000
    for n in range(20):
        memory.add("alice", Seen(at=n, user="alice", action="join", name=f"{long}{n}"))
        lost = Lost(at=n, user="bob", names=(f"{long}{n}",), until=n)
        memory.add("bob", lost)

    kept = [*memory.of("alice"), *memory.of("bob")]
    assert sum(len(str(fact)) for fact in kept) < 100_000


def test_what_concerns_everybody_is_kept_once() -> None:
    memory = Memory(50, 10_000)
    for at in range(300):
        memory.add("", Slept(at=at, for_s=10))

    assert len(memory.everybody) == 200
    assert memory.size == 0


def test_nothing_is_kept_where_nothing_may_be() -> None:
    for memory in (Memory(0, 10_000), Memory(50, 0)):
        memory.add("alice", failed(1))
        assert memory.of("alice") == ()
