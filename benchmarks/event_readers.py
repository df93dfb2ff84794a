"""Who reads events in ``events.py``: a stream, a roster, bare aiohttp and the SDK."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import msgspec
from peers import bare_session, sdk
from pubnub.callbacks import SubscribeCallback

from presence_async import PresenceClient, UserEvent

READ_EVENTS = 2_000
Reader = Callable[[int], Awaitable[float]]
"""Reads at least so many events from the start; returns CPU microseconds of each."""


class Cursor(msgspec.Struct):
    t: str


class Payload(msgspec.Struct):
    action: str
    uuid: str
    occupancy: int
    timestamp: int
    data: dict[str, Any] | None = None


class Message(msgspec.Struct):
    c: str
    p: Cursor
    d: Payload


class PollReply(msgspec.Struct):
    t: Cursor
    m: list[Message]


class Counting(SubscribeCallback):  # type: ignore[misc]  # the SDK has no types
    """Counts the presence events it is told, and says when there are enough."""

    def __init__(self) -> None:
        self.heard = 0
        self.wanted = 0
        self.has_heard = asyncio.Event()

    def presence(self, pubnub: object, presence: object) -> None:  # noqa: ARG002  # its
        self.heard += 1
        if self.heard == self.wanted:
            self.has_heard.set()

    def status(self, pubnub: object, status: object) -> None:
        """Abstract in the SDK."""

    def message(self, pubnub: object, message: object) -> None:
        """Abstract in the SDK."""


def us_of_each(count: int, began_ns: int) -> float:
    return (time.process_time_ns() - began_ns) / count / 1000


def by_stream(client: PresenceClient) -> Reader:
    async def read(number: int) -> float:
        began_ns, count = time.process_time_ns(), 0
        async with client.events("lobby", buffer_size=number) as stream:
            async for _ in stream:
                count += 1
                if count == number:
                    break
        return us_of_each(count, began_ns)

    return read


def by_roster(client: PresenceClient) -> Reader:
    async def read(number: int) -> float:
        began_ns, count = time.process_time_ns(), 0
        async with client.roster("lobby") as roster:
            async for found in roster:
                count += isinstance(found, UserEvent)
                if count >= number:
                    break
        return us_of_each(count, began_ns)

    return read


def by_bare(session: aiohttp.ClientSession, port: int) -> Reader:
    decoder = msgspec.json.Decoder(PollReply)
    url = f"http://127.0.0.1:{port}/v2/subscribe/demo/lobby-pnpres/0?uuid=me&tt="

    async def read(number: int) -> float:
        began_ns, count, cursor = time.process_time_ns(), 0, "0"
        while count < number:
            async with session.get(url + cursor) as response:
                reply = decoder.decode(await response.read())
            cursor = reply.t.t
            count += len([message.d for message in reply.m])
        return us_of_each(count, began_ns)

    return read


def by_sdk(port: int) -> Reader:
    # What it says of a poll that ends with its instance.
    logging.getLogger("pubnub").setLevel(logging.CRITICAL + 1)

    async def read(number: int) -> float:
        # A new one each time, as it does not end a subscription and begin another.
        pubnub, counting = sdk(port), Counting()
        counting.wanted = number
        began_ns = time.process_time_ns()
        pubnub.add_listener(counting)
        pubnub.subscribe().channels(["lobby"]).with_presence().execute()
        await asyncio.wait_for(counting.has_heard.wait(), 60)
        us = us_of_each(counting.heard, began_ns)
        await pubnub.stop()
        return us

    return read


async def readers(
    stack: AsyncExitStack, client: PresenceClient, port: int
) -> dict[str, Reader]:
    """Return a function for each reader that tells what an event of so many costs."""
    sessions = [await stack.enter_async_context(bare_session()) for _ in range(2)]
    return {
        "stream": by_stream(client),
        "roster": by_roster(client),
        "bare": by_bare(sessions[0], port),
        "bare again": by_bare(sessions[1], port),
        "sdk": by_sdk(port),
    }
