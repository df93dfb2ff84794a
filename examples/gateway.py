"""A web gateway: users are present while one of their websockets is open.

    python examples/gateway.py             # 1,000 browsers come, reload and go
    python examples/gateway.py --serve     # ws://127.0.0.1:8080/ws?user=alice

Two tabs of one user are two leases of one presence: the user leaves when the last one
ends. A reload closes a tab and opens it again; ``linger_s`` hides this from others.
With --serve it runs against a local emulator, or against the real service when
PUBNUB_SUBSCRIBE_KEY and PUBNUB_USER_ID are set.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
from collections import Counter
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

import presence_async
from presence_async import PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator

ROOM = "lobby"
RELOAD_S = 2.0
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
async def gateway(config: PresenceConfig, port: int = 0) -> AsyncIterator[str]:
    """Serve websockets; yields their URL."""
    async with PresenceClient(config) as client:
        app = web.Application()
        app[PRESENCE] = client
        app.router.add_get("/ws", tab)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            host, bound = runner.addresses[0][:2]
            yield f"ws://{host}:{bound}/ws"
        finally:
            await runner.cleanup()


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


async def serve(port: int) -> None:
    """Serve until a signal stops the program; all users leave then."""
    async with contextlib.AsyncExitStack() as stack:
        if os.environ.get("PUBNUB_SUBSCRIBE_KEY"):
            config = PresenceConfig.from_env()
        else:
            emulator = await stack.enter_async_context(PresenceEmulator())
            config = emulator.config(user_id="gateway")
        url = await stack.enter_async_context(gateway(config, port))
        print(f"{url}?user=alice", flush=True)
        await asyncio.Event().wait()


async def demonstrate(browsers: int) -> None:
    """Serve simulated browsers."""
    # Both ends of each websocket are in this process.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with (
        PresenceEmulator() as emulator,
        gateway(emulator.config(user_id="gateway")) as url,
    ):
        await simulate(emulator, url, browsers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Presence for websockets.")
    parser.add_argument("--serve", action="store_true", help="until a signal comes")
    parser.add_argument("--port", type=int, default=8080, help="0: a free one")
    parser.add_argument("--browsers", type=int, default=1000, help="without --serve")
    options = parser.parse_args()
    presence_async.run(
        serve(options.port) if options.serve else demonstrate(options.browsers)
    )
