"""What grows in ``linear.py``: each function begins something of a given number.

It returns what to call, and to measure, any number of times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import attrs
from canned_server import large
from keeping import HastyLoop, joins
from measuring import in_bounds
from peers import config

from presence_async import EventStream, HereNow, PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator
from presence_async.protocol.exchange import HttpReply
from presence_async.protocol.here_now import HereNowOperation
from presence_async.testing import VirtualLoop

TIMEOUT_S = 300
INTERVAL_S = TIMEOUT_S / 2 - 1
STEPS = 300
SENT_S = 150e-6
"""Of real time for each heartbeat, so that none waits for others."""
EVENTS = 500
Begun = Callable[[], None]


def runner_of(
    stack: ExitStack, loop: type[asyncio.AbstractEventLoop]
) -> asyncio.Runner:
    return stack.enter_context(asyncio.Runner(loop_factory=loop))


def client_of(
    stack: ExitStack, runner: asyncio.Runner, settings: PresenceConfig
) -> PresenceClient:
    """Start a client that lasts as long as the stack."""

    async def begin() -> PresenceClient:
        return await PresenceClient(settings).start()

    client = runner.run(begin())
    stack.callback(lambda: runner.run(_closed(client)))
    return client


async def _closed(client: PresenceClient) -> None:
    await client.close()


def again(
    runner: asyncio.Runner, work: Callable[[], Coroutine[Any, Any, None]]
) -> Begun:
    return lambda: runner.run(work())


@attrs.define
class KeptUsers:
    """Users of one client, kept for an interval by moving its clock on."""

    client: PresenceClient
    users: int

    @classmethod
    def begin(cls, stack: ExitStack, port: int, users: int) -> Begun:
        runner = runner_of(stack, HastyLoop)
        client = client_of(
            stack,
            runner,
            config(port, presence_timeout_s=TIMEOUT_S, leave_on_close=False),
        )
        runner.run(in_bounds(users, joins(client)))
        return again(runner, cls(client, users).an_interval)

    async def an_interval(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HastyLoop)
        for _ in range(STEPS):
            loop.skipped_s += INTERVAL_S / STEPS
            await asyncio.sleep(max(0.001, self.users * SENT_S / STEPS))


def join_and_leave(stack: ExitStack, port: int, users: int) -> Begun:
    """Let so many users join and leave."""
    runner = runner_of(stack, asyncio.SelectorEventLoop)
    client = client_of(stack, runner, config(port))
    join = joins(client)

    async def work() -> None:
        leases = []

        async def come(number: int) -> None:
            leases.append(await join(number))

        await in_bounds(users, come)
        await in_bounds(users, lambda number: leases[number].leave())

    return again(runner, work)


def lease_of_many(stack: ExitStack, port: int, channels: int) -> Begun:
    """Join and leave so many channels at once, some times."""
    runner = runner_of(stack, asyncio.SelectorEventLoop)
    client = client_of(stack, runner, config(port))
    names = [f"channel-{number:04}" for number in range(channels)]

    async def work() -> None:
        for _ in range(10):
            async with client.join(names):
                pass

    return again(runner, work)


def read_occupants(_: ExitStack, __: int, occupants: int) -> Begun:
    """Decode a here-now reply and read all its occupants and their states."""
    body = large(b"states", occupants).partition(b"\r\n\r\n")[2]
    reply = HttpReply(status=200, body=body)
    operation = HereNowOperation(
        subscribe_key="demo", channels=("lobby",), include_state=True
    )

    def work() -> None:
        found = operation.from_reply(reply)
        assert isinstance(found, HereNow)
        read = [occupant.state for occupant in found.channels["lobby"].occupants or ()]
        assert len(read) == occupants

    return work


@attrs.define
class RosterOfMany:
    """A channel with many occupants at the emulator, whose list is made."""

    client: PresenceClient

    @classmethod
    def begin(cls, stack: ExitStack, _: int, occupants: int) -> Begun:
        runner = runner_of(stack, VirtualLoop)

        async def open_emulator() -> PresenceEmulator:
            return await PresenceEmulator(journal_size=1).start()

        emulator = runner.run(open_emulator())
        stack.callback(lambda: runner.run(emulator.close()))
        client = client_of(stack, runner, emulator.config(user_id="watcher"))
        roster = cls(client)
        runner.run(roster.fill(occupants))
        return again(runner, roster.make)

    async def fill(self, occupants: int) -> None:
        async def come(number: int) -> None:
            await self.client.heartbeat(
                "lobby", user_id=f"user-{number:05}", presence_timeout_s=1_000_000
            )

        await in_bounds(occupants, come)

    async def make(self) -> None:
        async with self.client.roster("lobby") as roster:
            await roster.wait_for(lambda r: r.is_synced, timeout_s=60)


def watch(stack: ExitStack, port: int, watchers: int) -> Begun:
    """Open so many streams of one client; each reads some hundred events."""
    runner = runner_of(stack, asyncio.SelectorEventLoop)
    client = client_of(stack, runner, config(port))

    async def read(stream: EventStream) -> None:
        count = 0
        async with stream:
            async for _ in stream:
                count += 1
                if count == EVENTS:
                    break

    async def work() -> None:
        streams = [client.events("lobby", buffer_size=EVENTS) for _ in range(watchers)]
        await asyncio.gather(*[read(stream) for stream in streams])

    return again(runner, work)
