"""Clients of an emulator other than ours: one of raw bytes, one that acts as an SDK."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from yarl import URL

from presence_async.emulator import PresenceEmulator


class Wire:
    """A way to the emulator without any HTTP client."""

    def __init__(self, emulator: PresenceEmulator) -> None:
        self._emulator = emulator

    def to(self, emulator: PresenceEmulator) -> Wire:
        """Return a way to another emulator."""
        return Wire(emulator)

    async def exchange(self, data: bytes, *, ends: bool = False) -> bytes:
        """Send bytes and read whatever comes until the connection is closed.

        Args:
            data: What to send.
            ends: Whether to say that nothing more will come.
        """
        host, port = self._emulator.origin.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        answer = b""
        try:
            writer.write(data)
            if ends:
                writer.write_eof()
            # An unfinished request is waited for; in virtual time that takes none.
            async with asyncio.timeout(3600):
                while more := await reader.read(65_536):
                    answer += more
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()
            # Otherwise its socket is still open when the event loop of the test ends.
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        return answer

    async def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask as any HTTP client would; returns status, headers and body."""
        given = {"Host": "127.0.0.1", "Connection": "close", **(headers or {})}
        if body:
            given["Content-Length"] = str(len(body))
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in given.items()]
        answer = await self.exchange("\r\n".join([*lines, "", ""]).encode() + body)
        head, _, said = answer.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        named = dict(line.lower().split(": ", 1) for line in rest)
        return int(first.split()[1]), named, said

    async def get(self, target: str) -> tuple[int, Any]:
        """Ask with GET; returns status and decoded body."""
        status, _, body = await self.ask(target)
        return status, json.loads(body)


@pytest.fixture
def wire(emulator: PresenceEmulator) -> Wire:
    """A way to the test's emulator in bytes."""
    return Wire(emulator)


class Sdk:
    """An HTTP client that asks what an SDK asks, as many requests at once as wished."""

    def __init__(
        self, emulator: PresenceEmulator, session: aiohttp.ClientSession
    ) -> None:
        self._origin = f"http://{emulator.origin}"
        self._session = session

    def to(self, emulator: PresenceEmulator) -> Sdk:
        """Return one of another emulator."""
        return Sdk(emulator, self._session)

    async def get(self, path: str) -> Any:
        """Ask, and expect success."""
        async with self._session.get(URL(self._origin + path, encoded=True)) as reply:
            assert reply.status == 200, await reply.text()
            return await reply.json(content_type=None)

    async def presence(self, rest: str) -> Any:
        """Ask about presence."""
        return await self.get(f"/v2/presence/sub-key/demo/{rest}")

    async def beat(self, user: str, channels: str, more: str = "") -> None:
        """Announce a user for 20 s, or as ``more`` has it."""
        target = f"channel/{channels}/heartbeat?heartbeat=20&uuid={user}{more}"
        await self.presence(target)

    async def leave(self, user: str, channels: str, more: str = "") -> None:
        """Let a user leave."""
        await self.presence(f"channel/{channels}/leave?uuid={user}{more}")

    async def subscribe(
        self, channels: str, user: str = "eve", tt: str = "0", more: str = ""
    ) -> tuple[str, list[dict[str, Any]]]:
        """PendingPoll once; returns the next cursor and the messages."""
        reply = await self.get(
            f"/v2/subscribe/demo/{channels}/0?uuid={user}&tt={tt}{more}"
        )
        assert set(reply) == {"t", "m"}
        assert set(reply["t"]) == {"t", "r"}
        assert 0 < reply["t"]["r"] <= 127
        return reply["t"]["t"], reply["m"]


@pytest.fixture
async def sdk(emulator: PresenceEmulator) -> AsyncIterator[Sdk]:
    """A client of the test's emulator."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Sdk(emulator, session)
