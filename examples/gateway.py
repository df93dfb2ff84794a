"""A web gateway: users are present while one of their websockets is open.

    python examples/gateway.py               # 1,000 browsers come, reload and go
    python examples/gateway.py --serve       # ws://127.0.0.1:8080/ws?user=alice
    python examples/gateway.py --workers 4   # the same by four processes

Two tabs of one user are two leases of one presence: the user leaves when the last one
ends. A reload closes a tab and opens it again; ``linger_s`` hides this from others.
The last two run against a local emulator, or against the real service when
PUBNUB_SUBSCRIBE_KEY and PUBNUB_USER_ID are set.

Workers share a register, so the tabs of a user may be anywhere: the file presence.db of
the current folder, or the Valkey or Redis server in PRESENCE_REGISTER_URL. SIGHUP
replaces one worker after the other; SIGTERM and SIGINT end all. Either way nobody sees
that users who come back within 20 s were away.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

import presence_async
from presence_async import PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator
from presence_async.register import Register, register_at

ROOM = "lobby"
RELOAD_S = 2.0
DEPLOY_S = 20
PRESENCE = web.AppKey("PRESENCE", PresenceClient)


async def tab(request: web.Request) -> web.WebSocketResponse:
    """Keep a user present while one tab is open."""
    socket = web.WebSocketResponse(heartbeat=20)
    await socket.prepare(request)
    client, user_id = request.app[PRESENCE], request.query["user"]
    async with client.join(ROOM, user_id=user_id, linger_s=RELOAD_S):
        await socket.send_str("present")
        async for _ in socket:
            pass
    return socket


@contextlib.asynccontextmanager
async def gateway(
    config: PresenceConfig, listener: socket.socket, register: Register | None = None
) -> AsyncIterator[str]:
    """Serve websockets; yields their URL."""
    async with PresenceClient(config, register=register) as client:
        app = web.Application()
        app[PRESENCE] = client
        app.router.add_get("/ws", tab)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            yield url_of(listener)
        finally:
            await runner.cleanup()


def listening(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=1024)


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"ws://{host}:{port}/ws"


async def simulate(emulator: PresenceEmulator, url: str, browsers: int) -> None:
    """Let browsers come, open a second tab, reload, and go."""

    def present() -> int:
        return len(emulator.occupants(ROOM))

    def seen(user_id: str) -> dict[str, int]:
        found = (e.action for e in emulator.events(ROOM) if e.user_id == user_id)
        return dict(Counter(found))

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0)
    ) as browser:

        async def opened(user_id: str) -> aiohttp.ClientWebSocketResponse:
            socket = await browser.ws_connect(f"{url}?user={user_id}")
            await socket.receive_str()
            return socket

        users = [f"user-{n:04}" for n in range(browsers)]
        tabs = await asyncio.gather(*[opened(user) for user in users])
        print(f"{present()} of {browsers} are present")

        second = await opened(users[0])
        await tabs[0].close()
        await tabs[1].close()
        tabs[1] = await opened(users[1])
        await asyncio.sleep(RELOAD_S + 0.5)
        print(f"one of two tabs closed: {users[0]} was seen to {seen(users[0])}")
        print(f"page reloaded:          {users[1]} was seen to {seen(users[1])}")

        await asyncio.gather(second.close(), *[each.close() for each in tabs[1:]])
        async with asyncio.timeout(60):
            while present():  # noqa: ASYNC110  # the emulator has no event for it
                await asyncio.sleep(0.1)
        print(f"{present()} are present after all have gone")


# One process.


async def serve(listener: socket.socket, register: Register | None = None) -> None:
    """Serve until a signal stops the program."""
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(service())
        config = PresenceConfig.from_env()
        url = await stack.enter_async_context(gateway(config, listener, register))
        print(f"{url}?user=alice", flush=True)
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[None]:
    """Have the environment name a service: an emulator if it names none."""
    if os.environ.get("PUBNUB_SUBSCRIBE_KEY"):
        yield
        return
    async with PresenceEmulator() as emulator:
        os.environ["PUBNUB_SUBSCRIBE_KEY"] = "demo"
        os.environ["PUBNUB_USER_ID"] = "gateway"
        os.environ["PUBNUB_ORIGIN"] = f"http://{emulator.origin}"
        yield


async def demonstrate(browsers: int) -> None:
    """Serve simulated browsers."""
    # Both ends of each websocket are in this process.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with (
        PresenceEmulator() as emulator,
        gateway(emulator.config(user_id="gateway"), listening()) as url,
    ):
        await simulate(emulator, url, browsers)


# Many processes, which accept connections from one socket.


async def supervise(listener: socket.socket, workers: int) -> None:
    """Run workers until a signal; SIGHUP replaces one after the other."""
    signals: asyncio.Queue[int] = asyncio.Queue()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(number, signals.put_nowait, number)
    async with service():
        team = await asyncio.gather(*[started(listener) for _ in range(workers)])
        print(f"{url_of(listener)}?user=alice", flush=True)
        while all(team) and await signals.get() == signal.SIGHUP:
            for place, old in enumerate(team):
                if signals.empty() and (new := await started(listener)):
                    team[place] = new
                    await stopped(old)
            print("replaced the workers", flush=True)
        await asyncio.gather(*map(stopped, team))
    if not all(team):
        sys.exit("a worker did not start")


async def started(listener: socket.socket) -> Process | None:
    """Start a worker and wait until it serves; ``None``: it does not."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--listener", str(listener.fileno())),
        pass_fds=[listener.fileno()],
        stdout=PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which tells the workers
    )
    does_serve = process.stdout is not None and await process.stdout.readline()
    return process if does_serve else None


async def stopped(worker: Process | None) -> None:
    if worker is not None and worker.returncode is None:
        worker.send_signal(signal.SIGTERM)
        await worker.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Presence for websockets.")
    parser.add_argument("--serve", action="store_true", help="until a signal comes")
    parser.add_argument("--workers", type=int, help="serve by so many processes")
    parser.add_argument("--port", type=int, default=8080, help="0: a free one")
    parser.add_argument("--browsers", type=int, default=1000, help="without --serve")
    parser.add_argument("--listener", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    shared = os.environ.get("PRESENCE_REGISTER_URL")
    if options.listener is not None:
        register = register_at(shared or "presence.db")
        listener = socket.socket(fileno=options.listener)
        presence_async.run(serve(listener, register), hand_over_s=DEPLOY_S)
    elif options.workers:
        with listening(options.port) as listener:
            asyncio.run(supervise(listener, options.workers))
    elif options.serve:
        presence_async.run(serve(listening(options.port)))
    else:
        presence_async.run(demonstrate(options.browsers))


if __name__ == "__main__":
    main()
