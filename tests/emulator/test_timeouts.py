"""Timeouts of many users under many keys: each at its time."""

from __future__ import annotations

import asyncio
from typing import Any

from presence_async.emulator import PresenceEmulator


async def test_users_of_many_keys_time_out_each_in_time(
    emulator: PresenceEmulator, sdk: Any
) -> None:
    for number in range(20):
        await sdk.get(
            f"/v2/presence/sub-key/k{number}/channel/a/heartbeat"
            f"?uuid=u&heartbeat={100 - number}"
        )
        await sdk.get(f"/v2/presence/sub-key/idle{number}/uuid/u")
    began_s = asyncio.get_running_loop().time()

    await asyncio.sleep(200)

    for number in range(20):
        joined, timed_out = emulator.events("a", f"k{number}")
        assert timed_out.at_s == joined.at_s + 100 - number
        assert timed_out.at_s <= began_s + 100 - number


async def test_a_reset_forgets_the_timeouts_of_a_key(
    emulator: PresenceEmulator, sdk: Any
) -> None:
    await sdk.beat("bob", "a")
    emulator.reset()
    await asyncio.sleep(30)

    await sdk.beat("bob", "a")

    assert [event.action for event in emulator.events("a")] == ["join"]


async def test_users_time_out_after_a_restart_too(sdk: Any) -> None:
    async with PresenceEmulator() as emulator:
        await sdk.to(emulator).beat("bob", "a")
    async with emulator:
        await asyncio.sleep(20)
        timed_out = emulator._server.service.keyset("demo").events

        assert [event.action for event in timed_out] == ["join", "timeout"]
