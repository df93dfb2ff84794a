"""Speaking to an emulator in bytes, as no client of ours would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

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
