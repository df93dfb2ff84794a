"""The long poll over real sockets: who is told what, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from presence_async.emulator import PresenceEmulator

Json = dict[str, Any]


class Sdk:
    """A client that speaks to the emulator as an SDK does, one request at a time."""

    def __init__(
        self, emulator: PresenceEmulator, session: aiohttp.ClientSession
    ) -> None:
        self._origin = f"http://{emulator.origin}"
        self._session = session

    async def get(self, path: str) -> Any:
        async with self._session.get(self._origin + path) as response:
            assert response.status == 200, await response.text()
            return await response.json(content_type=None)

    async def presence(self, rest: str) -> Any:
        return await self.get(f"/v2/presence/sub-key/demo/{rest}")

    async def beat(self, user: str, channels: str, more: str = "") -> None:
        await self.presence(f"channel/{channels}/heartbeat?uuid={user}{more}")

    async def leave(self, user: str, channels: str, more: str = "") -> None:
        await self.presence(f"channel/{channels}/leave?uuid={user}{more}")

    async def subscribe(
        self, channels: str, user: str = "eve", tt: str = "0", more: str = ""
    ) -> tuple[str, list[Json]]:
        """Poll once; returns the next cursor and the messages."""
        reply = await self.get(
            f"/v2/subscribe/demo/{channels}/0?uuid={user}&tt={tt}{more}"
        )
        assert set(reply) == {"t", "m"}
        assert set(reply["t"]) == {"t", "r"}
        assert 0 < reply["t"]["r"] <= 127
        return reply["t"]["t"], reply["m"]


def told(messages: list[Json]) -> list[tuple[str, str, int]]:
    """Say briefly what messages tell."""
    return [
        (message["d"]["action"], message["d"].get("uuid"), message["d"]["occupancy"])
        for message in messages
    ]


def now_s() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
async def sdk(emulator: PresenceEmulator) -> AsyncIterator[Sdk]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Sdk(emulator, session)


async def test_a_poll_is_held_until_there_is_news(sdk: Sdk) -> None:
    cursor, messages = await sdk.subscribe("a-pnpres")
    assert messages == []

    async with asyncio.TaskGroup() as group:
        poll = group.create_task(sdk.subscribe("a-pnpres", tt=cursor))
        await asyncio.sleep(100)
        assert not poll.done()
        await sdk.beat("bob", "a", "&heartbeat=20")
    assert told(poll.result()[1]) == [("join", "bob", 1)]

    started_s = now_s()
    cursor, messages = await sdk.subscribe("a-pnpres", tt=poll.result()[0])
    assert told(messages) == [("timeout", "bob", 0)]
    assert now_s() - started_s == pytest.approx(20)


async def test_an_idle_poll_ends_with_the_cursor_it_came_with(sdk: Sdk) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    started_s = now_s()

    assert await sdk.subscribe("a-pnpres", tt=cursor) == (cursor, [])
    assert now_s() - started_s == pytest.approx(280)
