"""How long a client with a register takes to close."""

from __future__ import annotations

import asyncio

import pytest

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
