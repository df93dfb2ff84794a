"""Which connections of aiohttp's pool may carry another request.

An HTTP/1.1 answer does not say which request it belongs to: only the order tells. A
connection that has received anything since its last answer ended would shift every
later answer by one, so it is never used again. aiohttp looks at that when a connection
enters the pool, but not when one leaves it; here is the other half.

aiohttp does not document the idle connections of a connector, nor the parser of a
connection. Where a later version renames them, the checks that need them are skipped.
"""

from __future__ import annotations

import contextvars
import ssl
import weakref
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from .direct_connection import is_between_messages, readable_check

__all__ = [
    "Connector",
    "checked_middleware",
    "idle_connections",
    "is_reused",
    "is_silent",
]

_IDLE_S: Final = 15.0
_DNS_CACHE_S: Final = 60
# Connections that one request may find spoiled after it has taken them.
_MOST_SPOILED: Final = 8

# Whether the connection of the current request had served another before.
is_reused: contextvars.ContextVar[bool] = contextvars.ContextVar("is_reused")


class Connector(aiohttp.TCPConnector):
    """aiohttp's connector, telling which connections are new."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None) -> None:
        super().__init__(
            limit=0,
            keepalive_timeout=_IDLE_S,
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
        is_reused.set(False)
        self._made.add(protocol)
        return protocol

    def abort(self) -> None:
        """Cut every connection, so that closing waits for no peer."""
        for protocol in list(self._made):
            if protocol.transport is not None:
                protocol.transport.abort()


def idle_connections(
    connector: aiohttp.BaseConnector | None, host: str | None, port: int | None
) -> list[ResponseHandler]:
    """Return the connections to a host that wait in the pool, with or without TLS."""
    pool: dict[Any, Sequence[tuple[ResponseHandler, float]]]
    pool = getattr(connector, "_conns", {})
    return [
        protocol
        for key, waiting in pool.items()
        if key.host == host and key.port == port
        for protocol, _ in waiting
    ]


def is_silent(protocol: ResponseHandler) -> bool:
    """Return True if an idle connection has received nothing since its last answer."""
    if not _has_kept_nothing(protocol):
        return False
    # Bytes that the event loop has not come to read yet.
    transport = protocol.transport
    return transport is not None and not readable_check(transport)()


def checked_middleware(
    connector: aiohttp.BaseConnector | None,
) -> aiohttp.ClientMiddlewareType:
    """Return a middleware that lets no request use a connection that was not silent.

    It has to be the last one, next to the wire. A middleware runs before aiohttp
    chooses a connection, so the pool is searched there, and the connection chosen is
    looked at once more when the request is to be written to it: aiohttp may have
    waited for it, since a session's connector may be limited.
    """

    async def check(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        send = request.send
        idle: list[ResponseHandler] = []

        async def send_checked(
            conn: aiohttp.connector.Connection,
        ) -> aiohttp.ClientResponse:
            protocol = conn.protocol
            if protocol is None or protocol.should_close:
                raise _SpoiledError
            if protocol in idle:
                is_reused.set(True)
                transport = protocol.transport
                if transport is None or readable_check(transport)():
                    raise _SpoiledError
            return await send(conn)

        request.send = send_checked  # type: ignore[method-assign]  # of this one only
        for _ in range(_MOST_SPOILED):
            idle[:] = _kept_idle(connector, request.url.raw_host, request.url.port)
            try:
                return await handler(request)
            except _SpoiledError:
                # aiohttp has closed it, and nothing was sent.
                continue
        raise aiohttp.ServerDisconnectedError

    return check


class _SpoiledError(Exception):
    """The connection chosen has received something that nobody asked for."""


def _kept_idle(
    connector: aiohttp.BaseConnector | None, host: str | None, port: int | None
) -> list[ResponseHandler]:
    """Return the idle connections to a host after cutting those that were not silent.

    What waits to be read is not looked at: that takes a system call for each.
    """
    kept: list[ResponseHandler] = []
    for protocol in idle_connections(connector, host, port):
        if _has_kept_nothing(protocol):
            kept.append(protocol)
        elif protocol.transport is not None:
            protocol.transport.abort()
    return kept


def _has_kept_nothing(protocol: ResponseHandler) -> bool:
    """Return True if no bytes beyond the last answer have been read."""
    if protocol.should_close:
        return False
    parser = getattr(protocol, "_parser", None)
    return parser is None or is_between_messages(parser)
