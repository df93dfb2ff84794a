"""Reading a stream: its buffer, its reader, cancellation and its end."""

from __future__ import annotations

import asyncio

import pytest

from presence_async import (
    ClientClosedError,
    ConcurrencyError,
    GapEvent,
    PresenceClient,
    StreamHealth,
)

from .subscribe_service import HANG, SubscribeService, read, read_all, users


async def test_a_slow_reader_loses_the_oldest_and_is_told_once(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby", buffer_size=5) as stream:
        for n in range(20):
            service.publish("lobby", f"u{n}")
            await asyncio.sleep(0.1)
        events = await read_all(stream)
        service.publish("lobby", "later")
        later = await read(stream, 1)

    first = events[0]
    assert isinstance(first, GapEvent)
    assert (first.reason, first.dropped) == ("slow_consumer", 15)
    assert users(events[1:]) == [f"u{n}" for n in range(15, 20)]
    assert users(later) == ["later"]


async def test_a_slow_reader_holds_up_neither_the_poll_nor_another_reader(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with (
        watcher.events("lobby", buffer_size=1),
        watcher.events("lobby") as other,
    ):
        for n in range(50):
            service.publish("lobby", f"u{n}")
            await asyncio.sleep(0.1)

        assert users(await read(other, 50)) == [f"u{n}" for n in range(50)]
        await asyncio.sleep(1)
        assert len(service.held) == 1


async def test_two_readers_at_once_are_an_error(watcher: PresenceClient) -> None:
    async with watcher.events("lobby") as stream:
        reader = asyncio.create_task(stream.__anext__())
        await asyncio.sleep(1)
        with pytest.raises(ConcurrencyError, match="has a reader already"):
            await anext(stream)
        reader.cancel()
        await asyncio.wait([reader])


async def test_a_cancelled_read_loses_nothing(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        seen = []
        for n in range(30):
            reader = asyncio.create_task(stream.__anext__())
            await asyncio.sleep(0)
            service.publish("lobby", f"u{n}")
            for _ in range(n):
                await asyncio.sleep(0)
            reader.cancel()
            await asyncio.wait([reader])
            if not reader.cancelled():
                seen.append(reader.result())
        await asyncio.sleep(1)
        seen += await read_all(stream)

    assert users(seen) == [f"u{n}" for n in range(30)]


async def test_an_exception_in_one_loop_ends_only_that_one(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async def fail() -> None:
        async with watcher.events("lobby") as stream:
            async for _ in stream:
                raise ZeroDivisionError

    async with watcher.events("lobby") as stream:
        failing = asyncio.create_task(fail())
        await asyncio.sleep(1)
        service.publish("lobby", "amy")
        await asyncio.wait([failing])
        service.publish("lobby", "bob")
        events = await read(stream, 2)

        assert isinstance(failing.exception(), ZeroDivisionError)
        assert users(events) == ["amy", "bob"]
        assert stream.health is StreamHealth.LIVE


async def test_leaving_the_block_frees_the_poll(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby"):
        await asyncio.sleep(50)
        assert len(service.held) == 1
    await asyncio.sleep(0.1)

    assert "presence events" not in {task.get_name() for task in asyncio.all_tasks()}
    await asyncio.sleep(1)
    assert not service.held


async def test_iteration_ends_after_close_with_what_was_delivered(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        for user in ("amy", "bob"):
            service.publish("lobby", user)
        await asyncio.sleep(1)
        await stream.close()
        await stream.close()

        assert users([event async for event in stream]) == ["amy", "bob"]
        assert stream.health is StreamHealth.CLOSED


@pytest.mark.parametrize("closes", ["stream", "client"])
async def test_closing_ends_a_reader_that_waits(
    watcher: PresenceClient, closes: str
) -> None:
    async with watcher.events("lobby") as stream:

        async def consume() -> str:
            async for _ in stream:
                pass
            return "ended"

        reader = asyncio.create_task(consume())
        await asyncio.sleep(1)
        await (stream.close() if closes == "stream" else watcher.close())
        async with asyncio.timeout(1):
            assert await reader == "ended"


async def test_closing_the_client_leaves_nothing_behind(
    service: SubscribeService,
) -> None:
    async with PresenceClient(service.config()) as client:
        streams = [client.events(["lobby", f"c{n}"]) for n in range(5)]
        for stream in streams:
            await stream.__aenter__()
        await asyncio.sleep(1)
        assert len(service.held) == 1

    assert {stream.health for stream in streams} == {StreamHealth.CLOSED}
    await asyncio.sleep(1)
    assert not service.held
    assert not {task.get_name() for task in asyncio.all_tasks()} & {"presence events"}
    with pytest.raises(ClientClosedError, match="is closed"):
        async with client.events("lobby"):
            pass


@pytest.mark.parametrize("steps", range(12))
async def test_opening_can_be_cancelled_at_every_step(
    watcher: PresenceClient, service: SubscribeService, steps: int
) -> None:
    stream = watcher.events("lobby")
    opening = asyncio.create_task(stream.__aenter__())
    for _ in range(steps):
        await asyncio.sleep(0)
    opening.cancel()
    await asyncio.wait([opening])

    if not opening.cancelled():
        await stream.close()
    await asyncio.sleep(1)
    assert stream.health is StreamHealth.CLOSED
    assert not service.held


async def test_closing_the_client_ends_an_opening(service: SubscribeService) -> None:
    client = await PresenceClient(service.config()).start()
    service.script = lambda asked: HANG  # noqa: ARG005  # whatever it is
    stream = client.events("lobby")
    opening = asyncio.create_task(stream.__aenter__())
    await asyncio.sleep(1)
    await client.close()

    with pytest.raises(ClientClosedError):
        await opening
    assert stream.health is StreamHealth.CLOSED


async def test_a_stream_of_another_loop_is_refused(
    watcher: PresenceClient,
) -> None:
    def elsewhere() -> str:
        async def enter() -> str:
            with pytest.raises(ClientClosedError, match="another event loop"):
                await watcher.events("lobby").__aenter__()
            return "refused"

        return asyncio.run(enter())

    assert await asyncio.to_thread(elsewhere) == "refused"
