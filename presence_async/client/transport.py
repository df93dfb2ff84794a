"""One request on the wire: the only importer of aiohttp's client and yarl.

aiohttp's errors end here. Some of them print the URL with its token, so none is
chained: each becomes one of ours with a redacted line about the cause.
"""

from __future__ import annotations

import contextvars
import os
import ssl
import weakref
import zlib
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from yarl import URL

from ..errors import (
    ConnectError,
    ConnectionLostError,
    ReplyFormatError,
    TransportError,
)
from ..protocol.exchange import HttpReply, HttpRequest
from . import wall_clock
from .config import PresenceConfig

__all__ = ["Session", "Transport"]

Session = aiohttp.ClientSession

_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "presence-async",
}
_KEPT_HEADERS: Final = ("age", "retry-after")
_HTTP_REDIRECT: Final = 300
_POOL_IDLE_S: Final = 15.0
_DNS_CACHE_S: Final = 60

# Whether the connection of the current request had served another before. Set by the
# connector, in the task of the request, which is the only place that can know.
_is_reused: contextvars.ContextVar[bool] = contextvars.ContextVar("is_reused")


class _Connector(aiohttp.TCPConnector):
    """aiohttp's connector, telling which connections come from the pool."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__(
            limit=0,
            keepalive_timeout=_POOL_IDLE_S,
            ttl_dns_cache=_DNS_CACHE_S,
            ssl=ssl_context or True,
        )
        self._used: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.connector.Connection:
        connection = await super().connect(req, traces, timeout)
        protocol = connection.protocol
        if protocol is not None:
            _is_reused.set(protocol in self._used)
            self._used.add(protocol)
        return connection

    def abort(self) -> None:
        """Cut every connection, so that closing waits for no peer."""
        for protocol in list(self._used):
            if protocol.transport is not None:
                protocol.transport.abort()


class _Cut(Exception):  # noqa: N818  # never leaves this module
    """A connection error that aiohttp would otherwise send again by itself."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from re-sending: one attempt of ours is one request.

    ``ClientSession`` sends idempotent methods again when a connection breaks, which
    would repeat leaves and state changes behind the pipeline's back.
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        cut = _Cut(error)
    raise cut


class Transport:
    """Sends requests over one aiohttp session.

    Args:
        config: Where to and with which limits.
        session: A session of the caller's, used and never closed; aiohttp may then
            send one attempt twice, since its own repetition cannot be switched off
            per request. ``None``: make one at ``open`` and close it at ``close``.
    """

    def __init__(self, config: PresenceConfig, session: Session | None) -> None:
        self._config = config
        self._base_url = config.base_url
        self._session = session
        self._connector: _Connector | None = None
        # What one request sets by itself when the session is not ours.
        self._options: dict[str, Any] = {
            "allow_redirects": False,
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=config.connect_timeout_s
            ),
            "proxy": config.proxy,
        }

    async def open(self) -> None:
        """Make the session, or set out to use the given one; needs a running loop."""
        if self._session is not None:
            self._options |= {
                "headers": _HEADERS,
                "raise_for_status": False,
                "auto_decompress": False,
            }
            return
        self._connector = _Connector(ssl_context=self._config.ssl_context)
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            auto_decompress=False,
            middlewares=(_send_once,),
        )

    async def close(self) -> None:
        """Cut our own connections and close our session; a given one stays open."""
        session, self._session = self._session, None
        if self._connector is not None and session is not None:
            self._connector.abort()
            await session.close()

    async def send(self, request: HttpRequest) -> HttpReply:
        """Send one GET and read the whole answer.

        Raises:
            ConnectError: No connection came about, nothing was sent.
            ConnectionLostError: The connection broke; the service may have acted.
            ReplyFormatError: A success is larger than allowed or badly compressed.

        Cancellation: ends at once and closes the connection.
        """
        session = self._session
        if session is None:
            raise ConnectError("the client is closed")
        _is_reused.set(False)
        try:
            async with session.get(
                URL(self._base_url + request.target, encoded=True), **self._options
            ) as response:
                return await self._read(response)
        except _Cut as cut:
            failure = _translated(cut.error)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _translated(error)
        raise failure

    async def _read(self, response: aiohttp.ClientResponse) -> HttpReply:
        headers = response.headers
        kept = {name: headers[name] for name in _KEPT_HEADERS if name in headers}
        if "retry-after" in kept and not kept["retry-after"].isdecimal():
            seconds = wall_clock.seconds_until(kept.pop("retry-after"))
            if seconds is not None:
                kept["retry-after"] = str(int(seconds) + 1)
        try:
            body = await self._body(response)
        except _UnreadableError as error:
            if response.status < _HTTP_REDIRECT:
                problem = str(error)
            else:
                return HttpReply(status=response.status, body=b"", headers=kept)
        else:
            return HttpReply(status=response.status, body=body, headers=kept)
        raise ReplyFormatError(f"the service answered {response.status}: {problem}")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        limit = self._config.max_reply_bytes
        length = response.content_length
        if length is not None and length <= limit:
            body = await response.read()
        else:
            body = await _read_up_to(response.content, limit)
        coding = response.headers.get("Content-Encoding")
        return body if coding is None else _decompressed(body, coding.lower(), limit)


class _UnreadableError(Exception):
    """A body that is too large or not what its headers say."""


async def _read_up_to(content: aiohttp.StreamReader, limit: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _decompressed(body: bytes, coding: str, limit: int) -> bytes:
    if coding == "identity" or not body:
        return body
    if coding not in {"gzip", "x-gzip", "deflate"}:
        raise _UnreadableError(f"content encoding {coding[:40]!r}, not asked for")
    # 32: find out by itself whether the header is gzip's or zlib's.
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error:
        plain = b""
    if len(plain) > limit:
        raise _too_large(limit)
    if not unpacker.eof:
        raise _UnreadableError(f"its {coding} body is damaged")
    return plain


def _too_large(limit: int) -> _UnreadableError:
    return _UnreadableError(
        f"its body is larger than max_reply_bytes ({limit}); ask for less at a time"
    )


def _translated(error: Exception) -> TransportError:
    cause = _cause(error)
    not_connected = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
        aiohttp.ServerFingerprintMismatch,
        aiohttp.InvalidURL,
    )
    if isinstance(error, not_connected):
        return ConnectError("no connection came about", cause=cause)
    problem = "the connection broke before the whole answer had arrived"
    if isinstance(error, aiohttp.ClientResponseError):
        problem = "the answer is not HTTP"
    lost = ConnectionLostError(problem, cause=cause)
    lost.was_reused = _is_reused.get()
    return lost


def _cause(error: Exception) -> str:
    """Name the kind and the system's words; aiohttp's own text may show the URL."""
    words = None
    if isinstance(error, OSError):
        is_system = error.errno is not None and error.errno > 0
        words = os.strerror(error.errno or 0) if is_system else error.strerror
    kind = type(error).__name__
    return f"{kind}: {words}" if words else kind
