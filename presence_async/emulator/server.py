"""PresenceEmulator: the service behind real sockets, on loopback."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..protocol import envelope
from ..protocol.exchange import HttpReply, HttpRequest
from ..protocol.identity import loggable
from ..protocol.json_codec import Json
from .faults import Fault
from .journal import Journal
from .occupancy import PresenceEvent
from .service import Exchange, Service

if TYPE_CHECKING:
    from ..client.config import PresenceConfig

__all__ = ["PresenceEmulator"]

logger = logging.getLogger("presence_async.emulator")

_DEFAULT_KEY = "demo"
_MAX_LINE_BYTES = 65536
# aiohttp's server closes idle connections by the loop's clock, which jumps by hours in
# virtual time, while its client forgets them by the system's.
_KEEPALIVE_S = 10_000_000.0


class PresenceEmulator:
    """A presence service for tests and demos: ``async with PresenceEmulator() as e``.

    Behaves as recorded traffic of PubNub's service shows. Each subscribe key is a world
    of its own; methods that take ``subscribe_key`` mean the emulator's own by default.
    Time is the event loop's, so that hours pass in milliseconds on a virtual-time loop.

    Args:
        host: The address to listen on.
        port: The port; 0 takes a free one.
        subscribe_key: The emulator's own key, for ``config`` and the methods.
        publish_key: Part of signatures.
        secret_key: Verify signatures made with it; ``None``: take every request.
        min_presence_timeout_s: Raise shorter presence timeouts to this; real keys
            show no minimum.
        here_now_cache_s: Answer the same here-now URL from a cache for so long, as
            the real edge does for about 3 s.
        heartbeat_cache_s: The same for heartbeats, as recorded (``Age: 3``).
        journal_size: How many requests ``requests`` keeps.
        clock: Unix time in seconds, for ``/time/0``.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        subscribe_key: str = _DEFAULT_KEY,
        publish_key: str = _DEFAULT_KEY,
        secret_key: str | None = None,
        min_presence_timeout_s: float = 0,
        here_now_cache_s: float = 0,
        heartbeat_cache_s: float = 0,
        journal_size: int = 100_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._host = host
        self._port = port
        self._subscribe_key = subscribe_key
        self._publish_key = publish_key
        self._secret_key = secret_key
        self._service = Service(
            journal_size=journal_size,
            secret_key=secret_key,
            publish_key=publish_key,
            min_presence_timeout_s=min_presence_timeout_s,
            here_now_cache_s=here_now_cache_s,
            heartbeat_cache_s=heartbeat_cache_s,
            clock=clock,
        )
        self._runner: web.ServerRunner | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = math.inf

    # Lifecycle.

    async def start(self) -> Self:
        """Listen; a second call does nothing.

        Raises:
            OSError: The address is taken or not ours.
        """
        if self._runner is not None:
            return self
        self._is_closing = asyncio.Event()
        server = web.Server(
            self._serve,
            access_log=None,
            logger=_MalformedIsNoError(logger, {}),
            keepalive_timeout=_KEEPALIVE_S,
            max_line_size=_MAX_LINE_BYTES,
            lingering_time=0,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        try:
            await site.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Stop listening and cut every connection; stalled requests end too."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._is_closing.set()
        self._disarm()
        await runner.cleanup()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # For clients.

    @property
    def origin(self) -> str:
        """Host and port, such as ``"127.0.0.1:40123"``; plain HTTP.

        Raises:
            RuntimeError: It is not listening.
        """
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the emulator is not listening; await start() first")
        host, port = self._runner.addresses[0][:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def config(self, **overrides: Any) -> PresenceConfig:  # noqa: ANN401  # as the class
        """Return a config that points here; overrides are ``PresenceConfig``'s."""
        from ..client.config import PresenceConfig  # noqa: PLC0415  # only when asked

        settings: dict[str, Any] = {
            "subscribe_key": self._subscribe_key,
            "publish_key": self._publish_key,
            "secret_key": self._secret_key,
            "user_id": "tester",
            "origin": self.origin,
            "secure": False,
        }
        return PresenceConfig(**{**settings, **overrides})

    # For tests.

    @property
    def requests(self) -> Journal:
        """What arrived, newest last; ``.total`` counts all."""
        return self._service.journal

    def occupants(
        self, channel: str, subscribe_key: str | None = None
    ) -> Mapping[str, Mapping[str, Json]]:
        """Return the truth: the state of each user present on a channel."""
        keyset = self._service.keyset(subscribe_key or self._subscribe_key)
        keyset.expire(self._now_s())
        return keyset.occupancy.occupants(channel)

    def events(
        self, channel: str, subscribe_key: str | None = None
    ) -> tuple[PresenceEvent, ...]:
        """Return what happened on a channel, oldest first; the newest 10,000 in all."""
        keyset = self._service.keyset(subscribe_key or self._subscribe_key)
        keyset.expire(self._now_s())
        return tuple(event for event in keyset.events if event.channel == channel)

    def inject(self, fault: Fault) -> None:
        """Let something go wrong from now on; the last one injected is asked first."""
        self._service.faults.inject(fault, now_s=self._now_s())

    def reset(self, subscribe_key: str | None = None) -> None:
        """Forget presence, groups and events of a key, all faults and the journal."""
        self._service.forget(subscribe_key or self._subscribe_key)
        self._service.faults.clear()
        self._service.journal.clear()

    # Serving.

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if request.method != "GET":
            return _response(envelope.error_reply(405, "Method Not Allowed"))
        heard = HttpRequest(path=path, query=query)
        exchange = self._service.receive(heard, now_s=self._now_s())
        response = await self._answer(request, exchange)
        if logger.isEnabledFor(logging.INFO):
            logger.info("%d %s", response.status, loggable(heard))
        return response

    async def _answer(
        self, request: web.BaseRequest, exchange: Exchange
    ) -> web.StreamResponse:
        fault = exchange.fault
        if fault is not None and fault.at == "before_effect":
            await self._pause(fault.delay_s)
        if self._is_closing.is_set():
            return _cut(request)
        reply = exchange.reply(now_s=self._now_s())
        self._arm()
        if fault is not None and fault.at == "after_effect":
            await self._pause(fault.delay_s)
        if (fault is not None and fault.cut) or self._is_closing.is_set():
            return _cut(request)
        return _response(reply)

    async def _pause(self, delay_s: float) -> None:
        """Wait, but not longer than the emulator lives."""
        if delay_s <= 0:
            return
        try:
            async with asyncio.timeout(None if delay_s == math.inf else delay_s):
                await self._is_closing.wait()
        except TimeoutError:
            return

    # Expiry.

    def _arm(self) -> None:
        due_s = self._service.next_deadline_s()
        if due_s < self._timer_due_s and not self._is_closing.is_set():
            self._disarm()
            loop = asyncio.get_running_loop()
            self._timer_due_s = due_s
            self._timer = loop.call_at(due_s, self._expire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due_s = None, math.inf

    def _expire(self) -> None:
        due_s = self._timer_due_s
        self._disarm()
        self._service.expire(max(due_s, self._now_s()))
        self._arm()

    def _now_s(self) -> float:
        return asyncio.get_running_loop().time()


class _MalformedIsNoError(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp's server logs with: bytes that are not HTTP are no error of ours."""

    def exception(self, msg: object, *args: object, **options: Any) -> None:  # noqa: ANN401  # as logging's own
        """Log a fault of ours as an error, one of the sender's at DEBUG."""
        error = options.get("exc_info")
        if isinstance(error, HttpProcessingError):
            self.logger.debug("malformed request: %s", error.message)
        else:
            self.logger.error(msg, *args, **options)


def _cut(request: web.BaseRequest) -> web.Response:
    """End the connection without an answer; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)


def _response(reply: HttpReply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
