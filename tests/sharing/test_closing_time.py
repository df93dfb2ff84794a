"""How long a client with a register takes to close."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from presence_async import PresenceClient
from presence_async.emulator import PresenceEmulator
from presence_async.register import SqliteRegister

from .scene import Scene


@pytest.mark.parametrize("linger_s", [0, 5])
async def test_handing_over_waits_for_nothing_but_the_register(
    scene: Scene, linger_s: float
) -> None:
    process = await scene.start()
    lease = await process.client.join("lobby", user_id="alice", linger_s=linger_s)
    if linger_s:
        await lease.leave()
    began_s = asyncio.get_running_loop().time()

    await process.close(hand_over_s=20)

    assert asyncio.get_running_loop().time() - began_s < 1
    assert scene.seen() == ["alice join"]


@pytest.mark.real_time
async def test_a_client_left_open_when_its_loop_ends_still_asks_before_it_leaves(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    path = tmp_path / "presence.db"
    left_open = []

    async def forget_to_close() -> None:
        client = PresenceClient(
            emulator.config(user_id="worker"), register=SqliteRegister(path)
        )
        left_open.append(await client.start())
        for user_id in ("alone", "both"):
            await client.join("lobby", user_id=user_id)

    config = emulator.config(user_id="worker")
    async with PresenceClient(config, register=SqliteRegister(path)) as client:
        await client.join("lobby", user_id="both")
        await asyncio.to_thread(lambda: asyncio.run(forget_to_close()))

        handed_over = set(emulator.occupants("lobby"))
        stats = client.heartbeats.stats().register

    assert handed_over == {"alone", "both"}
    assert stats is not None
    assert stats.is_up
    # The last client to close leaves for the one that was left open, too.
    assert set(emulator.occupants("lobby")) == set()
