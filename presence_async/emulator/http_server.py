"""aiohttp's server as the emulator needs it: it survives and reports everything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["http_server"]

# Above the service's own limit, so that the service answers with its 414.
_MAX_LINE_BYTES = 1024 * 1024
# aiohttp's server closes idle connections by the loop's clock, which jumps by hours in
# virtual time, while its client does so by the system's clock.
_KEEPALIVE_S = 10_000_000.0


def http_server(
    serve: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    *,
    on_lost: Callable[[Hashable], None],
    logger: logging.Logger,
) -> web.Server:
    """Return a server that calls ``serve``, and ``on_lost`` when a connection ends."""
    server = _HttpServer(
        serve,
        request_factory=_request_of,
        access_log=None,
        logger=_MalformedAtDebug(logger, {}),
        keepalive_timeout=_KEEPALIVE_S,
        max_line_size=_MAX_LINE_BYTES,
        lingering_time=0,
    )
    server.on_lost = on_lost
    return server


class _HttpServer(web.Server):
    """Reports lost connections, so that their polls end at once."""

    on_lost: Callable[[Hashable], None]

    def connection_lost(
        self,
        handler: Any,  # noqa: ANN401  # a type of aiohttp's own
        exc: BaseException | None = None,
    ) -> None:
        """Do what aiohttp does, then report the connection."""
        super().connection_lost(handler, exc)
        self.on_lost(handler)


def _request_of(
    message: RawRequestMessage,
    payload: Any,  # noqa: ANN401  # this and the rest are aiohttp's own
    protocol: Any,  # noqa: ANN401
    writer: Any,  # noqa: ANN401
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Return the request of a parsed message.

    CONNECT names a host instead of a path; an invalid one would kill aiohttp's task.
    """
    loop = asyncio.get_running_loop()
    try:
        return web.BaseRequest(message, payload, protocol, writer, task, loop)
    except ValueError:
        readable = message._replace(url=type(message.url)("/"))
        return web.BaseRequest(readable, payload, protocol, writer, task, loop)


class _MalformedAtDebug(logging.LoggerAdapter[logging.Logger]):
    """Logs for aiohttp's server: bytes that are not HTTP are not an error of ours."""

    def exception(self, msg: object, *args: object, **options: Any) -> None:  # noqa: ANN401  # as logging's own
        """Log an error of ours as such, and one of the sender at DEBUG."""
        error = options.get("exc_info")
        if isinstance(error, HttpProcessingError):
            # Its message may repeat a header that carries the control token.
            self.logger.debug("malformed request: %s", type(error).__name__)
        else:
            self.logger.error(msg, *args, **options)
