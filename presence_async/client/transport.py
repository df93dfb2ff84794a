"""One request on the wire: with ``direct`` and ``pool`` all that imports aiohttp.

aiohttp's errors end here. Some of them print the URL with its token, so none is
chained: each becomes one of ours with a redacted line about the cause.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from ..errors import (
    ConnectError,
    ConnectionLostError,
    InvalidArgumentError,
    ReplyFormatError,
    TransportError,
)
from ..protocol.exchange import HttpReply, HttpRequest
from . import wall_clock
from .bodies import UnreadableError, decompressed, read_up_to, words_of_system
from .config import PresenceConfig
from .direct import DirectGet
from .direct_connection import DirectAnswer
from .pool import Connector, checked_middleware, idle_connections, is_reused
from .shares import FEWEST_CONNECTIONS, Shares

__all__ = ["Session", "Transport"]

Session = aiohttp.ClientSession

_HEADERS: Final = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "presence-async",
}
_NO_HEADERS: Final[Mapping[str, str]] = {}
_HTTP_REDIRECT: Final = 300
_ERRORS: Final = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)


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
        config: Says where requests go, and sets their limits.
        session: A session of the caller's, used and never closed. ``None``: make one
            at ``open`` and close it at ``close``.
        may_be_direct: Whether answers may be read the quick way, which drops an ``Age``
            of 0.
    """

    def __init__(
        self,
        config: PresenceConfig,
        session: Session | None,
        *,
        may_be_direct: bool = True,
    ) -> None:
        self._config = config
        self._may_be_direct = may_be_direct and config.proxy is None
        self._scheme, _, self._authority = config.base_url.partition("://")
        url = URL(config.base_url)
        self._host = url.raw_host, url.port
        self._session = session
        self._connector: Connector | None = None
        self._direct: DirectGet | None = None
        # What every request through a session sets.
        self._options: dict[str, Any] = {
            "allow_redirects": False,
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=config.connect_timeout_s
            ),
            "proxy": config.proxy,
            "headers": _HEADERS,
            "raise_for_status": False,
            "auto_decompress": False,
        }

    def shares(self) -> Shares | None:
        """Return what a given session's limits leave to each kind of request.

        ``None``: it has no limits, or the session is ours.
        """
        limit, _ = self._session_limit()
        if limit is None:
            return None
        return Shares(
            limit,
            max_connections=self._config.max_connections,
            max_beats=self._config.max_beats_in_flight,
        )

    def check_session(self) -> None:
        """Refuse a given session with too few connections to be shared.

        Raises:
            InvalidArgumentError: Heartbeats, events and queries would block each other.
        """
        limit, name = self._session_limit()
        if limit is not None and limit < FEWEST_CONNECTIONS:
            raise InvalidArgumentError(
                "session",
                f"its connector has {name}={limit}, too few for heartbeats, events and"
                f" queries to share; write {name}=0 (no limit), or at least"
                f" {FEWEST_CONNECTIONS}",
            )

    def _session_limit(self) -> tuple[int | None, str]:
        """Return the lowest limit of a given session's connector, with its name."""
        connector = None if self._session is None else self._session.connector
        if not isinstance(connector, aiohttp.BaseConnector):
            return None, ""
        limits = [
            (connector.limit, "limit"),
            (connector.limit_per_host, "limit_per_host"),
        ]
        return min([x for x in limits if x[0] > 0], default=(None, ""))

    async def open(self) -> None:
        """Make the session, or set out to use the given one; needs a running loop."""
        if self._session is None:
            self._connector = Connector(ssl_context=self._config.ssl_context)
            self._session = aiohttp.ClientSession(
                connector=self._connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        # Those of one request replace the session's, so a given session's stand here.
        self._options["middlewares"] = (
            _send_once,
            *getattr(self._session, "_middlewares", ()),
            checked_middleware(self._session.connector),
        )
        if self._connector is None:
            return
        if self._may_be_direct and DirectGet.is_possible():
            self._direct = DirectGet(
                self._connector,
                self._config.base_url,
                _HEADERS,
                self._options["timeout"],
                max_body_bytes=self._config.max_reply_bytes,
            )

    async def close(self) -> None:
        """Cut our own connections and close our session; a given one stays open."""
        session, self._session = self._session, None
        if self._direct is not None:
            self._direct.close()
            self._direct = None
        if self._connector is not None and session is not None:
            self._connector.abort()
            await session.close()

    def drop_idle(self) -> None:
        """Cut idle connections to the service, which may have died unseen."""
        if self._session is None:
            return
        if self._direct is not None:
            self._direct.drop_idle()
        for protocol in idle_connections(self._session.connector, *self._host):
            if protocol.transport is not None:
                protocol.transport.abort()

    async def send(self, request: HttpRequest) -> HttpReply:
        """Send one GET and read the whole answer.

        Raises:
            ConnectError: No connection could be made, so nothing was sent.
            ConnectionLostError: The connection broke; the service may have acted.
            ReplyFormatError: A success is larger than allowed or badly compressed.

        Cancellation: ends at once and closes the connection.
        """
        session, direct = self._session, self._direct
        if session is None:
            raise ConnectError("the client is closed")
        if session.closed:
            raise ConnectError("the session given to the client was closed")
        # Until the connection of this request has been chosen.
        is_reused.set(False)
        answer: DirectAnswer | Exception
        try:
            if direct is None or direct.is_intercepted():
                answer = await self._send_by(session, request)
            else:
                answer = await direct.send(request.target)
        except _Cut as cut:
            answer = cut.error
        except _ERRORS as error:
            answer = error
        return self.understood(answer, was_reused=is_reused.get())

    @property
    def direct(self) -> DirectGet | None:
        """What sends without waiting while connections are idle, if it may be used."""
        direct = self._direct
        return None if direct is None or direct.is_intercepted() else direct

    def understood(
        self, answer: DirectAnswer | Exception, *, was_reused: bool
    ) -> HttpReply:
        """Unpack an answer, and keep of its headers what the pipeline looks at.

        Args:
            answer: What came, or what aiohttp raised.
            was_reused: Whether its connection had served another request.

        Raises:
            TransportError: As ``send``.
            ReplyFormatError: As ``send``.
        """
        if not isinstance(answer, DirectAnswer):
            raise _translated(answer, was_reused=was_reused) from None
        status, headers, body = answer
        if len(body) > self._config.max_reply_bytes or "Content-Encoding" in headers:
            body = self._unpacked(answer)
        kept = _NO_HEADERS
        if headers and ("Age" in headers or "Retry-After" in headers):
            kept = _kept(headers)
        return HttpReply(status=status, body=body, headers=kept)

    def _unpacked(self, answer: DirectAnswer) -> bytes:
        encoding = answer.headers.get("Content-Encoding")
        try:
            return decompressed(answer.body, encoding, self._config.max_reply_bytes)
        except UnreadableError as error:
            problem = str(error)
        if answer.status >= _HTTP_REDIRECT:
            return b""
        raise ReplyFormatError(f"the service answered {answer.status}: {problem}")

    async def _send_by(self, session: Session, request: HttpRequest) -> DirectAnswer:
        url = URL.build(
            scheme=self._scheme,
            authority=self._authority,
            path=request.path,
            query_string=request.query,
            encoded=True,
        )
        limit = self._config.max_reply_bytes
        async with await session.get(url, **self._options) as response:
            body = await read_up_to(response.content.iter_any(), limit)
            return DirectAnswer(response.status, response.headers, body)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that mean something to the pipeline, in lower case."""
    kept = {}
    if "Age" in headers:
        kept["age"] = headers["Age"]
    if "Retry-After" in headers:
        kept["retry-after"] = _seconds(headers["Retry-After"])
    return kept


def _seconds(retry_after: str) -> str:
    """Return ``Retry-After`` as seconds, also when it is a date."""
    if retry_after.isdecimal():
        return retry_after
    seconds = wall_clock.seconds_until(retry_after)
    return "" if seconds is None else str(math.ceil(seconds))


def _translated(error: Exception, *, was_reused: bool) -> TransportError:
    cause = _cause(error)
    not_connected = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ClientHttpProxyError,
        aiohttp.ServerFingerprintMismatch,
        aiohttp.InvalidURL,
    )
    if isinstance(error, not_connected):
        return ConnectError("no connection could be made", cause=cause)
    problem = "the connection broke before the whole answer had arrived"
    if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)):
        problem = "the answer is not HTTP"
    lost = ConnectionLostError(problem, cause=cause)
    lost.was_reused = was_reused
    return lost


def _cause(error: Exception) -> str:
    """Return the error's class and the system's words; its text may show the URL."""
    kind = type(error).__name__
    words = words_of_system(error)
    return f"{kind}: {words}" if words else kind
