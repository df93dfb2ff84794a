"""The edge cache before the service: the same request within some seconds. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection

import attrs

from ..protocol.exchange import HttpReply, HttpRequest

__all__ = ["PER_ATTEMPT", "ReplyCache"]

PER_ATTEMPT = frozenset({"requestid", "timestamp", "signature"})
"""Parameters that a client changes from one attempt to the next."""


class ReplyCache:
    """Keeps replies for a while; a hit says how old it is in ``Age``.

    Which parameters the real edge's key includes is unverified.

    Args:
        lifetime_s: For how long; 0 keeps nothing.
        ignored: Query parameters in which requests may differ and still get the same
            reply; without, only the same URL does.
    """

    def __init__(self, lifetime_s: float, *, ignored: Collection[str] = ()) -> None:
        self._lifetime_s = lifetime_s
        self._ignored = ignored
        self._replies: dict[str, tuple[float, HttpReply]] = {}

    def get(self, request: HttpRequest, *, now_s: float) -> HttpReply | None:
        """Return a reply that is still fresh."""
        kept_at_s, reply = self._replies.get(self._key(request), (-math.inf, None))
        if reply is None or now_s - kept_at_s >= self._lifetime_s:
            return None
        age = str(int(now_s - kept_at_s))
        return attrs.evolve(reply, headers={**reply.headers, "age": age})

    def clear(self) -> None:
        """Keep nothing of what was kept."""
        self._replies.clear()

    def put(self, request: HttpRequest, reply: HttpReply, *, now_s: float) -> None:
        """Keep a reply, and drop those that are too old."""
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
