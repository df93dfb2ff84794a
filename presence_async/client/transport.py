"""One request on the wire: with ``direct`` the only importer of aiohttp and yarl.

aiohttp's errors end here. Some of them print the URL with its token, so none is
chained: each becomes one of ours with a redacted line about the cause.
"""

from __future__ import annotations

import contextvars
import math
import ssl
import weakref
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ..errors import (
    ConnectError,
    ConnectionLostError,
    ReplyFormatError,
    TransportError,
)
from ..protocol.exchange import HttpReply, HttpRequest
from . import wall_clock
from .bodies import UnreadableError, decompressed, read_up_to, words_of_system
from .config import PresenceConfig
from .direct import DirectAnswer, DirectGet

__all__ = ["Session", "Transport"]

Session = aiohttp.ClientSession

_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "presence-async",
}
_NO_HEADERS: Final[Mapping[str, str]] = {}
_HTTP_REDIRECT: Final = 300
_POOL_IDLE_S: Final = 15.0
_DNS_CACHE_S: Final = 60

# Whether the connection of the current request had served another before.
_is_reused: contextvars.ContextVar[bool] = contextvars.ContextVar("is_reused")


class _Connector(aiohttp.TCPConnector):
    """aiohttp's connector, telling which connections are new."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__(
            limit=0,
            keepalive_timeout=_POOL_IDLE_S,
            ttl_dns_cache=_DNS_CACHE_S,
            ssl=ssl_context or True,
        )
        self._made: weakref.WeakSet[ResponseHandler] = weakref.WeakSet()

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,
    ) -> ResponseHandler:
        # Awaited in the task of the request, and only when the pool has none. Should
        # aiohttp ever stop calling it, every connection counts as reused, and a lost
        # one costs one more attempt.
        protocol = await super()._create_connection(req, traces, timeout)
        _is_reused.set(False)
        self._made.add(protocol)
        return protocol

    def drop_idle(self) -> None:
        """Cut the connections that wait in the pool."""
        # Without aiohttp's own list of those in use, stale ones are found out one
        # by one, each at the cost of one attempt.
        in_use = getattr(self, "_acquired", self._made)
        for protocol in list(self._made):
            if protocol not in in_use and protocol.transport is not None:
                protocol.transport.abort()

    def abort(self) -> None:
        """Cut every connection, so that closing waits for no peer."""
        for protocol in list(self._made):
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
        self._scheme, _, self._authority = config.base_url.partition("://")
        self._session = session
        self._connector: _Connector | None = None
        self._direct: DirectGet | None = None
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
        if self._config.proxy is None and DirectGet.is_possible():
            self._direct = DirectGet(
                self._connector,
                self._config.base_url,
                _HEADERS,
                self._options["timeout"],
            )

    async def close(self) -> None:
        """Cut our own connections and close our session; a given one stays open."""
        session, self._session = self._session, None
        if self._connector is not None and session is not None:
            self._connector.abort()
            await session.close()

    def drop_idle(self) -> None:
        """Forget connections of our own that may have died unseen."""
        if self._connector is not None:
            self._connector.drop_idle()

    async def send(self, request: HttpRequest) -> HttpReply:
        """Send one GET and read the whole answer.

        Raises:
            ConnectError: No connection came about, nothing was sent.
            ConnectionLostError: The connection broke; the service may have acted.
            ReplyFormatError: A success is larger than allowed or badly compressed.

        Cancellation: ends at once and closes the connection.
        """
        session, direct = self._session, self._direct
        if session is None:
            raise ConnectError("the client is closed")
        if session.closed:
            raise ConnectError("the session given to the client was closed")
        # Until the connector says that it made a connection for this request.
        _is_reused.set(self._connector is not None)
        answer: aiohttp.ClientResponse | DirectAnswer
        try:
            if direct is None or direct.is_intercepted():
                answer = await self._send_by(session, request)
            else:
                answer = await direct.send(request.target)
            try:
                return await self._read(answer)
            finally:
                answer.release()
        except _Cut as cut:
            failure = _translated(cut.error)
        except (
            aiohttp.ClientError,
            HttpProcessingError,
            OSError,
            ValueError,
        ) as error:
            failure = _translated(error)
        raise failure

    async def _send_by(
        self, session: Session, request: HttpRequest
    ) -> aiohttp.ClientResponse:
        url = URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=request.path,
            query_string=request.query,
            encoded=True,
        )
        return await session.get(url, **self._options)

    async def _read(self, response: aiohttp.ClientResponse | DirectAnswer) -> HttpReply:
        content, headers = response.content, response.headers
        limit = self._config.max_reply_bytes
        try:
            # Most answers arrive in one piece and are complete by now.
            if content.is_eof():
                body = content.read_nowait()
            else:
                body = await read_up_to(content.iter_any(), limit)
            if "Content-Encoding" in headers or len(body) > limit:
                body = decompressed(body, headers.get("Content-Encoding"), limit)
        except UnreadableError as error:
            if response.status >= _HTTP_REDIRECT:
                return HttpReply(status=response.status, body=b"")
            problem = str(error)
        else:
            kept = _NO_HEADERS
            if headers.get("Age", "0") != "0" or "Retry-After" in headers:
                kept = _kept(headers)
            return HttpReply(status=response.status, body=body, headers=kept)
        raise ReplyFormatError(f"the service answered {response.status}: {problem}")


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that mean something to the pipeline, in lower case."""
    kept = {"age": headers.get("Age", "0")}
    if "Retry-After" in headers:
        kept["retry-after"] = _seconds(headers["Retry-After"])
    return kept


def _seconds(retry_after: str) -> str:
    """Return ``Retry-After`` as seconds, also when it is a date."""
    if retry_after.isdecimal():
        return retry_after
    seconds = wall_clock.seconds_until(retry_after)
    return "" if seconds is None else str(math.ceil(seconds))


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
    if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)):
        problem = "the answer is not HTTP"
    lost = ConnectionLostError(problem, cause=cause)
    lost.was_reused = _is_reused.get()
    return lost


def _cause(error: Exception) -> str:
    """Name the kind and the system's words; aiohttp's own text may show the URL."""
    kind = type(error).__name__
    words = words_of_system(error)
    return f"{kind}: {words}" if words else kind
