"""The edge cache in front of the service. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection

import msgspec

from ..protocol.exchange import HttpReply, HttpRequest

__all__ = ["PER_ATTEMPT", "ReplyCache"]

PER_ATTEMPT = frozenset({"requestid", "timestamp", "signature"})
"""Parameters that a client changes with each attempt."""


class ReplyCache:
    """Keeps replies for some seconds; a hit carries its age in ``Age``.

    Which parameters the real edge compares is unverified.

    Args:
        lifetime_s: Seconds for which a reply is kept; 0 disables the cache.
        ignored: Query parameters by which requests may differ and still get the same
            reply; without any, only the same URL does.
    """

    def __init__(self, lifetime_s: float, *, ignored: Collection[str] = ()) -> None:
        self._lifetime_s = lifetime_s
        self._ignored = ignored
        self._replies: dict[str, tuple[float, HttpReply]] = {}

    def get(self, request: HttpRequest, *, now_s: float) -> HttpReply | None:
        """Return the reply to the same request if it is fresh, else ``None``."""
        kept_at_s, reply = self._replies.get(self._key(request), (-math.inf, None))
        if reply is None or now_s - kept_at_s >= self._lifetime_s:
            return None
        age = str(int(now_s - kept_at_s))
        return msgspec.structs.replace(reply, headers={**reply.headers, "age": age})

    def clear(self) -> None:
        """Forget every reply."""
        self._replies.clear()

    def put(self, request: HttpRequest, reply: HttpReply, *, now_s: float) -> None:
        """Keep a reply, and forget those that are too old."""
        if self._lifetime_s <= 0:
            return
        oldest_s = now_s - self._lifetime_s
        self._replies = {
            kept_key: kept
            for kept_key, kept in self._replies.items()
            if kept[0] > oldest_s
        }
        self._replies[self._key(request)] = (now_s, reply)

    def _key(self, request: HttpRequest) -> str:
        if not self._ignored:
            return request.target
        kept = [
            part
            for part in request.query.split("&")
            if part.partition("=")[0] not in self._ignored
        ]
        return f"{request.path}?{'&'.join(kept)}"
