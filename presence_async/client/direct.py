"""GETs over aiohttp's connector and parser, without ``ClientSession`` around them.

Session, request and response objects are more than half of what a small request costs,
and redirects, cookies, proxies or traces have no use here. The connector and its
protocol are only partly documented, so ``is_possible`` checks first that they are as
this module knows them. If they are not, or if something has replaced the session's
``_request`` as mocks do, requests go through the session.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Mapping
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser
from yarl import URL

from .direct_connection import DirectAnswer, DirectConnection, OnEnd
from .pool import is_reused, is_silent

__all__ = ["DirectGet"]

_REST_S: Final = 1.0


class DirectGet:
    """Sends GET requests to one origin.

    Connections in use stay here from one request to the next: the connector's own pool
    costs a fifth of a small request. Those that rest go back to the connector, which
    closes them in time.

    Args:
        connector: Makes the connections.
        base_url: Scheme, host and port of the service.
        headers: Sent with each request.
        timeout: Limits how long connecting may take.
        max_body_bytes: How much of a body is read.
    """

    def __init__(
        self,
        connector: aiohttp.TCPConnector,
        base_url: str,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
        *,
        max_body_bytes: int,
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        self._max_body_bytes = max_body_bytes
        self._loop = asyncio.get_running_loop()
        self._idle: list[DirectConnection] = []
        self._look: asyncio.TimerHandle | None = None
        # What the connector asks where to connect to; it is never sent.
        self._destination = aiohttp.ClientRequest("GET", URL(base_url))
        host = self._destination.headers["Host"]
        lines = [f"{name}: {value}" for name, value in headers.items()]
        self._after_target = "\r\n".join([" HTTP/1.1", f"Host: {host}", *lines, "", ""])

    @staticmethod
    def is_possible() -> bool:
        """Return True if this aiohttp has the internals used here."""
        parser = inspect.signature(ResponseHandler.set_response_params).parameters
        connect = inspect.signature(aiohttp.TCPConnector.connect).parameters
        return (
            {"read_until_eof", "auto_decompress"} <= parser.keys()
            and {"req", "traces", "timeout"} <= connect.keys()
            and hasattr(HttpResponseParser, "feed_data")
            and hasattr(HttpResponseParser, "feed_eof")
        )

    @staticmethod
    def is_intercepted() -> bool:
        """Return True if something replaces the session's requests, as mocks do."""
        return aiohttp.ClientSession._request is not _GENUINE_REQUEST  # noqa: SLF001

    async def send(self, target: str) -> DirectAnswer:
        """Send one request and wait for its answer.

        Args:
            target: Path and query, percent-escaped.

        Raises:
            aiohttp.ClientError: What aiohttp itself would raise.
            aiohttp.http_exceptions.HttpProcessingError: The answer is not HTTP.

        Cancellation: closes the connection.
        """
        request = self._encoded(target)
        connection = self.take() or await self._connected()
        is_reused.set(connection.was_used)
        waiter: asyncio.Future[DirectAnswer | Exception] = self._loop.create_future()
        on_end = functools.partial(_hand_over, waiter)
        try:
            connection.ask(request, on_end)
            answer = await waiter
        except BaseException:
            connection.give_up(on_end)
            raise
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, connection: DirectConnection, target: str, on_end: OnEnd) -> None:
        """Send one request on a connection; ``on_end`` is called with what comes."""
        connection.ask(self._encoded(target), on_end)

    def _encoded(self, target: str) -> bytes:
        return f"GET {target}{self._after_target}".encode("ascii")

    async def _connected(self) -> DirectConnection:
        """Borrow a connection from the connector; skip those that are spoiled."""
        while True:
            is_reused.set(True)  # Until the connector says that it made one.
            try:
                lent = await self._connector.connect(
                    self._destination, traces=[], timeout=self._timeout
                )
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError from error
            handler, was_used = lent.protocol, is_reused.get()
            if handler is not None and was_used and not is_silent(handler):
                lent.close()
                continue
            try:
                connection = DirectConnection(
                    lent,
                    self._loop,
                    max_body_bytes=self._max_body_bytes,
                    on_free=self.keep,
                )
            except BaseException:
                lent.close()
                raise
            connection.was_used = was_used
            return connection

    # Idle connections.

    def drop_idle(self) -> None:
        """Cut idle connections, which may have died unseen."""
        while self._idle:
            self._idle.pop().cut()

    def close(self) -> None:
        """Keep no connection and no timer."""
        if self._look is not None:
            self._look.cancel()
            self._look = None
        self.drop_idle()

    def take(self) -> DirectConnection | None:
        """Return an idle connection on which nothing has arrived."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_silent:
                return connection
            connection.cut()
        return None

    def keep(self, connection: DirectConnection) -> None:
        """Hold an idle connection ready for the next request."""
        connection.is_resting = False
        self._idle.append(connection)
        if self._look is None:
            self._look = self._loop.call_later(_REST_S, self._give_back)

    def _give_back(self) -> None:
        """Return what has not been used since the last look to the connector."""
        self._look = None
        resting = [connection for connection in self._idle if connection.is_resting]
        self._idle = [x for x in self._idle if not x.is_resting]
        for connection in resting:
            if connection.is_silent:
                connection.give_back()
            else:
                connection.cut()
        for connection in self._idle:
            connection.is_resting = True
        if self._idle:
            self._look = self._loop.call_later(_REST_S, self._give_back)


def _hand_over(
    waiter: asyncio.Future[DirectAnswer | Exception], answer: DirectAnswer | Exception
) -> None:
    # The task that waits may have been cancelled and not run since.
    if not waiter.done():
        waiter.set_result(answer)


def _genuine_request() -> object:
    """Return the session's ``_request`` if it is aiohttp's own."""
    request = aiohttp.ClientSession._request  # noqa: SLF001
    code = getattr(request, "__code__", None)
    is_genuine = code is not None and code.co_filename == aiohttp.client.__file__
    return request if is_genuine else None


_GENUINE_REQUEST = _genuine_request()
