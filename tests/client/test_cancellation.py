"""What a cancelled call leaves behind: nothing but leaves that the client owes."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from presence_async import DeadlineError, PresenceClient, PresenceConfig
from presence_async.emulator import Fault, PresenceEmulator

Call = Callable[[PresenceClient], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "here_now": lambda c: c.here_now("lobby"),
    "global here_now": lambda c: c.here_now(),
    "occupants": lambda c: anext(c.occupants("lobby"), None),
    "where_now": lambda c: c.where_now(),
    "set_state": lambda c: c.set_state("lobby", state={"a": 1}),
    "get_state": lambda c: c.get_state("lobby"),
    "join": lambda c: c.join("lobby"),
    "heartbeat": lambda c: c.heartbeat("lobby"),
    "leave": lambda c: c.leave("lobby"),
    "add_channels": lambda c: c.add_channels("group", "lobby"),
    "remove_channels": lambda c: c.remove_channels("group", "lobby"),
    "delete_group": lambda c: c.delete_group("group"),
    "list_channels": lambda c: c.list_channels("group"),
    "list_groups": lambda c: c.list_groups(),
}


@pytest.fixture(params=list(CALLS.values()), ids=list(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    chosen: Call = request.param
    return chosen


async def test_a_callers_timeout_ends_the_call_in_time(
    client: PresenceClient, emulator: PresenceEmulator, call: Call
) -> None:
    emulator.inject(Fault(delay_s=math.inf, times=1))
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.05):
            await call(client)

    assert not isinstance(caught.value, DeadlineError)
    assert loop.time() - began_s == pytest.approx(0.05)
    await call(client)


async def test_the_calls_own_timeout_raises_deadline_error(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(delay_s=math.inf, times=1))

    with pytest.raises(DeadlineError, match=r"where now failed after 1 attempt"):
        await client.where_now(timeout_s=0.05)

    assert (await client.where_now()).channels == ()


async def test_close_under_a_timeout_leaves_nothing(emulator: PresenceEmulator) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    emulator.inject(Fault(delay_s=math.inf))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.close()

    assert client.is_closed
    assert client.close_report is not None
    assert [was.user_id for was in client.close_report.failed] == ["tester"]


@pytest.mark.parametrize("at", ["before_effect", "after_effect"])
@pytest.mark.parametrize("delay_s", [0.0, 9.0])
async def test_a_join_cancelled_at_any_step_leaves_nobody_present(
    emulator: PresenceEmulator, at: str, delay_s: float
) -> None:
    config = emulator.config(user_id="bob", attempt_timeout_s=10)
    for turns in range(40):
        emulator.reset()
        if delay_s:
            emulator.inject(
                Fault(operation="heartbeat", delay_s=delay_s, at=at, times=1)  # type: ignore[arg-type]
            )
        async with PresenceClient(config) as client:
            task = asyncio.ensure_future(client.join("lobby"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            held = set() if task.cancelled() else {"bob"}
            await asyncio.sleep(2 * config.attempt_timeout_s)

            assert set(emulator.occupants("lobby")) == held, f"after {turns} turns"
            assert client.heartbeats.stats().leaving == 0


class _AtJoin(logging.Handler):
    """Does something when the client takes in the acknowledgement of a join."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self._act = act

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().endswith(": joined"):
            self._act()


@pytest.mark.parametrize("is_a_step_later", [False, True])
async def test_a_join_cancelled_when_it_is_acknowledged_leaves_nobody_present(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
    *,
    is_a_step_later: bool,
) -> None:
    joining = asyncio.create_task(client.join("lobby", linger_s=3600))
    loop = asyncio.get_running_loop()
    cancel = joining.cancel
    handler = _AtJoin(lambda: loop.call_soon(cancel) if is_a_step_later else cancel())
    logger = logging.getLogger("presence_async.client")
    logger.addHandler(handler)
    with caplog.at_level(logging.DEBUG, logger.name), suppress(asyncio.CancelledError):
        await joining
    logger.removeHandler(handler)
    assert joining.cancelled()

    await asyncio.sleep(1)

    assert not emulator.occupants("lobby")
    assert client.heartbeats.leases == ()


async def test_a_join_cancelled_before_close_is_put_right_by_close(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=5, times=1))
    async with PresenceClient(emulator.config()) as client:
        task = asyncio.ensure_future(client.join("lobby"))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait({task})

    await asyncio.sleep(60)
    assert dict(emulator.occupants("lobby")) == {}


async def test_cancelling_the_end_of_a_block_does_not_cancel_the_leave(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async def stay() -> None:
        async with client.join("lobby"):
            emulator.inject(Fault(operation="leave", delay_s=3, times=1))

    task = asyncio.ensure_future(stay())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert client.heartbeats.stats().leaving == 1
    await asyncio.sleep(5)
    assert dict(emulator.occupants("lobby")) == {}
    assert client.heartbeats.stats().leaving == 0


async def test_a_loop_that_ends_without_close_still_sends_the_leaves(
    emulator: PresenceEmulator,
) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    manager_tasks = [
        task for task in asyncio.all_tasks() if task.get_name() == "presence heartbeats"
    ]

    for task in manager_tasks:
        task.cancel()
    await asyncio.wait(manager_tasks)

    assert len(manager_tasks) == 1
    assert manager_tasks[0].cancelled()
    assert dict(emulator.occupants("lobby")) == {}
    assert client.is_closed


async def test_a_lane_is_free_after_its_holder_was_cancelled(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=math.inf, times=1))
    first = asyncio.ensure_future(client.heartbeat("lobby"))
    await asyncio.sleep(1)
    second = asyncio.ensure_future(client.set_state("lobby", state={"a": 1}))
    await asyncio.sleep(1)

    first.cancel()

    assert await second == {"a": 1}


async def test_waiting_for_the_lane_counts_against_the_budget(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=5, times=1))
    first = asyncio.ensure_future(client.heartbeat("lobby"))
    await asyncio.sleep(1)

    with pytest.raises(DeadlineError, match="earlier request of the same user"):
        await client.set_state("lobby", state={}, timeout_s=1)

    await first


async def test_config_is_untouched_by_cancellation(config: PresenceConfig) -> None:
    client = PresenceClient(config)
    task = asyncio.ensure_future(client.start())
    task.cancel()
    await asyncio.wait({task})

    await client.start()
    await client.close()
    assert client.is_closed
