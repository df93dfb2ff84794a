"""Random stories: what explain is certain of is what the service showed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import pytest

from presence_async import Lease, PresenceClient, PresenceError
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.explain.facts import Fact
from presence_async.explain.file import lines_of, read_facts
from presence_async.explain.story import explained
from presence_async.register import MemoryRegister

from ..sharing.scene import Line
from .stories import at_noon

NAMES = ("lobby", "news")
EDGE_S = 1.0
STILL_S = 15.0
"""How long a client may take to find that the machine has slept."""
SHOWN = re.compile(r"shown (online|offline) on ([\w ]+?)(?: at| since| from|\.|$)")
DOUBT = re.compile(r"\b(may|As of|last written|Nothing|not kn|not rem|not follow)\b")


class World:
    """Workers that keep alice, a service that fails, and a machine that sleeps."""

    def __init__(
        self, rng: random.Random, emulator: PresenceEmulator, folder: Path
    ) -> None:
        self.rng = rng
        self.emulator = emulator
        self.loop = at_noon()
        self.offset_s = self.loop.wall_time() - self.loop.time()
        self.began = self.loop.wall_time()
        self.blocked: list[tuple[float, float]] = []
        self.leases: list[Lease] = []
        self.tasks: list[asyncio.Task[None]] = []
        register = MemoryRegister()
        self.lines = [Line(register) for _ in range(rng.randint(1, 2))]
        self.files = [folder / str(n) for n in range(len(self.lines))]
        self.clients = []
        for n, (line, file) in enumerate(zip(self.lines, self.files, strict=True)):
            config = emulator.config(user_id="alice", explain_to=file)
            shared = {"register": line} if len(self.lines) > 1 else {}
            self.clients.append(PresenceClient(config, **shared))  # type: ignore[arg-type]  # or none
            engine = self.clients[n]._core.heartbeats.engine
            engine.shared.rng.seed(rng.random())

    async def play(self) -> None:
        acts: list[Callable[[], Awaitable[None]]] = [
            *(self.join, self.leave, self.fail, self.fail, self.block, self.sleep),
            *(self.close_tab, self.register_away),
        ]
        for client in self.clients:
            await client.start()
        await self.join()
        for _ in range(self.rng.randint(3, 9)):
            await asyncio.sleep(self.rng.choice([1, 12, 60, 150]) * self.rng.random())
            await self.rng.choice(acts)()
        await asyncio.sleep(self.rng.choice([1, 100]))

    def _begin(self, call: Coroutine[object, object, object]) -> None:
        async def guarded() -> None:
            with contextlib.suppress(PresenceError):
                await call

        self.tasks.append(asyncio.ensure_future(guarded()))

    def _names(self) -> list[str]:
        return self.rng.choice([["lobby"], ["news"], [*NAMES]])

    async def join(self) -> None:
        client, names = self.rng.choice(self.clients), self._names()
        timeout_s = self.rng.choice([20, 45, 120, 300])

        async def joining() -> None:
            self.leases.append(await client.join(names, presence_timeout_s=timeout_s))

        self._begin(joining())

    async def leave(self) -> None:
        self._begin(self.rng.choice(self.clients).leave(self._names()))

    async def close_tab(self) -> None:
        if self.leases:
            self._begin(self.rng.choice(self.leases).leave())

    async def fail(self) -> None:
        how = self.rng.choice([
            {"cut": True},
            {"status": 500},
            {"delay_s": 4},
            {"delay_s": 15},
        ])
        self.emulator.inject(
            Fault(
                operation=self.rng.choice(["heartbeat", "leave", None]),
                at=self.rng.choice(["before_effect", "after_effect"]),
                for_s=self.rng.choice([5, 60, 300]) * self.rng.random() + 1,
                probability=self.rng.choice([0.5, 1]),
                seed=self.rng.randrange(1000),
                **how,  # type: ignore[arg-type]  # one of them
            )
        )

    async def block(self) -> None:
        begins, seconds = self.loop.wall_time(), self.rng.uniform(2, 200)
        self.blocked.append((begins - EDGE_S, begins + seconds + EDGE_S))
        self.loop.advance(seconds)

    async def sleep(self) -> None:
        seconds = self.rng.uniform(20, 600)
        self.loop.suspend(seconds)
        self.emulator.advance(seconds)
        await asyncio.sleep(STILL_S)

    async def register_away(self) -> None:
        line = self.rng.choice(self.lines)
        line.is_cut = True
        self.loop.call_later(self.rng.uniform(5, 200), setattr, line, "is_cut", False)

    # What was told, and what was so.

    def facts(self) -> list[Fact]:
        return [x for file in self.files for x in read_facts(lines_of(file))[0]]

    def shown(self, name: str, at: float) -> set[str]:
        """Return what the service showed about a time."""
        state, states = "offline", set()
        for event in self.emulator.events(name):
            when = event.at_s + self.offset_s
            if when > at + EDGE_S:
                break
            if when > at - EDGE_S:
                states.add(state)
            state = "online" if event.action == "join" else "offline"
        return {*states, state}

    def wrong(self) -> list[str]:
        now, wrong = self.loop.wall_time(), []
        facts = self.facts()
        for at in [self.rng.uniform(self.began, now) for _ in range(30)]:
            if any(begins <= at <= ends for begins, ends in self.blocked):
                # The service is on the same loop.
                continue
            verdict = explained("alice", facts, at=at, now=now).verdict
            for name in NAMES:
                told = certain(verdict, name)
                if told is not None and told not in self.shown(name, at):
                    wrong.append(f"{name} at {at - self.began:.1f}: {verdict}")
        return wrong

    async def end(self) -> None:
        self.emulator.reset()
        for client in self.clients:
            await client.close()
        for task in self.tasks:
            task.cancel()


def certain(verdict: str, name: str) -> str | None:
    """Return as what a verdict tells that a user was shown on a name, if it does."""
    for sentence in re.split(r"(?<=[.;]) ", verdict):
        head = re.sub(r", perhaps [^,]+,", "", sentence.split(" because ")[0])
        found = SHOWN.search(head)
        if found and name in found[2].split(" and ") and not DOUBT.search(head):
            return found[1]
    return None


@pytest.mark.parametrize("seeds", [range(n, n + 15) for n in (0, 15, 30, 45)])
async def test_never_certain_and_wrong(
    seeds: range, tmp_path: Path, presence_leak_check: None
) -> None:
    wrong = {}
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        async with PresenceEmulator() as emulator:
            world = World(random.Random(seed), emulator, folder)  # noqa: S311  # a story
            await world.play()
            wrong[seed] = world.wrong()
            await world.end()

    assert {seed: told for seed, told in wrong.items() if told} == {}
