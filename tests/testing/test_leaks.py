from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from presence_async import PresenceClient
from presence_async.emulator import PresenceEmulator
from presence_async.testing.leaks import LeakCheck, LeakError


async def test_a_task_left_running_is_reported_by_name() -> None:
    with pytest.raises(LeakError, match="forgotten"):
        async with LeakCheck():
            task = asyncio.create_task(asyncio.sleep(60), name="forgotten")
    task.cancel()


async def test_an_unread_exception_is_reported() -> None:
    async def fail() -> None:
        raise ValueError("nobody hears me")

    with pytest.raises(LeakError, match="nobody hears me"):
        async with LeakCheck():
            task = asyncio.create_task(fail())
            await asyncio.wait({task})
            del task
            gc.collect()


async def test_an_unread_exception_in_a_cycle_is_reported() -> None:
    async def fail(itself: list[object]) -> None:
        raise ValueError("nobody hears me")

    with pytest.raises(LeakError, match="nobody hears me"):
        async with LeakCheck():
            cycle: list[object] = []
            cycle.append(cycle)
            cycle.append(asyncio.create_task(fail(cycle)))
            del cycle
            await asyncio.sleep(1)


async def test_an_open_socket_is_reported_by_its_address() -> None:
    with pytest.raises(LeakError, match=r"127\.0\.0\.1"):
        async with LeakCheck():
            server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    server.close()


async def test_tasks_and_sockets_from_before_are_no_leak() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)

    async with LeakCheck():
        await asyncio.sleep(1)

    task.cancel()
    server.close()


async def test_the_loops_exception_handler_is_put_back() -> None:
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    async with LeakCheck():
        during = loop.get_exception_handler()

    assert during != before
    assert loop.get_exception_handler() == before


async def test_a_tidy_block_passes() -> None:
    async with LeakCheck():
        await asyncio.create_task(asyncio.sleep(60))


async def test_the_error_of_the_block_comes_first() -> None:
    with pytest.raises(KeyError):
        async with LeakCheck():
            task = asyncio.create_task(asyncio.sleep(60))
            raise KeyError
    task.cancel()


async def test_a_client_left_open_is_named_with_what_to_do(
    emulator: PresenceEmulator,
) -> None:
    with pytest.raises(LeakError) as caught:
        async with LeakCheck():
            client = await open_client(emulator, "alice")
    async with client:
        before = asyncio.all_tasks()
        with pytest.raises(LeakError) as other:
            async with LeakCheck():
                task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        assert before <= asyncio.all_tasks()

    told = "<PresenceClient of 'alice', open>: close it: 'async with PresenceClient"
    assert told in str(caught.value)
    assert "PresenceClient" not in str(other.value), "it was open before"


async def test_objects_that_cannot_be_asked_their_class_hide_no_leak() -> None:
    class Lazy:
        def __getattribute__(self, name: str) -> object:
            raise RuntimeError("working outside of a context")

    class Gone:
        pass

    lazy, gone = [Lazy()], Gone()
    proxy = weakref.proxy(gone)
    del gone

    with pytest.raises(LeakError, match="forgotten"):
        async with LeakCheck():
            task = asyncio.create_task(asyncio.sleep(60), name="forgotten")
    task.cancel()
    del lazy, proxy


async def open_client(emulator: PresenceEmulator, user_id: str) -> PresenceClient:
    client = PresenceClient(emulator.config(user_id=user_id))
    await client.start()
    return client
