from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from aiohttp import web

from presence_async.testing.virtual_loop import VirtualLoop


def loop() -> VirtualLoop:
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop)
    return running


async def test_a_day_of_sleep_takes_no_time() -> None:
    started_s, began = time.monotonic(), loop().time()

    await asyncio.sleep(86_400)

    assert loop().time() - began == pytest.approx(86_400)
    assert time.monotonic() - started_s < 5


async def test_timers_fire_in_order_and_on_time() -> None:
    fired: list[float] = []
    began = loop().time()

    for delay in (30, 10, 20):
        loop().call_later(delay, lambda: fired.append(loop().time() - began))
    await asyncio.sleep(31)

    assert fired == pytest.approx([10, 20, 30])


async def test_a_thread_is_waited_for_before_the_clock_jumps() -> None:
    started_s = time.monotonic()

    async with asyncio.timeout(3600):
        await asyncio.to_thread(time.sleep, 0.05)

    assert time.monotonic() - started_s >= 0.05


async def test_a_suspend_moves_the_outer_clocks_only() -> None:
    before = loop().time(), loop().boot_time(), loop().wall_time()

    loop().suspend(600)

    after = loop().time(), loop().boot_time(), loop().wall_time()
    moved = [b - a for a, b in zip(before, after, strict=True)]
    assert moved == [0, pytest.approx(600), pytest.approx(600)]


async def test_requests_between_long_sleeps_never_time_out() -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        await asyncio.sleep(1)
        return web.Response(text="ok")

    server = web.Server(answer, access_log=None)
    listener = await loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    statuses = []
    async with aiohttp.ClientSession() as session:
        for _ in range(300):
            async with (
                asyncio.timeout(1.5),
                session.get(f"http://127.0.0.1:{port}/") as r,
            ):
                statuses.append(r.status)
            await asyncio.sleep(60)
    listener.close()
    await server.shutdown()

    assert statuses == [200] * 300
