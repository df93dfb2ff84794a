from __future__ import annotations

import asyncio
import gc

import pytest

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


async def test_a_tidy_block_passes() -> None:
    async with LeakCheck():
        await asyncio.create_task(asyncio.sleep(60))


async def test_the_error_of_the_block_comes_first() -> None:
    with pytest.raises(KeyError):
        async with LeakCheck():
            task = asyncio.create_task(asyncio.sleep(60))
            raise KeyError
    task.cancel()
