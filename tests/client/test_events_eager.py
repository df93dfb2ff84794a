"""Streams and rosters where tasks run at once, as an eager task factory has it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from presence_async import PresenceClient, StreamHealth
from presence_async.client.aio import TaskOwner
from presence_async.emulator import PresenceEmulator

from .subscribe_service import Asked, Say, SubscribeService, read, users

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="eager tasks came with Python 3.12"
)


@pytest.fixture(autouse=True)
async def eager_tasks(presence_leak_check: None) -> None:
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)


async def test_a_stream_is_live_with_a_poll_under_way(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        service.publish("lobby", "amy")

        assert users(await read(stream, 1)) == ["amy"]
        assert stream.health is StreamHealth.LIVE


async def test_a_roster_hears_events(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.roster("lobby") as roster:
        await asyncio.sleep(6)
        asked = len(emulator.requests.of("here now"))
        await client.heartbeat("lobby", user_id="amy")
        await roster.wait_for(lambda r: "amy" in r.user_ids, timeout_s=1)

        assert len(emulator.requests.of("here now")) == asked


async def test_a_poll_that_is_halved_goes_on_with_both_halves(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    def script(asked: Asked) -> Say | None:
        return Say(b"too long", 414) if len(asked.names) > 2 else None

    async with watcher.events("a") as first, watcher.events(["b", "c"]) as second:
        service.script = script
        service.publish("a", "amy")
        await asyncio.sleep(2)
        service.publish("c", "bob")

        assert users(await read(first, 1)) == ["amy"]
        assert users(await read(second, 1)) == ["bob"]
        await asyncio.sleep(1)
        assert len(service.held) == 2


async def test_an_owner_counts_a_task_before_it_runs() -> None:
    owner = TaskOwner()
    counted: list[int] = []

    async def count() -> None:
        counted.append(len(owner))

    owner.start(count(), name="counting")
    counted.append(0)
    await owner.finish()

    assert counted == [0, 1]
