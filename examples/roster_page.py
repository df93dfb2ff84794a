"""A web page that shows who is in a room, live, through server-sent events.

    python examples/roster_page.py              # http://127.0.0.1:8080/, with visitors
    python examples/roster_page.py --port 9000

All browsers share one roster. Each has a reader of its own, so a slow browser does not
delay the others, and one that was away gets the whole list again. Runs against a local
emulator, or against the real service when PUBNUB_SUBSCRIBE_KEY and PUBNUB_USER_ID are
set.

Users choose their ids, which may contain markup. So an id is sent as JSON, in which
line breaks are escaped, and the page sets it as text, never as HTML. The policy in the
header forbids all scripts but the page's own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

import presence_async
from presence_async import PresenceClient, PresenceConfig, Roster, RosterChanges
from presence_async.emulator import PresenceEmulator

ROOM = "lobby"
ALIVE_S = 15.0
ROSTER = web.AppKey("ROSTER", Roster)

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Who is here</title>
<h1>Who is here</h1>
<p id="count"></p>
<ul id="users"></ul>
<script src="page.js"></script>
"""

SCRIPT = """
const users = new Map();
function show() {
  document.getElementById("count").textContent = `${users.size} here`;
  document.getElementById("users").replaceChildren(...[...users].map(([id, state]) => {
    const item = document.createElement("li");
    const detail = state && Object.keys(state).length ? JSON.stringify(state) : "";
    item.textContent = `${id} ${detail}`;
    return item;
  }));
}
new EventSource("events").onmessage = ({data}) => {
  const event = JSON.parse(data);
  if (event.action === "snapshot") {
    users.clear();
    for (const {user_id, state} of event.occupants) users.set(user_id, state);
  } else if (event.action === "leave" || event.action === "timeout") {
    users.delete(event.user_id);
  } else if (event.user_id !== undefined) {
    users.set(event.user_id, event.state);
  }
  show();
};
"""

SAFE: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self';"
    " connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
}


async def page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html", headers=SAFE)


async def script(_: web.Request) -> web.Response:
    return web.Response(text=SCRIPT, content_type="text/javascript", headers=SAFE)


async def events(request: web.Request) -> web.StreamResponse:
    """Send a snapshot, then each change, for as long as the browser listens."""
    response = web.StreamResponse(headers={**SAFE, "Cache-Control": "no-store"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    changes = request.app[ROSTER].changes()
    with contextlib.suppress(ConnectionError):
        while (message := await next_message(changes)) is not None:
            await response.write(message)
    return response


async def next_message(changes: RosterChanges) -> bytes | None:
    """Return the next event as a message, or a comment to keep the connection alive."""
    try:
        async with asyncio.timeout(ALIVE_S):
            event = await anext(changes, None)
    except TimeoutError:
        return b": still here\n\n"
    return None if event is None else b"data: %s\n\n" % as_json(event.to_dict())


def as_json(value: object) -> bytes:
    """Return JSON in ASCII and without ``<``, which is harmless in any context."""
    return json.dumps(value).replace("<", "\\u003c").encode()


@contextlib.asynccontextmanager
async def website(config: PresenceConfig, port: int = 0) -> AsyncIterator[str]:
    """Serve the page; yields its URL."""
    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/page.js", script)
    app.router.add_get("/events", events)
    runner = web.AppRunner(app, shutdown_timeout=1)
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(PresenceClient(config))
        roster = await stack.enter_async_context(client.roster(ROOM))
        app[ROSTER] = roster
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        # Pushed later, so called earlier: it ends the streams that browsers wait for.
        stack.push_async_callback(roster.close)
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        yield f"http://{host}:{bound}/"


async def visit(config: PresenceConfig) -> None:
    """Let users come and go, so that the page has something to show."""
    async with PresenceClient(config) as client:
        for number in range(1_000_000):
            user_id = f"visitor-{number % 7}"
            if number % 14 < len("visitor"):
                await client.heartbeat(ROOM, user_id=user_id, state={"n": number})
            else:
                await client.leave(ROOM, user_id=user_id)
            await asyncio.sleep(1)


async def serve(port: int) -> None:
    async with contextlib.AsyncExitStack() as stack:
        visits = None
        if os.environ.get("PUBNUB_SUBSCRIBE_KEY"):
            config = PresenceConfig.from_env()
        else:
            emulator = await stack.enter_async_context(PresenceEmulator())
            config = emulator.config(user_id="page")
            visits = asyncio.create_task(visit(config))
            stack.callback(visits.cancel)
        print(await stack.enter_async_context(website(config, port)), flush=True)
        await asyncio.Event().wait()  # a signal cancels it


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8080)
    presence_async.run(serve(parser.parse_args().port))
