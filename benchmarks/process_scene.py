"""A service, a register, worker processes, and an observer, for ``processes.py``."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import attrs
from presence_worker import LONGEST_LINE
from register_servers import Shared, shared

from presence_async import PresenceClient, PresenceConfig
from presence_async.protocol.events import PresenceEvent, UserEvent

WORKERS = 4
IN_A_ROOM = 50
"""Fewer than the 100 messages of a channel that the service keeps for an observer."""
LOOK_S = 0.1
ARRIVING_S = 2.0


class Tab(NamedTuple):
    """A tab of a user that is open, or to be opened."""

    user_id: str
    room: str
    timeout_s: int


class Seen(NamedTuple):
    """Something that happened to a user, at a time of the monotonic clock."""

    user_id: str
    action: str
    at_s: float


@attrs.define(eq=False)
class Worker:
    """A worker process and its tabs."""

    process: Process
    tabs: list[Tab] = attrs.Factory(list)
    turn: asyncio.Lock = attrs.Factory(asyncio.Lock)

    @classmethod
    async def start(cls, *about: str) -> Worker:
        """Start a process; returns when its client is open."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, Path(__file__).with_name("presence_worker.py")),
            *about,
            stdin=PIPE,
            stdout=PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        worker = cls(process)
        assert await worker._answer() == "open"
        return worker

    async def join(self, tabs: Sequence[Tab]) -> None:
        """Open tabs."""
        await self._ask("join", tabs)
        self.tabs += tabs

    async def leave(self, tabs: Sequence[Tab]) -> None:
        """Close tabs."""
        await self._ask("leave", [tab.user_id for tab in tabs])
        gone = Counter(tabs)
        self.tabs = [tab for tab in self.tabs if not _taken(gone, tab)]

    def kill(self) -> None:
        """End the process as a crash does."""
        if self.process.returncode is None:
            self.process.kill()

    async def _ask(self, name: str, about: object) -> None:
        async with self.turn:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps([name, about]).encode() + b"\n")
            await self.process.stdin.drain()
            assert await self._answer() == name

    async def _answer(self) -> object:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "a worker ended"
        return json.loads(line)


def _taken(counted: Counter[Tab], tab: Tab) -> bool:
    counted[tab] -= 1
    return counted[tab] >= 0


@attrs.define(eq=False)
class Scene:
    """What a story takes place in.

    Attributes:
        origin: The service.
        key: The subscribe key of the story.
        server: The register.
        rng: Chooses.
        workers: Those that are open.
        observed: What the observer has seen.
    """

    origin: str
    key: str
    server: Shared
    rng: random.Random
    workers: list[Worker] = attrs.Factory(list)
    observed: list[PresenceEvent] = attrs.Factory(list)
    _rooms: int = 0

    async def new_worker(self) -> Worker:
        """Start a worker that takes users."""
        worker = await Worker.start(self.origin, self.key, self.server.place)
        self.workers.append(worker)
        return worker

    def tabs(self, kind: str, count: int, timeout_s: int) -> list[Tab]:
        """Think of a tab for each of some new users."""
        first, self._rooms = self._rooms, self._rooms + -(-count // IN_A_ROOM)
        return [
            Tab(f"{kind}-{n:04}", f"room-{first + n // IN_A_ROOM}", timeout_s)
            for n in range(count)
        ]

    async def open(self, placed: Iterable[tuple[Worker, Tab]]) -> None:
        """Open tabs in workers, in random order."""
        by_worker: dict[Worker, list[Tab]] = {}
        for worker, tab in placed:
            by_worker.setdefault(worker, []).append(tab)
        for tabs in by_worker.values():
            self.rng.shuffle(tabs)
        await asyncio.gather(*[x.join(tabs) for x, tabs in by_worker.items()])

    def two_workers(self) -> list[Worker]:
        """Choose the workers of somebody with two tabs."""
        return self.rng.sample(self.workers, 2)

    # What others see.

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Have an observer meanwhile."""
        rooms = [f"room-{number}" for number in range(self._rooms)]
        config = PresenceConfig(
            subscribe_key=self.key, user_id="observer", origin=self.origin
        )
        async with PresenceClient(config) as client, client.events(rooms) as stream:

            async def watch() -> None:
                async for event in stream:
                    self.observed.append(event)

            task = asyncio.create_task(watch())
            try:
                yield
            finally:
                task.cancel()
                await asyncio.wait({task})

    def observed_of(self, action: str) -> set[str]:
        """Return the users of whom the observer has seen something."""
        return {
            event.user_id
            for event in self.observed
            if isinstance(event, UserEvent) and event.action == action
        }

    async def happened(self, since_s: float) -> list[Seen]:
        """Return what has happened since a time, as the service has it."""
        await asyncio.sleep(ARRIVING_S)
        found: list[dict[str, Any]] = []
        async with aiohttp.ClientSession() as session:
            for number in range(self._rooms):
                url = f"{self.origin}/_emulator/events?channel=room-{number}"
                query = f"{url}&subscribe_key={self.key}"
                async with session.get(query) as reply:
                    found += (await reply.json())["events"]
        return [
            Seen(event["user_id"], event["action"], event["at_s"])
            for event in found
            if event["at_s"] >= since_s
        ]


async def wait_until(condition: Callable[[], bool], end_s: float) -> None:
    """Wait for a condition, until a time at the latest."""
    while time.monotonic() < end_s and not condition():  # noqa: ASYNC110  # of many things
        await asyncio.sleep(LOOK_S)


async def sleep_until(end_s: float) -> None:
    await asyncio.sleep(max(0.0, end_s - time.monotonic()))


@asynccontextmanager
async def scene_of(origin: str, engine: str, key: str) -> AsyncIterator[Scene]:
    """Have four workers that share a register; whatever is left is killed."""
    async with AsyncExitStack() as stack:
        server = stack.enter_context(shared(engine))
        rng = random.Random(key)  # noqa: S311  # repeatable, guards nothing
        scene = Scene(origin, key, server, rng)
        try:
            await asyncio.gather(*[scene.new_worker() for _ in range(WORKERS)])
            yield scene
        finally:
            for worker in scene.workers:
                worker.kill()
                await worker.process.wait()


@asynccontextmanager
async def service() -> AsyncIterator[str]:
    """Run an emulator in a process of its own; yields its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "presence_async", "emulate"),
        *("--announce-max", "100000"),
        stdout=PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()
