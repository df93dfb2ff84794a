from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time

import aiohttp
import pytest
from aiohttp import web

from presence_async.testing import VirtualLoop


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


async def test_time_passes_while_a_thread_works_though_no_timer_is_set() -> None:
    began_s = loop().time()

    await asyncio.to_thread(time.sleep, 0.05)

    assert 0.04 <= loop().time() - began_s < 60


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


async def test_a_child_process_is_waited_for_before_the_clock_jumps() -> None:
    started_s, began_s = time.monotonic(), loop().time()

    async with asyncio.timeout(3600):
        shell = await asyncio.create_subprocess_shell(
            "read line; sleep 0.05; echo $line",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await shell.communicate(b"done\n")
        script = await asyncio.create_subprocess_exec("sleep", "0.05")
        code = await script.wait()

    assert (said, shell.returncode, code) == (b"done\n", 0, 0)
    assert time.monotonic() - started_s >= 0.1
    assert loop().time() - began_s < 60
    assert not loop().is_real


async def test_a_peer_in_a_thread_can_be_waited_for() -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            time.sleep(0.05)
            connection.sendall(b"hello")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with loop().real_time():
            async with asyncio.timeout(3600):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                said = await reader.read()
        writer.close()
        thread.join()

    assert said == b"hello"


async def test_other_threads_and_signals_wake_it() -> None:
    woken: asyncio.Queue[str] = asyncio.Queue()
    loop().add_signal_handler(signal.SIGUSR1, woken.put_nowait, "signal")
    thread = threading.Timer(
        0.02, loop().call_soon_threadsafe, (woken.put_nowait, "thread")
    )

    thread.start()
    first = await woken.get()
    os.kill(os.getpid(), signal.SIGUSR1)
    second = await woken.get()

    loop().remove_signal_handler(signal.SIGUSR1)
    thread.join()
    assert (first, second) == ("thread", "signal")


async def test_what_it_watches_are_open_sockets() -> None:
    before = loop().watched

    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    numbers = {listener.fileno() for listener in server.sockets}
    during = loop().watched - before
    server.close()

    assert during == numbers
    assert loop().watched == before
