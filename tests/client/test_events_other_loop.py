"""Streams and rosters used from another event loop: refused at once, and unharmed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from presence_async import ClientClosedError, PresenceClient, SnapshotEvent
from presence_async.emulator import PresenceEmulator


def in_another_loop(make: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Await something in a loop of another thread; return what it raised."""
    raised: list[BaseException | None] = []

    async def run() -> None:
        async with asyncio.timeout(5):
            await make()

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001  # whatever it is
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=main)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return raised[0]


async def read_one(things: Any) -> object:
    async for thing in things:
        return thing
    return None


def check(make: Callable[[], Coroutine[Any, Any, object]]) -> None:
    error = in_another_loop(make)
    assert isinstance(error, ClientClosedError)
    assert "event loop" in str(error)


async def test_a_stream_belongs_to_its_loop(client: PresenceClient) -> None:
    unopened = client.events("lobby")
    async with client.events("lobby") as stream:
        for _ in range(2):
            check(stream.close)
            check(stream.__aenter__)
            check(lambda: stream.__aexit__(None, None, None))
            check(lambda: read_one(stream))
            check(unopened.__aenter__)
            # Also with something to read, and with a reader that waits.
            await client.heartbeat("lobby", user_id="amy")
            await asyncio.sleep(1)
        waiting = asyncio.create_task(read_one(stream))
        await waiting
        waiting = asyncio.create_task(read_one(stream))
        await asyncio.sleep(1)
        check(lambda: read_one(stream))
        await client.heartbeat("lobby", user_id="bob")

        assert getattr(await waiting, "user_id", "") == "bob"
    check(lambda: read_one(stream))


async def test_a_roster_belongs_to_its_loop(client: PresenceClient) -> None:
    async with client.roster("lobby") as roster:
        changes = roster.changes()
        for make in (
            roster.close,
            roster.__aenter__,
            lambda: roster.__aexit__(None, None, None),
            lambda: roster.wait_for(lambda r: True),  # noqa: ARG005  # always
            lambda: read_one(roster),
            changes.close,
            lambda: read_one(changes),
        ):
            check(make)
        readers = len(roster._sync.readers)
        await client.heartbeat("lobby", user_id="amy")
        await roster.wait_for(lambda r: "amy" in r.user_ids, timeout_s=1)

        assert readers == 1
        assert isinstance(await anext(changes), SnapshotEvent)
        assert getattr(await anext(changes), "user_id", "") == "amy"
    check(roster.close)


async def test_a_list_of_occupants_belongs_to_its_loop(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    for n in range(4):
        await client.heartbeat("lobby", user_id=f"u{n}")
    pages = client.occupants("lobby", page_size=2)
    unread = client.occupants("lobby")
    seen = [(await anext(pages)).user_id]
    check(lambda: read_one(pages))
    check(lambda: read_one(unread))
    check(pages.close)

    seen += [occupant.user_id async for occupant in pages]
    assert seen == [f"u{n}" for n in range(4)]
    assert len([occupant async for occupant in unread]) == 4


@pytest.mark.real_time
def test_a_stream_of_a_loop_that_has_ended_says_so() -> None:
    async def main() -> Any:
        async with PresenceEmulator() as emulator:
            config = emulator.config(user_id="bob")
            async with PresenceClient(config) as client, client.events("a") as stream:
                return stream

    stream = asyncio.run(main())
    check(stream.close)
    check(lambda: read_one(stream))
