"""The edge cache before the service: the same URL within some seconds. Pure."""

from __future__ import annotations

import math

import attrs

from ..protocol.exchange import HttpReply

__all__ = ["ReplyCache"]


class ReplyCache:
    """Keeps replies for a while; a hit says how old it is in ``Age``.

    Args:
        lifetime_s: For how long; 0 keeps nothing.
    """

    def __init__(self, lifetime_s: float) -> None:
        self._lifetime_s = lifetime_s
        self._replies: dict[str, tuple[float, HttpReply]] = {}

    def get(self, url: str, *, now_s: float) -> HttpReply | None:
        """Return a reply that is still fresh."""
        kept_at_s, reply = self._replies.get(url, (-math.inf, None))
        if reply is None or now_s - kept_at_s >= self._lifetime_s:
            return None
        age = str(int(now_s - kept_at_s))
        return attrs.evolve(reply, headers={**reply.headers, "age": age})

    def clear(self) -> None:
        """Keep nothing of what was kept."""
        self._replies.clear()

    def put(self, url: str, reply: HttpReply, *, now_s: float) -> None:
        """Keep a reply, and drop those that are too old."""
        if self._lifetime_s <= 0:
            return
        oldest_s = now_s - self._lifetime_s
        self._replies = {
            kept_url: kept
            for kept_url, kept in self._replies.items()
            if kept[0] > oldest_s
        }
        self._replies[url] = (now_s, reply)
