"""A GET over aiohttp's connector and parser, without ``ClientSession`` around it.

Session, request and response objects are more than half of what a small request costs,
and redirects, cookies, proxies or traces have no use here. The connector and the
protocol are only partly documented, so ``is_possible`` checks first that they are as
this module knows them. If they are not, or if something has replaced the session's
``_request`` as mocks do, requests go through the session.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from .pool import is_reused, is_silent

__all__ = ["DirectAnswer", "DirectGet"]

_FINAL_STATUS = 200
_SWITCHING_PROTOCOLS = 101


class DirectAnswer:
    """An answer whose head has arrived, with the part of aiohttp's response we use."""

    __slots__ = ("content", "headers", "release", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
        release: Callable[[], None],
    ) -> None:
        self.status: int = status
        self.headers: Mapping[str, str] = headers
        self.content: aiohttp.StreamReader = content
        self.release: Callable[[], None] = release


class DirectGet:
    """Sends GET requests to one origin.

    Args:
        connector: Makes the connections and keeps idle ones.
        base_url: Scheme, host and port of the service.
        headers: Sent with each request.
        timeout: Limits how long connecting may take.
    """

    def __init__(
        self,
        connector: aiohttp.TCPConnector,
        base_url: str,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> None:
        self._connector = connector
        self._timeout = timeout
        # What the connector asks where to connect to; it is never sent.
        self._destination = aiohttp.ClientRequest("GET", URL(base_url))
        host = self._destination.headers["Host"]
        lines = [f"{name}: {value}" for name, value in headers.items()]
        head = "\r\n".join([" HTTP/1.1", f"Host: {host}", *lines, "", ""])
        self._after_target = head.encode("ascii")

    @staticmethod
    def is_possible() -> bool:
        """Return True if this aiohttp has the internals used here."""
        parameters = inspect.signature(ResponseHandler.set_response_params).parameters
        connect = inspect.signature(aiohttp.TCPConnector.connect).parameters
        return (
            {"read_until_eof", "auto_decompress"} <= parameters.keys()
            and {"req", "traces", "timeout"} <= connect.keys()
            and hasattr(ResponseHandler, "read")
        )

    @staticmethod
    def is_intercepted() -> bool:
        """Return True if something replaces the session's requests, as mocks do."""
        return aiohttp.ClientSession._request is not _GENUINE_REQUEST  # noqa: SLF001

    async def send(self, target: str) -> DirectAnswer:
        """Send one request and wait for the head of its answer.

        Args:
            target: Path and query, percent-escaped.

        Raises:
            aiohttp.ClientError: What aiohttp itself would raise.
            aiohttp.http_exceptions.HttpProcessingError: The answer is not HTTP.

        Cancellation: closes the connection.
        """
        request_bytes = b"GET " + target.encode("ascii") + self._after_target
        connection = await self._silent_connection()
        try:
            protocol, transport = _connected(connection)
            protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            transport.write(request_bytes)
            head, content = await protocol.read()
            while head.code < _FINAL_STATUS and head.code != _SWITCHING_PROTOCOLS:
                head, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        return DirectAnswer(head.code, head.headers, content, connection.release)

    async def _silent_connection(self) -> aiohttp.connector.Connection:
        """Take a connection from the pool or make one; skip those that are spoiled."""
        while True:
            is_reused.set(True)  # Until the connector says that it made one.
            try:
                connection = await self._connector.connect(
                    self._destination, traces=[], timeout=self._timeout
                )
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError from error
            protocol = connection.protocol
            if protocol is None or not is_reused.get() or is_silent(protocol):
                return connection
            connection.close()


def _connected(
    connection: aiohttp.connector.Connection,
) -> tuple[ResponseHandler, asyncio.WriteTransport]:
    protocol = connection.protocol
    if protocol is None or protocol.transport is None or protocol.should_close:
        raise aiohttp.ServerDisconnectedError
    return protocol, protocol.transport


def _genuine_request() -> object:
    """Return the session's ``_request`` if it is aiohttp's own."""
    request = aiohttp.ClientSession._request  # noqa: SLF001
    code = getattr(request, "__code__", None)
    is_genuine = code is not None and code.co_filename == aiohttp.client.__file__
    return request if is_genuine else None


_GENUINE_REQUEST = _genuine_request()
