"""Clients with a register begin and end in any order, and leave nothing open."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from presence_async import (
    ClientClosedError,
    InvalidArgumentError,
    PresenceClient,
    PresenceConfig,
)
from presence_async.emulator import PresenceEmulator
from presence_async.register import MemoryRegister, SqliteRegister, sqlite_place

from .scene import Line


class Counted(Line):
    """Counts how often it is open."""

    def __init__(self) -> None:
        super().__init__(MemoryRegister())
        self.openers = 0
        self.opens_after_s = 0.0

    async def open(self) -> None:
        self.openers += 1
        await asyncio.sleep(self.opens_after_s)
        await super().open()

    async def close(self) -> None:
        self.openers -= 1


def client_of(
    emulator: PresenceEmulator, register: Line | SqliteRegister
) -> PresenceClient:
    config = emulator.config(user_id="worker", presence_timeout_s=60)
    return PresenceClient(config, register=register)


def is_up(client: PresenceClient) -> bool:
    stats = client.heartbeats.stats().register
    return stats is not None and stats.is_up


@pytest.mark.parametrize("wait_s", [0, 0.1, 0.2])
async def test_a_cancelled_start_leaves_no_register_open(
    emulator: PresenceEmulator, wait_s: float
) -> None:
    register = Counted()
    register.opens_after_s = 0.15
    client = client_of(emulator, register)
    register.is_hanging = wait_s > register.opens_after_s

    start = asyncio.create_task(client.start())
    await asyncio.sleep(wait_s)
    start.cancel()
    await asyncio.wait({start})
    opened = register.openers
    await client.close()

    assert (opened, register.openers) == (0, 0)


async def test_a_closed_client_opens_no_register(emulator: PresenceEmulator) -> None:
    register = Counted()
    client = client_of(emulator, register)

    await client.close()
    with pytest.raises(ClientClosedError):
        await client.start()

    assert register.calls == {}


async def test_a_client_closed_while_it_starts_closes_its_register(
    emulator: PresenceEmulator,
) -> None:
    register = Counted()
    register.opens_after_s = 0.5
    client = client_of(emulator, register)

    start = asyncio.create_task(client.start())
    await asyncio.sleep(0.1)
    await client.close()
    with pytest.raises(ClientClosedError):
        await start

    assert register.openers == 0


async def test_two_starts_at_once_are_one(emulator: PresenceEmulator) -> None:
    register = Counted()
    register.opens_after_s = 0.1
    client = client_of(emulator, register)

    await asyncio.gather(client.start(), client.start())
    count = register.openers
    await client.join("lobby", user_id="ann")
    await client.close()

    assert (count, register.openers) == (1, 0)


async def test_a_register_that_was_slow_to_open_is_used_later(
    emulator: PresenceEmulator,
) -> None:
    register = Counted()
    register.opens_after_s = 5
    client = client_of(emulator, register)

    await client.start()
    await asyncio.sleep(5)
    was_up = is_up(client)
    await client.close()

    assert was_up
    assert register.openers == 0


async def test_the_end_of_asyncio_run_leaves_at_once(
    emulator: PresenceEmulator,
) -> None:
    register = Counted()
    client = await client_of(emulator, register).start()
    await client.join("lobby", user_id="ann")
    await asyncio.sleep(3)
    began_s = asyncio.get_running_loop().time()

    # As asyncio.run does with all tasks at its end, in whatever order.
    names = {"presence heartbeats", "presence register"}
    tasks = [x for x in asyncio.all_tasks() if x.get_name() in names]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    took_s = asyncio.get_running_loop().time() - began_s

    assert len(tasks) == 2
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]
    assert took_s < 0.5
    assert register.openers == 0


@pytest.mark.parametrize(
    "spans",
    [{"hand_over_s": math.inf}, {"hand_over_s": -1}, {"crash_grace_s": math.nan}],
    ids=str,
)
def test_spans_that_are_none_are_refused(spans: dict[str, Any], tmp_path: Path) -> None:
    config = PresenceConfig(subscribe_key="sub", user_id="worker")

    for register in (MemoryRegister(**spans), SqliteRegister(tmp_path / "r", **spans)):
        with pytest.raises(InvalidArgumentError, match=next(iter(spans))):
            PresenceClient(config, register=register)


async def test_clients_made_before_a_fork_are_different_workers(
    emulator: PresenceEmulator,
) -> None:
    made = client_of(emulator, Counted())
    assert made._core.register is not None
    before = made._core.register._member.worker

    async with made:
        after = made._core.register._member.worker

    # Whatever could be alike in two processes is decided only by starting.
    assert (before.worker_id, before.label) == ("", "")
    assert after.worker_id
    assert after.label.endswith(f":{os.getpid()}")


@pytest.mark.real_time
async def test_a_file_that_was_slow_to_open_is_used_later(
    emulator: PresenceEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_place, "_LOCKED_FOR_S", 1.5)
    register = SqliteRegister(tmp_path / "r.db")
    client = client_of(emulator, register)

    with contextlib.ExitStack() as stack:
        stack.enter_context(sqlite_place.locked_folder(tmp_path))
        await client.start()
        stack.close()
    async with asyncio.timeout(10):
        while not is_up(client):  # noqa: ASYNC110  # nothing to wait for
            await asyncio.sleep(0.1)
    await client.close()


@pytest.mark.real_time
async def test_a_cancelled_start_leaves_no_thread(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    for turns in range(6):
        client = client_of(emulator, SqliteRegister(tmp_path / "r.db"))
        start = asyncio.create_task(client.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        start.cancel()
        await asyncio.wait({start})
        await client.close()

    assert not [x for x in threading.enumerate() if "presence-register" in x.name]


@pytest.mark.real_time
async def test_a_client_whose_file_is_gone_closes_all_the_same(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    client = await client_of(emulator, SqliteRegister(folder / "r.db")).start()
    await client.join("lobby", user_id="ann")

    shutil.rmtree(folder)
    await client.close()

    assert not [x for x in threading.enumerate() if "presence-register" in x.name]


def test_a_register_of_which_one_loop_has_died_serves_another(tmp_path: Path) -> None:
    register = SqliteRegister(tmp_path / "r.db")

    async def life() -> None:
        async with PresenceEmulator() as emulator, client_of(emulator, register) as x:
            await x.join("lobby", user_id="ann")
            assert is_up(x)

    asyncio.run(life())
    asyncio.run(life())
