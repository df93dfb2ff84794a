"""The service behind HTTP on one address: sockets and tasks, no rules."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Hashable

import attrs
import msgspec
from aiohttp import web

from ..protocol.exchange import HttpReply, HttpRequest
from ..protocol.identity import loggable
from .control import MAX_BODY_BYTES, PREFIX, Control, ControlRequest, is_control
from .expiry_timer import ExpiryTimer
from .held_polls import HeldPolls
from .http_server import http_server
from .options import Options
from .pending_poll import PendingPoll
from .pending_reply import PendingReply
from .request_body import read_body
from .request_guard import MAX_MESSAGE_BYTES
from .request_target import RequestTarget
from .router import takes_post
from .service import Service

__all__ = ["Server"]

logger: logging.Logger = logging.getLogger("presence_async.emulator")


class Server:
    """Serves a ``Service``, and times its users out when they are due.

    Args:
        options: How the service behaves.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        subscribe_key: The default key of the control path.
        clock: Returns Unix time in seconds; ``None``: the event loop's ``wall_time`` if
            it has one, else the system's.
    """

    def __init__(
        self,
        options: Options,
        *,
        host: str,
        port: int,
        subscribe_key: str,
        clock: Callable[[], float] | None,
    ) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self.service: Service = Service(options, clock=self._unix_s)
        self._subscribe_key = subscribe_key
        self._control_token = options.control_token
        self._polls = HeldPolls(options.idle_poll_s)
        self._timer = ExpiryTimer(self.service)
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        """Listen; a second call does nothing.

        Raises:
            OSError: The address is taken, or is not one of this machine.
        """
        if self._runner is not None:
            return
        self._is_closing = asyncio.Event()
        self._control = Control(
            self.service,
            self._subscribe_key,
            token=self._control_token,
            started_s=self.now_s() - self.service.jumped_s,
        )
        self._timer.start()
        server = http_server(self._serve, on_lost=self._lost, logger=logger)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, backlog=1024)
        try:
            await site.start()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop listening and cut every connection; stalled requests end too."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        self._is_closing.set()
        self._polls.cut_all()
        self._timer.stop()
        await runner.cleanup()

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port that it listens on; ``None`` if it does not listen."""
        if self._runner is None or not self._runner.addresses:
            return None
        host, port = self._runner.addresses[0][:2]
        return host, port

    def now_s(self) -> float:
        """Return the loop's time and what it has jumped; the service takes it."""
        return asyncio.get_running_loop().time() + self.service.jumped_s

    def arm(self) -> None:
        """Apply in time what has become due sooner, as by a kick."""
        self._timer.arm()

    def advance(self, seconds: float) -> None:
        """Jump ahead: what would be due within that time is due now."""
        self.service.advance(seconds, now_s=self.now_s())
        self._timer.reset()

    @property
    def open_polls(self) -> int:
        """The number of long polls that are held."""
        return len(self._polls)

    def _unix_s(self) -> float:
        if self._clock is not None:
            return self._clock()
        loop = asyncio.get_running_loop()
        read: Callable[[], float] = getattr(loop, "wall_time", time.time)
        return read()

    # Serving.

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        target = RequestTarget.parse(request.raw_path)
        http = HttpRequest(path=target.path, query=target.query)
        reply: HttpReply | None
        if is_control(request.method, target.path):
            reply = await self._controlled(request, http, target.host)
        else:
            if request.method == "POST" and takes_post(target.path):
                body = await read_body(request, most_bytes=MAX_MESSAGE_BYTES)
                http = msgspec.structs.replace(http, body=body)
            pending = self.service.receive(
                http, method=request.method, now_s=self.now_s()
            )
            reply = await self._answered(request, pending)
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s %s", "cut" if reply is None else reply.status, _shown(http))
        return _response(request, reply)

    async def _controlled(
        self, request: web.BaseRequest, http: HttpRequest, target_host: str | None
    ) -> HttpReply:
        # Repeated headers are joined, so that every ``Host`` is checked.
        headers = {
            name.lower(): ", ".join(request.headers.getall(name))
            for name in request.headers
        }
        asked = ControlRequest(
            method=request.method,
            http=http,
            target_host=target_host,
            headers=headers,
            peer=request.remote or "",
        )
        if self._control.refusal(asked) is None:
            body = await read_body(request, most_bytes=MAX_BODY_BYTES)
            asked = attrs.evolve(asked, body=body)
        reply = self._control.answer(asked, now_s=self.now_s())
        self._timer.reset()  # a user may have been kicked, or the time have jumped
        return reply

    async def _answered(
        self, request: web.BaseRequest, pending: PendingReply
    ) -> HttpReply | None:
        """Return as ``_answer``, and record the status in the journal in any case."""
        reply = None
        try:
            reply = await self._answer(request, pending)
        finally:
            # Without a transport the client has hung up, and gets no answer.
            reply = None if request.transport is None else reply
            pending.finish(reply)
        return reply

    async def _answer(
        self, request: web.BaseRequest, pending: PendingReply
    ) -> HttpReply | None:
        """Return the reply to a request; ``None``: cut the connection instead."""
        fault = pending.fault
        if fault is not None and fault.at == "before_effect":
            await self._pause(fault.delay_s, request)
            if fault.delay_s == math.inf:
                return None
        if self._is_closing.is_set():
            return None
        connection = None if request.transport is None else request.protocol
        answer = self.service.reply(pending, now_s=self.now_s(), connection=connection)
        self._timer.arm()
        if isinstance(answer, PendingPoll):
            reply = await self._held(request, answer)
        else:
            reply = answer
        if fault is not None and fault.at == "after_effect":
            await self._pause(fault.delay_s, request)
        is_cut = fault is not None and fault.cut
        return None if is_cut or self._is_closing.is_set() else reply

    async def _held(
        self, request: web.BaseRequest, poll: PendingPoll
    ) -> HttpReply | None:
        """Return the reply to a poll once it has messages; ``None``: cut instead."""
        end = "cut"
        try:
            # A client that hung up during a fault's delay never reports its end.
            if request.transport is not None:
                end = await self._polls.hold(poll, request.protocol)
        finally:
            if end == "cut":
                self.service.drop(poll)
        if end == "cut":
            return None
        reply = self.service.answer(poll, now_s=self.now_s())
        self._timer.arm()
        return reply

    def _lost(self, connection: Hashable) -> None:
        self._polls.drop(connection)
        if not self._is_closing.is_set():
            self.service.disconnect(connection, now_s=self.now_s())
            self._timer.arm()

    async def _pause(self, delay_s: float, request: web.BaseRequest) -> None:
        """Wait for a fault's delay, or until the emulator closes.

        A delay without end also ends when the client hangs up.
        """
        if delay_s == math.inf:
            if request.transport is not None:
                await self._polls.stall(request.protocol)
        elif delay_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._is_closing.wait()


def _shown(http: HttpRequest) -> str:
    """Return a target for the log, without secrets and control characters."""
    # Queries of the control path contain tokens.
    shown = http.path if http.path.startswith(PREFIX) else loggable(http)
    return ascii(shown)[1:-1]


def _response(request: web.BaseRequest, reply: HttpReply | None) -> web.Response:
    """Return the response; without a reply it reaches nobody, but aiohttp wants one."""
    if reply is not None:
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
