"""FastAPI: users are present while a tab of theirs is open, on whichever worker.

    python -m uvicorn --app-dir examples fastapi_app:app    # one worker, an emulator

    presence-async emulate --port 8181 &                    # two workers, one service
    export PUBNUB_SUBSCRIBE_KEY=demo PUBNUB_USER_ID=web PUBNUB_ORIGIN=http://127.0.0.1:8181
    python -m uvicorn --app-dir examples fastapi_app:app --workers 2 \
        --timeout-graceful-shutdown 3

http://127.0.0.1:8000/?user=alice is a tab of alice. Uvicorn closes tabs, and then, when
the time is up, event streams, before it ends ``lifespan``; leases linger for longer.
"""

import json
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Response, WebSocket, WebSocketException
from fastapi.requests import HTTPConnection
from fastapi.responses import StreamingResponse
from fastapi.staticfiles import StaticFiles

from presence_async import InvalidArgumentError, PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator
from presence_async.register import register_at

ROOM, RELOAD_S, DEPLOY_S = "lobby", 5, 20
SHARED = os.environ.get("PRESENCE_REGISTER_URL", "presence.db")  # by all workers


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        if os.environ.get("PUBNUB_SUBSCRIBE_KEY"):
            config = PresenceConfig.from_env()
        elif multiprocessing.parent_process() is not None:
            raise RuntimeError("workers need one service for all; set PUBNUB_ORIGIN")
        else:
            emulator = await stack.enter_async_context(PresenceEmulator())
            config = emulator.config(user_id="web")
        client = await PresenceClient(config, register=register_at(SHARED)).start()
        stack.push_async_callback(client.close, hand_over_s=DEPLOY_S)
        app.state.client = client
        app.state.roster = await stack.enter_async_context(client.roster(ROOM))
        yield


def presence(connection: HTTPConnection) -> PresenceClient:
    return connection.app.state.client  # type: ignore[no-any-return]  # anything


app = FastAPI(lifespan=lifespan)
Presence = Annotated[PresenceClient, Depends(presence)]


@app.websocket("/ws")
async def tab(socket: WebSocket, user: str, client: Presence) -> None:
    await socket.accept()  # before that, a browser is not told why it is refused
    try:
        joining = client.join(ROOM, user_id=user, linger_s=RELOAD_S)
    except InvalidArgumentError:
        raise WebSocketException(1008, "not a user ID") from None
    async with joining:
        await socket.send_text("present")
        async for _ in socket.iter_text():
            pass


@app.get("/events")
async def events(connection: HTTPConnection) -> StreamingResponse:
    changes = connection.app.state.roster.changes()  # a snapshot first
    lines = (f"data: {json.dumps(x.to_dict())}\n\n" async for x in changes)
    return StreamingResponse(lines, media_type="text/event-stream")


@app.get("/ready")
async def ready(client: Presence, response: Response) -> dict[str, object]:
    """Answer 503 while users may time out: for readiness probes, not for liveness."""
    stats = client.heartbeats.stats()
    if client.is_closed or stats.at_risk or stats.lost:
        response.status_code = 503
    return stats.to_dict()


page = Path(__file__).with_name("fastapi_page")
app.mount("/", StaticFiles(directory=page, html=True))
