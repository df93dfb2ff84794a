"""Calls that change presence, cancelled at every step; promise 8."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from presence_async import Lease, PresenceClient
from presence_async.emulator import Fault, PresenceEmulator

Call = Callable[[PresenceClient, Lease], Awaitable[Any]]

CHANNELS = ("lobby", "sport", "news")
CALLS: dict[str, Call] = {
    "join": lambda c, _: c.join("news"),
    "join with state": lambda c, _: c.join("news", state={"m": 1}),
    "lease.leave": lambda _, x: x.leave(),
    "end of a block": lambda _, x: x.__aexit__(None, None, None),
    "lease.add": lambda _, x: x.add("news"),
    "lease.remove": lambda _, x: x.remove("sport"),
    "lease.remove all": lambda _, x: x.remove(["lobby", "sport"]),
    "lease.set_state": lambda _, x: x.set_state({"n": 2}),
    "lease.patch_state": lambda _, x: x.patch_state(n=2),
    "client.leave": lambda c, _: c.leave("sport"),
    "client.set_state": lambda c, _: c.set_state(["lobby", "sport"], state={"n": 2}),
    "heartbeat": lambda c, _: c.heartbeat("lobby", presence_timeout_s=60),
}
STEPS = range(40)
# Longer than an interval and every repeat; too short for a timeout to hide a mistake.
SETTLED_S = 45
SOME_STEPS = (0, 1, 2, 3, 5, 8, 13, 21, 34)


@pytest.fixture(params=CALLS.values(), ids=list(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    chosen: Call = request.param
    return chosen


def now_s() -> float:
    return asyncio.get_running_loop().time()


def presence_tasks() -> list[str]:
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith("presence ")]


async def cancel_after(steps: int, work: Awaitable[Any]) -> None:
    """Start something, go some steps of the loop, and cancel it; it ends at once."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    began_s = now_s()
    task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    assert task.done()
    assert now_s() == began_s
    assert task.cancelled() or task.exception() is None


def check(client: PresenceClient, emulator: PresenceEmulator, where: str) -> None:
    """Compare what the client believes with what the service shows."""
    leases = client.heartbeats.leases
    for channel in CHANNELS:
        holding = [lease for lease in leases if channel in lease.channels]
        shown = dict(emulator.occupants(channel))
        assert set(shown) == {lease.user_id for lease in holding}, where
        states = [lease.state for lease in holding if lease.state is not None]
        if states:
            assert shown["bob"] in states, where
    assert {lease.health for lease in leases} <= {"fresh"}, where
    assert client.heartbeats.stats().leaving == 0, where
    assert client._core.heartbeats.news.waiting == {}, where
    assert presence_tasks() == ["presence heartbeats"], where


async def try_steps(
    emulator: PresenceEmulator, call: Call, steps: Iterable[int], fault: Fault | None
) -> None:
    config = emulator.config(user_id="bob", presence_timeout_s=60)
    for step in steps:
        emulator.reset()
        async with PresenceClient(config) as client:
            lease = await client.join(["lobby", "sport"], state={"n": 1})
            if fault is not None:
                emulator.inject(fault)
            await cancel_after(step, call(client, lease))
            await asyncio.sleep(SETTLED_S)
            check(client, emulator, f"after {step} steps")
        for channel in CHANNELS:
            assert not emulator.occupants(channel)


async def test_a_call_cancelled_at_any_step_leaves_what_the_client_says(
    emulator: PresenceEmulator, call: Call
) -> None:
    await try_steps(emulator, call, STEPS, None)


@pytest.mark.parametrize("at", ["before_effect", "after_effect"])
@pytest.mark.parametrize("delay_s", [3.0, 9.0])
async def test_a_slow_call_cancelled_at_any_step_leaves_what_the_client_says(
    emulator: PresenceEmulator, call: Call, at: Any, delay_s: float
) -> None:
    fault = Fault(delay_s=delay_s, at=at, times=1)
    await try_steps(emulator, call, SOME_STEPS, fault)


async def test_a_call_cancelled_between_its_attempts_leaves_what_the_client_says(
    emulator: PresenceEmulator, call: Call
) -> None:
    config = emulator.config(user_id="bob", presence_timeout_s=60)
    for at in ("before_effect", "after_effect"):
        emulator.reset()
        async with PresenceClient(config) as client:
            lease = await client.join(["lobby", "sport"], state={"n": 1})
            emulator.inject(Fault(status=503, retry_after_s=2, at=at, times=1))
            task = asyncio.ensure_future(call(client, lease))
            await asyncio.sleep(1)
            await cancel_after(0, task)
            await asyncio.sleep(SETTLED_S)
            check(client, emulator, at)


async def test_a_call_cancelled_behind_another_was_never_made(
    client: PresenceClient, emulator: PresenceEmulator, call: Call
) -> None:
    lease = await client.join(["lobby", "sport"], presence_timeout_s=60)
    emulator.inject(Fault(delay_s=5, times=1))
    first = asyncio.ensure_future(client.heartbeat("lobby", presence_timeout_s=60))
    await asyncio.sleep(1)
    task = asyncio.ensure_future(call(client, lease))
    await asyncio.sleep(1)
    await cancel_after(0, task)
    await first
    await asyncio.sleep(SETTLED_S)

    check(client, emulator, "")


@pytest.mark.parametrize("delay_s", [0.0, 3.0])
async def test_closing_cancelled_at_any_step_leaves_nothing(
    emulator: PresenceEmulator, delay_s: float
) -> None:
    for step in STEPS:
        emulator.reset()
        client = await PresenceClient(emulator.config(user_id="bob")).start()
        await client.join("lobby")
        if delay_s:
            emulator.inject(Fault(operation="leave", delay_s=delay_s, times=1))
        task = asyncio.ensure_future(client.close())
        for _ in range(step):
            await asyncio.sleep(0)
        began_s = now_s()
        task.cancel()
        await asyncio.wait({task})
        assert now_s() - began_s < 0.01
        if not client.is_closed:
            assert step == 0
            await client.close()

        report = client.close_report
        assert report is not None
        assert len(report.left) + len(report.failed) == 1
        if report.left:
            assert not emulator.occupants("lobby")
        assert presence_tasks() == []
        assert (await client.close()) is report
