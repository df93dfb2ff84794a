"""One of many processes that share a register, told what to do by ``processes.py``.

    python benchmarks/presence_worker.py ORIGIN SUBSCRIBE_KEY REGISTER

Commands come on stdin, a line of JSON each, and are answered by a line: ``["join",
[[user, channel, timeout_s], …]]`` opens tabs and is answered when all are present,
``["leave", [user, …]]`` closes one tab of each and is answered at once. SIGTERM hands
all users over, as at a deploy; the end of stdin leaves them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from measuring import in_bounds

import presence_async
from presence_async import Lease, PresenceClient, PresenceConfig, PresenceError
from presence_async.register import register_at

HAND_OVER_S = 20
LONGEST_LINE = 2**24


class Tabs:
    """The open tabs of this process, and those that are being closed."""

    def __init__(self, client: PresenceClient) -> None:
        self._client = client
        self._open: defaultdict[str, list[Lease]] = defaultdict(list)
        self._closing: set[asyncio.Task[None]] = set()

    async def join(self, tabs: list[tuple[str, str, int]]) -> None:
        """Open tabs; returns when their users are present."""

        async def open_one(number: int) -> None:
            user_id, channel, timeout_s = tabs[number]
            lease = await self._client.join(
                channel, user_id=user_id, presence_timeout_s=timeout_s
            )
            self._open[user_id].append(lease)

        await in_bounds(len(tabs), open_one)

    def leave(self, users: list[str]) -> None:
        """Close a tab of each user, without waiting for what comes of it."""
        for user_id in users:
            task = asyncio.create_task(self._closed(self._open[user_id].pop()))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    @staticmethod
    async def _closed(lease: Lease) -> None:
        # While the register is away, it takes longer than a call may.
        with contextlib.suppress(PresenceError):
            await lease.leave()


async def commands() -> AsyncIterator[list[Any]]:
    reader = asyncio.StreamReader(LONGEST_LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield json.loads(line)


async def serve(origin: str, subscribe_key: str, register: str) -> None:
    """Do what is said on stdin."""
    # It warns when the register goes away and comes back.
    logging.getLogger("presence_async").setLevel(logging.ERROR)
    config = PresenceConfig(
        subscribe_key=subscribe_key, user_id="worker", origin=origin
    )
    async with PresenceClient(config, register=register_at(register)) as client:
        tabs = Tabs(client)
        print(json.dumps("open"), flush=True)
        async for name, about in commands():
            if name == "join":
                await tabs.join(about)
            else:
                tabs.leave(about)
            print(json.dumps(name), flush=True)


if __name__ == "__main__":
    presence_async.run(serve(*sys.argv[1:]), hand_over_s=HAND_OVER_S)
