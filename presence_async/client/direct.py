"""A GET over aiohttp's connector and parser, without ``ClientSession`` around it.

Session, request and response objects are more than half of what a small request costs,
and redirects, cookies, proxies or traces have no use here. The connector and the
protocol are not all documented, so ``is_possible`` looks first whether they are what
this module knows; where not, and where somebody has replaced the session's own
``_request`` as mocks do, requests go through the session.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

__all__ = ["DirectAnswer", "DirectGet"]

_FINAL_STATUS = 200
_SWITCHING_PROTOCOLS = 101


class DirectAnswer:
    """An answer whose head has come; what is used of aiohttp's response."""

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
        connector: Whose connections are used.
        base_url: Scheme and authority.
        headers: Sent with each request.
        timeout: Of connecting.
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
        """Whether this aiohttp has what is needed, as it is known."""
        parameters = inspect.signature(ResponseHandler.set_response_params).parameters
        connect = inspect.signature(aiohttp.TCPConnector.connect).parameters
        return (
            {"read_until_eof", "auto_decompress"} <= parameters.keys()
            and {"req", "traces", "timeout"} <= connect.keys()
            and hasattr(ResponseHandler, "read")
        )

    @staticmethod
    def is_intercepted() -> bool:
        """Whether somebody looks into requests of sessions, as mocks do."""
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
        try:
            connection = await self._connector.connect(
                self._destination, traces=[], timeout=self._timeout
            )
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error
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


def _connected(
    connection: aiohttp.connector.Connection,
) -> tuple[ResponseHandler, asyncio.WriteTransport]:
    protocol = connection.protocol
    if protocol is None or protocol.transport is None:
        raise aiohttp.ServerDisconnectedError
    return protocol, protocol.transport


def _genuine_request() -> object:
    """Return the session's ``_request`` if it is aiohttp's own."""
    request = aiohttp.ClientSession._request  # noqa: SLF001
    code = getattr(request, "__code__", None)
    is_genuine = code is not None and code.co_filename == aiohttp.client.__file__
    return request if is_genuine else None


_GENUINE_REQUEST = _genuine_request()
