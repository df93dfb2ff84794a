"""Who may be on the wire: so many requests at once, and so many a second."""

from __future__ import annotations

import math

from .settings import Settings
from .wire import Send

__all__ = ["Places"]


class Places:
    """Counts the requests under way, whatever they say."""

    def __init__(self, settings: Settings) -> None:
        self._limit = settings.max_in_flight
        per_s = settings.max_requests_per_s
        self._gap_s = 1 / per_s if per_s else 0.0
        self._taken = 0
        self._parked: set[Send] = set()
        self._next_entry_s = 0.0

    @property
    def has_room(self) -> bool:
        """Return True if another request may be under way."""
        return self._taken < self._limit

    @property
    def next_s(self) -> float:
        """When the next request may go out; ``math.inf`` until one has ended."""
        return self._next_entry_s if self.has_room else math.inf

    def is_parked(self, send: object) -> bool:
        """Return True if a request waits for its token."""
        return send in self._parked

    def are_open(self, now_s: float) -> bool:
        """Return True if a request may go out now."""
        return self._taken < self._limit and self._next_entry_s <= now_s

    def enter(self, now_s: float) -> None:
        """Take a place for a request."""
        self._taken += 1
        self._next_entry_s = now_s + self._gap_s

    def leave(self, send: Send) -> None:
        """Free the place of a request that has ended."""
        if self._parked:
            self.unpark(send)
        self._taken -= 1

    def park(self, send: Send) -> None:
        """Give the place of a request to others while its token is fetched."""
        if send not in self._parked:
            self._parked.add(send)
            self._taken -= 1

    def entry_s(self, send: Send, now_s: float) -> float:
        """Return when a request that gave its place away may enter again.

        Its turn was long ago, so the rate counts it as one more.
        """
        if send not in self._parked or not self._gap_s:
            return now_s
        entry_s = max(now_s, self._next_entry_s)
        self._next_entry_s = entry_s + self._gap_s
        return entry_s

    def unpark(self, send: Send) -> None:
        """Take a place again."""
        if send in self._parked:
            self._parked.discard(send)
            self._taken += 1
