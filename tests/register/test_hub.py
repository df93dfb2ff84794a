"""The rules for the workers, and what the operations make of them."""

from __future__ import annotations

import pytest

from presence_async.register import MemoryRegister
from presence_async.register.hub import Hub
from presence_async.register.values import (
    UNKNOWN,
    Attendance,
    Claiming,
    Departures,
    Holding,
    Leaving,
    Release,
    Released,
    Wish,
    Worker,
)

NOW = 1_000_000
ONE, TWO, THREE = (Worker("sub", x) for x in ("one", "two", "three"))
HERE = Attendance(10.0)


def attend(
    hub: Hub, worker: Worker, now: int, attendance: Attendance = HERE
) -> tuple[bool, list[tuple[str, int]]]:
    return hub.attend(worker, attendance, now)


def test_a_worker_is_new_once() -> None:
    hub = Hub("e")

    assert attend(hub, ONE, NOW) == (True, [])
    assert attend(hub, ONE, NOW + 14_000) == (False, [])
    assert attend(hub, ONE._replace(life=2), NOW + 15_000) == (True, [])


def test_a_worker_is_dead_after_15_seconds_without_a_sign_of_life() -> None:
    hub = Hub("e")
    attend(hub, ONE, NOW)

    assert attend(hub, TWO, NOW + 14_999)[1] == []
    assert attend(hub, TWO, NOW + 15_000)[1] == [("one", 1)]


def test_a_sign_of_life_from_the_future_is_void() -> None:
    hub = Hub("e")
    attend(hub, ONE, NOW)

    assert attend(hub, TWO, NOW - 1)[1] == [("one", 1)]


def test_a_guard_from_the_future_is_void() -> None:
    hub = Hub("e")
    attend(hub, ONE, NOW)
    attend(hub, ONE, NOW + 3_600_000)
    assert hub.guard_at(NOW + 3_600_000) == NOW + 3_620_000

    # The clock that was wrong for a moment is right again.
    assert hub.guard_at(NOW + 1_000) == 0
    attend(hub, ONE, NOW + 1_000)
    assert hub.guard_at(NOW + 1_000) == NOW + 21_000


def test_one_undertaker_sees_to_the_dead_until_it_dies_itself() -> None:
    hub = Hub("e")
    attend(hub, ONE, NOW)
    attend(hub, THREE, NOW + 14_000)

    assert attend(hub, TWO, NOW + 15_000)[1] == [("one", 1)]
    assert attend(hub, THREE, NOW + 16_000)[1] == []
    assert attend(hub, TWO, NOW + 17_000)[1] == [("one", 1)]
    assert attend(hub, THREE, NOW + 22_000)[1] == [("one", 1)]


def test_a_worker_that_was_taken_for_dead_is_new() -> None:
    hub = Hub("e")
    attend(hub, ONE, NOW)
    attend(hub, TWO, NOW + 15_000)

    assert attend(hub, ONE, NOW + 15_001) == (True, [])
    assert attend(hub, TWO, NOW + 16_000) == (False, [])


def test_another_epoch_begins_a_guard() -> None:
    hub = Hub("e")

    attend(hub, ONE, NOW, HERE._replace(had_epoch="e"))
    assert hub.guard == 0
    attend(hub, TWO, NOW, HERE._replace(had_epoch="before"))
    assert hub.guard == NOW + 20_000
    attend(hub, THREE, NOW - 5_000, HERE._replace(had_epoch="before"))
    assert hub.guard == NOW + 15_000


def test_workers_are_those_that_are_open() -> None:
    hub = Hub("e")
    attend(hub, ONE, NOW)
    attend(hub, TWO, NOW + 15_000)
    attend(hub, THREE, NOW + 15_000, HERE._replace(is_closing=True))

    assert hub.workers == 1


class Register:
    """A register in memory, and a clock."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.memory = MemoryRegister(clock=lambda: self.now_s)

    async def hold(self, worker: Worker, user_id: str = "alice") -> None:
        holding = Holding(user_id, (Wish("lobby", 300),))
        await self.memory.hold(worker, [holding])

    async def release(self, worker: Worker, linger_s: float = 0) -> Released:
        release = Release("alice", ("lobby",), linger_s)
        [released] = await self.memory.release(worker, [release], 10.0)
        return released

    async def depart(self, worker: Worker, **changes: object) -> Departures:
        attendance = HERE._replace(**changes)  # type: ignore[arg-type]
        return await self.memory.depart(worker, attendance)


@pytest.fixture
def register() -> Register:
    return Register()


async def test_users_of_the_dead_depart_after_the_grace(register: Register) -> None:
    await register.depart(ONE)
    await register.hold(ONE)
    register.now_s += 15
    assert (await register.depart(TWO)).lingering == 1

    register.now_s += 9.9
    assert (await register.depart(TWO)).leaves == ()
    register.now_s += 0.1
    assert (await register.depart(TWO)).leaves == (Leaving("alice", ("lobby",)),)


async def test_users_of_the_dead_that_others_hold_stay(register: Register) -> None:
    await register.depart(ONE)
    for worker in (ONE, TWO):
        await register.hold(worker)
    register.now_s += 15

    assert (await register.depart(TWO)).lingering == 0


async def test_many_users_of_the_dead_are_released_some_at_a_time(
    register: Register,
) -> None:
    await register.depart(ONE)
    for i in range(501):
        await register.hold(ONE, f"user {i}")
    register.now_s += 15

    first, second = await register.depart(TWO), await register.depart(TWO)

    assert (first.lingering, first.has_more) == (500, True)
    assert (second.lingering, second.has_more) == (501, False)


async def test_a_release_by_an_earlier_life_is_ignored(register: Register) -> None:
    await register.hold(ONE._replace(life=2))

    assert await register.release(ONE) == Released()

    claims = [Claiming("alice", 140)]
    later = ONE._replace(life=2)
    assert await register.memory.claim(later, claims, 10.0) != [UNKNOWN]


async def test_nobody_departs_in_the_guard(register: Register) -> None:
    await register.hold(ONE)
    await register.release(ONE, 5)
    await register.depart(ONE, had_epoch="before")
    register.now_s += 10

    guarded = await register.depart(ONE)
    last = await register.depart(ONE, is_closing=True, is_last=True)
    register.now_s += 10
    free = await register.depart(ONE)

    assert guarded.leaves == last.leaves == ()
    assert free.leaves == (Leaving("alice", ("lobby",)),)


async def test_the_last_worker_takes_departures_that_are_not_due(
    register: Register,
) -> None:
    await register.hold(ONE)
    await register.release(ONE, 20)

    assert (await register.depart(TWO)).leaves == ()
    last = await register.depart(TWO, is_closing=True, is_last=True)
    assert last.leaves == (Leaving("alice", ("lobby",)),)


async def test_an_earlier_look_is_not_put_off_by_a_release(register: Register) -> None:
    await register.hold(ONE)
    await register.release(ONE, 5)
    await register.release(ONE, 20)
    register.now_s += 5

    # In vain: the time of the departure itself has been put off.
    assert (await register.depart(TWO)).leaves == ()
    register.now_s += 10
    assert (await register.depart(TWO)).leaves == ()
    register.now_s += 5
    assert (await register.depart(TWO)).leaves == (Leaving("alice", ("lobby",)),)
