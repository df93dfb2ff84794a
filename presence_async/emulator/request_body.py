"""Read the body of a request: no more and no longer than it may take."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

__all__ = ["read_body"]

_MOST_S: Final = 10.0


async def read_body(request: web.BaseRequest, *, most_bytes: int) -> bytes | None:
    """Return the body of a request; ``None`` if it is broken or takes over 10 s.

    A longer body is cut somewhere after ``most_bytes``, so that its length tells; the
    rest is not read, and the connection ends after the answer.

    Cancellation: ends the reading; the connection must then be closed.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(_MOST_S):
            while len(body) <= most_bytes:
                chunk = await request.content.readany()
                if not chunk:
                    break
                body += chunk
    except (ConnectionError, TimeoutError, web.RequestPayloadError):
        return None
    return bytes(body)
