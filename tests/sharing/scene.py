"""Clients of several processes that share a register, in one virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Sequence
from typing import TypeVar

from presence_async import Lease, PresenceClient
from presence_async.emulator import PresenceEmulator
from presence_async.errors import RegisterError
from presence_async.register import MemoryRegister
from presence_async.register.values import (
    Again,
    Attendance,
    Beaten,
    Claimed,
    Claiming,
    Departing,
    Departures,
    Holding,
    Name,
    Release,
    Released,
    Standing,
    Worker,
)

AnswerT = TypeVar("AnswerT")


class Line:
    """One worker's way to a register; it can be cut, or hang.

    Attributes:
        is_cut: Whether it fails at once.
        is_hanging: Whether it never answers, though it may have carried out.
        delay_s: How long it takes.
        calls: How many questions and notes went over it, by operation.
    """

    def __init__(self, register: MemoryRegister) -> None:
        self.register: MemoryRegister = register
        self.engine: str = register.engine
        self.hand_over_s: float = register.hand_over_s
        self.crash_grace_s: float = register.crash_grace_s
        self.is_cut: bool = False
        self.is_hanging: bool = False
        self.delay_s: float = 0.0
        self.calls: dict[str, int] = {}

    async def open(self) -> None:
        await self._over("open", self.register.open())

    async def close(self) -> None:
        await self.register.close()

    async def hold(
        self, worker: Worker, holdings: Sequence[Holding]
    ) -> Sequence[tuple[Standing, ...]]:
        return await self._over("hold", self.register.hold(worker, holdings))

    async def claim(
        self, worker: Worker, claimings: Sequence[Claiming], attempt_s: float
    ) -> Sequence[Claimed]:
        call = self.register.claim(worker, claimings, attempt_s)
        return await self._over("claim", call)

    async def beaten(
        self, worker: Worker, beats: Sequence[Beaten]
    ) -> Sequence[tuple[Name, ...]]:
        return await self._over("beaten", self.register.beaten(worker, beats))

    async def release(
        self, worker: Worker, releases: Sequence[Release], attempt_s: float
    ) -> Sequence[Released]:
        call = self.register.release(worker, releases, attempt_s)
        return await self._over("release", call)

    async def depart(self, worker: Worker, attendance: Attendance) -> Departures:
        return await self._over("depart", self.register.depart(worker, attendance))

    async def departed(
        self, worker: Worker, leaves: Sequence[Departing]
    ) -> Sequence[tuple[Again, ...]]:
        return await self._over("departed", self.register.departed(worker, leaves))

    async def _over(self, name: str, call: Awaitable[AnswerT]) -> AnswerT:
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.is_cut:
            call.close()  # type: ignore[attr-defined]  # a coroutine of ours
            raise RegisterError("the line is cut")
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            call.close()  # type: ignore[attr-defined]  # a coroutine of ours
            raise
        answer = await call
        if self.is_hanging:
            await asyncio.sleep(math.inf)
        return answer


class Process:
    """A process with one client: it can be killed, or restarted."""

    def __init__(self, client: PresenceClient, line: Line) -> None:
        self.client: PresenceClient = client
        self.line: Line = line
        self.is_alive: bool = True
        self.leases: dict[str, list[Lease]] = {}

    async def join(
        self, user_id: str, channels: str | Sequence[str] = "lobby", **more: object
    ) -> Lease:
        """Open a tab of a user."""
        lease = await self.client.join(channels, user_id=user_id, **more)  # type: ignore[arg-type]  # passed on
        self.leases.setdefault(user_id, []).append(lease)
        return lease

    async def leave(self, user_id: str) -> None:
        """Close the oldest tab of a user."""
        leases = self.leases[user_id]
        lease = leases.pop(0)
        if not leases:
            del self.leases[user_id]
        await lease.leave()

    async def kill(self) -> None:
        """End it as SIGKILL does: nothing is said any more."""
        self.is_alive, self.leases = False, {}
        core = self.client._core
        core._leave_all = nothing  # type: ignore[assignment, method-assign]
        await self.client.close()

    async def close(self, **more: float) -> None:
        """End it in order."""
        self.is_alive, self.leases = False, {}
        await self.client.close(**more)


async def nothing(*_: object) -> None:
    """Leave nobody."""


class Scene:
    """An emulator, a register, and processes that share both.

    Args:
        emulator: The service.
        register: What they share; ``None``: a fresh one.
        settings: Of every client's config.

    Attributes:
        is_away: Whether processes that start cannot reach the register.
    """

    def __init__(
        self,
        emulator: PresenceEmulator,
        register: MemoryRegister | None = None,
        **settings: object,
    ) -> None:
        self.emulator: PresenceEmulator = emulator
        self.register: MemoryRegister = register or MemoryRegister()
        self.processes: list[Process] = []
        self.is_away: bool = False
        self._settings = settings

    async def start(self) -> Process:
        """Start a process."""
        config = self.emulator.config(user_id="worker", **self._settings)
        line = Line(self.register)
        line.is_cut = self.is_away
        client = await PresenceClient(config, register=line).start()
        client._core.heartbeats.engine.shared.rng.seed(len(self.processes))
        process = Process(client, line)
        self.processes.append(process)
        return process

    async def end(self) -> None:
        """Kill whatever is alive."""
        for process in self.processes:
            if process.is_alive:
                await process.kill()

    def seen(self, channel: str = "lobby") -> list[str]:
        """Return what observers of a channel have seen so far."""
        return [f"{e.user_id} {e.action}" for e in self.emulator.events(channel)]

    def present(self, channel: str = "lobby") -> set[str]:
        """Return who is there."""
        return set(self.emulator.occupants(channel))

    def sent(self, operation: str, user_id: str) -> int:
        """Return how many requests of a kind arrived about a user."""
        return sum(
            f"/{operation}" in r.path and r.user_id == user_id
            for r in self.emulator.requests
        )
