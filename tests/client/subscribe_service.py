"""A subscribe service that does what a test tells it, over raw sockets.

The emulator is the honest service; this one answers with whatever is wrong, restarts
with other timetokens, and knows at any moment which polls are held.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import attrs

from presence_async import EventStream, PresenceConfig, PresenceEvent, UserEvent

UNITS_PER_S = 10_000_000
_QUEUE = 100
_BEGIN = 17_000_000_000_000_000


@attrs.define(kw_only=True, eq=False)
class Asked:
    """One request that arrived."""

    channels: tuple[str, ...]
    groups: tuple[str, ...]
    tt: int
    params: dict[str, str]
    at_s: float
    ended_at_s: float | None = None

    @property
    def is_handshake(self) -> bool:
        return self.tt == 0

    @property
    def names(self) -> set[str]:
        return {*self.channels, *self.groups}


@attrs.frozen
class Say:
    """An answer of a test's own; ``None`` as the body: cut the connection."""

    body: bytes | None = b""
    status: int = 200
    headers: tuple[str, ...] = ()


HANG = Say(None, status=0)
Script = Callable[[Asked], Say | None]


@attrs.frozen
class Published:
    channel: str
    tt: int
    payload: dict[str, Any]


class SubscribeService:
    """``async with SubscribeService() as service``.

    Attributes:
        asked: Every request.
        script: Asked first how to answer; ``None``: as the service would.
        offset: Added to its timetokens.
        groups: Members of channel groups.
        idle_s: How long a poll without news is held.
        idle_end: How it ends then, such as by a balancer; without a body: cut.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: Script = lambda asked: None  # noqa: ARG005  # nothing special
        self.offset = 0
        self.groups: dict[str, set[str]] = {}
        self.queue: list[Published] = []
        self.idle_s = math.inf
        self.idle_end = Say(None)
        self._last_tt = 0
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, on the same port again after ``stop``."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, limit=2**17
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    def config(self, **fields: Any) -> PresenceConfig:
        """A config that points here."""
        origin = f"http://127.0.0.1:{self._port}"
        return PresenceConfig(
            **{"subscribe_key": "demo", "user_id": "eve", "origin": origin} | fields
        )

    def now_tt(self) -> int:
        """The timetoken of now, never the same twice."""
        now_s = asyncio.get_running_loop().time()
        wished = _BEGIN + int(now_s * UNITS_PER_S)
        self._last_tt = max(wished, self._last_tt + 1)
        return self._last_tt + self.offset

    @property
    def held(self) -> list[Asked]:
        """The polls that wait for an answer."""
        return [x for x in self.asked if x.ended_at_s is None]

    @property
    def polls(self) -> list[Asked]:
        return [x for x in self.asked if not x.is_handshake]

    @property
    def handshakes(self) -> list[Asked]:
        return [x for x in self.asked if x.is_handshake]

    def publish(self, channel: str, user: str = "bob", action: str = "join") -> None:
        """Publish one event."""
        tt = self.now_tt()
        stamp_s = tt // UNITS_PER_S
        payload = {
            "action": action,
            "uuid": user,
            "timestamp": stamp_s,
            "occupancy": 1,
        }
        self.queue.append(Published(f"{channel}-pnpres", tt, payload))
        self._news.set()
        self._news = asyncio.Event()

    # Serving.

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked = self._heard(head)
                self.asked.append(asked)
                gone = asyncio.ensure_future(reader.read(1))
                try:
                    reply = await self._until_gone(asked, gone)
                finally:
                    asked.ended_at_s = asyncio.get_running_loop().time()
                if reply is None:
                    return
                gone.cancel()
                await asyncio.wait([gone])
                writer.write(reply)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _until_gone(
        self, asked: Asked, gone: asyncio.Future[bytes]
    ) -> bytes | None:
        answer = asyncio.ensure_future(self._answer(asked))
        both: list[asyncio.Future[Any]] = [answer, gone]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        await asyncio.wait(both)
        return None

    async def _answer(self, asked: Asked) -> bytes | None:
        said = self.script(asked)
        if said is HANG:
            await asyncio.Event().wait()
        if said is not None:
            return None if said.body is None else _http(said)
        if asked.is_handshake:
            return _http(self.delivery(asked, self.now_tt()))
        while not (found := self._after(asked)):
            if not await self._has_news(asked.at_s + self.idle_s):
                end = self.idle_end
                return None if end.body is None else _http(end)
        return _http(self.delivery(asked, max(x.tt for x, _ in found), found))

    async def _has_news(self, end_s: float) -> bool:
        try:
            async with asyncio.timeout_at(None if end_s == math.inf else end_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _after(self, asked: Asked) -> list[tuple[Published, str]]:
        found = []
        for message in self.queue:
            if message.tt > asked.tt:
                found += [(message, match) for match in self._matches(asked, message)]
        return found[-_QUEUE:]

    def _matches(self, asked: Asked, message: Published) -> list[str]:
        matches = [name for name in asked.channels if name == message.channel]
        for name in asked.channels:
            prefix = name.removesuffix("*-pnpres")
            if prefix != name and message.channel.startswith(prefix):
                matches.append(name.removesuffix("-pnpres"))
        plain = message.channel.removesuffix("-pnpres")
        return matches + [
            name
            for name in asked.groups
            if plain in self.groups.get(name.removesuffix("-pnpres"), ())
        ]

    @staticmethod
    def delivery(
        asked: Asked, tt: int, found: list[tuple[Published, str]] | None = None
    ) -> Say:
        """The usual body."""
        is_alone = len(asked.names) == 1 and "*" not in "".join(asked.names)
        messages = []
        for message, match in found or []:
            said = {
                "a": "2",
                "f": 0,
                "k": "demo",
                "c": message.channel,
                "p": {"t": str(message.tt), "r": 1},
                "d": message.payload,
            }
            messages.append(
                said if is_alone and not asked.groups else {**said, "b": match}
            )
        body = {"t": {"t": str(tt), "r": 1}, "m": messages}
        return Say(json.dumps(body).encode())

    @staticmethod
    def _heard(head: bytes) -> Asked:
        target = head.split(b" ")[1].decode()
        parts = urlsplit(target)
        params = {k: v[0] for k, v in parse_qs(parts.query).items()}
        listed = parts.path.split("/")[4] if "/subscribe/" in parts.path else ""
        groups = params.get("channel-group", "")
        return Asked(
            channels=tuple(unquote(x) for x in listed.split(",") if x),
            groups=tuple(x for x in groups.split(",") if x),
            tt=int(params.get("tt", "0")),
            params=params,
            at_s=asyncio.get_running_loop().time(),
        )


def _http(said: Say) -> bytes:
    body = said.body or b""
    head = [
        f"HTTP/1.1 {said.status} Said",
        "Content-Type: text/javascript",
        f"Content-Length: {len(body)}",
        *said.headers,
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


async def read(stream: EventStream, number: int) -> list[PresenceEvent]:
    """Read so many events, for ten minutes at most."""
    async with asyncio.timeout(600):
        return [await anext(stream) for _ in range(number)]


async def read_all(stream: EventStream) -> list[PresenceEvent]:
    """Read what has arrived."""
    events: list[PresenceEvent] = []
    while True:
        try:
            async with asyncio.timeout(0.001):
                events.append(await anext(stream))
        except TimeoutError:
            return events


def users(events: Iterable[PresenceEvent]) -> list[str]:
    """Who the events are about; of a gap its reason."""
    return [
        event.user_id if isinstance(event, UserEvent) else getattr(event, "reason", "")
        for event in events
    ]
