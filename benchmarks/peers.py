"""The same calls by us, bare aiohttp, a floor by hand, and the official SDK.

``bare`` is ``session.get`` of a default session, and msgspec. ``floor`` is an asyncio
protocol that does no more than has to be done. The SDK has one user per instance, so
its ``uuid`` is swapped before each heartbeat; sniffio has to be installed, without
which it is far slower.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import msgspec
from measuring import Call

from presence_async import PresenceClient, PresenceConfig

try:
    import sniffio  # noqa: F401  # without it the SDK is far slower
    from pubnub.endpoints.presence.heartbeat import Heartbeat
    from pubnub.pnconfiguration import PNConfiguration
    from pubnub.pubnub_asyncio import PubNubAsyncio
    from pubnub.request_handlers.async_aiohttp import AsyncAiohttpRequestHandler
except ModuleNotFoundError as missing:
    print(f"{missing.name} is missing: pip install 'presence-async[dev]'")
    sys.exit(2)

PATHS = {
    "where now": "/v2/presence/sub-key/demo/uuid/USER?uuid=me&pnsdk=bare%2F1.0",
    "heartbeat": "/v2/presence/sub-key/demo/channel/lobby/heartbeat"
    "?heartbeat=300&uuid=USER&pnsdk=bare%2F1.0",
    "here now": "/v2/presence/sub-key/demo/channel/lobby"
    "?limit=1000&uuid=USER&pnsdk=bare%2F1.0",
}


class WhereNowPayload(msgspec.Struct):
    channels: list[str]


class WhereNowReply(msgspec.Struct):
    payload: WhereNowPayload


class HereNowReply(msgspec.Struct):
    occupancy: int
    uuids: list[str]


class Occupant(msgspec.Struct):
    uuid: str
    state: dict[str, Any] | None = None


class StatesReply(msgspec.Struct):
    occupancy: int
    uuids: list[Occupant]


class HeartbeatReply(msgspec.Struct):
    status: int


REPLIES: dict[str, type[msgspec.Struct]] = {
    "where now": WhereNowReply,
    "heartbeat": HeartbeatReply,
    "here now": HereNowReply,
}


def users() -> Iterator[str]:
    """Rotate a thousand ids, or caches of URLs would flatter everybody."""
    return itertools.cycle([f"user-{n:04}" for n in range(1000)])


def config(port: int, **settings: Any) -> PresenceConfig:  # noqa: ANN401  # any setting
    return PresenceConfig(
        subscribe_key="demo",
        user_id="me",
        origin=f"http://127.0.0.1:{port}",
        **settings,
    )


def our_calls(client: PresenceClient) -> dict[str, Call]:
    ids = users()
    return {
        "where now": lambda: client.where_now(next(ids)),
        "heartbeat": lambda: client.heartbeat("lobby", user_id=next(ids)),
        "here now": lambda: client.here_now("lobby"),
    }


def bare_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def bare_call(
    session: aiohttp.ClientSession, port: int, path: str, reply: type[msgspec.Struct]
) -> Call:
    decoder = msgspec.json.Decoder(reply)
    url = f"http://127.0.0.1:{port}{path}"
    ids = users()

    async def send() -> object:
        async with session.get(url.replace("USER", next(ids))) as response:
            return decoder.decode(await response.read())

    return send


def bare_calls(session: aiohttp.ClientSession, port: int) -> dict[str, Call]:
    return {
        name: bare_call(session, port, path, REPLIES[name])
        for name, path in PATHS.items()
    }


class Wire(asyncio.Protocol):
    """One connection of the floor, one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""
        self.answer: asyncio.Future[bytes]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n") + 4
        at = self.buffer.find(b"Content-Length: ") + 16
        length = int(self.buffer[at : self.buffer.index(b"\r", at)])
        if len(self.buffer) >= head_end + length:
            assert self.buffer.startswith(b"HTTP/1.1 200")
            self.answer.set_result(self.buffer[head_end:])
            self.buffer = b""


class Floor:
    """Calls over connections that are used again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: list[Wire] = []

    def calls(self) -> dict[str, Call]:
        return {name: self._call(name) for name in PATHS}

    def close(self) -> None:
        for wire in self.idle:
            wire.transport.close()

    def _call(self, name: str) -> Call:
        ids = users()
        decoder = msgspec.json.Decoder(REPLIES[name])
        request = f"GET {PATHS[name]} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

        async def send() -> object:
            loop = asyncio.get_running_loop()
            if self.idle:
                wire = self.idle.pop()
            else:
                _, wire = await loop.create_connection(Wire, "127.0.0.1", self.port)
            wire.answer = loop.create_future()
            wire.transport.write(request.replace("USER", next(ids)).encode())
            body = await wire.answer
            self.idle.append(wire)
            return decoder.decode(body)

        return send


def sdk(port: int, **options: Any) -> PubNubAsyncio:  # noqa: ANN401  # the SDK is untyped
    settings = PNConfiguration()
    settings.subscribe_key = settings.publish_key = "demo"
    settings.uuid = "me"
    settings.origin = f"127.0.0.1:{port}"
    settings.ssl = False
    return PubNubAsyncio(settings, **options)


def sdk_by_aiohttp(port: int) -> PubNubAsyncio:
    return sdk(port, custom_request_handler=AsyncAiohttpRequestHandler)


def sdk_calls(pubnub: PubNubAsyncio) -> dict[str, Call]:
    ids = users()

    async def checked(endpoint: Any) -> object:  # noqa: ANN401  # the SDK is untyped
        envelope = await endpoint.future()
        assert not envelope.status.is_error(), envelope.status.error_data
        return envelope.result

    def heartbeat() -> Any:  # noqa: ANN401  # the SDK is untyped
        pubnub.config.uuid = next(ids)
        return Heartbeat(pubnub).channels(["lobby"])

    return {
        "where now": lambda: checked(pubnub.where_now().uuid(next(ids))),
        "heartbeat": lambda: checked(heartbeat()),
        "here now": lambda: checked(pubnub.here_now().channels(["lobby"])),
    }
