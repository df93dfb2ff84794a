"""How requests share a session whose connector allows only so many connections.

aiohttp serves whoever asks first, so hanging queries and held polls would leave no
connection to heartbeats. Queries and event requests, which are polls and handshakes,
therefore wait here, and a third of the connections is left to heartbeats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .aio import Gate
from .safe_log import SafeLogger

__all__ = ["FEWEST_CONNECTIONS", "Share", "Shares"]

logger: SafeLogger = SafeLogger("presence_async.client")

# One for a heartbeat, one for a query, and for events one poll and one handshake.
FEWEST_CONNECTIONS: Final = 4
_KEPT_FOR_EVENTS: Final = 2


class Share(Gate):
    """The gate to one kind's share: its room depends on what the other kind takes.

    Args:
        has_room: Tells whether one more may enter.
        on_leave: Called when one has left, which may make room for either kind.
        warning: Logged the first time one has to wait; empty: nothing.
    """

    __slots__ = ("_has_room", "_on_leave", "_warning", "inside")

    def __init__(
        self,
        has_room: Callable[[], bool],
        on_leave: Callable[[], None],
        warning: str = "",
    ) -> None:
        # The places are not its own, so all who wait are let in by ``admit``.
        super().__init__(0)
        self._has_room = has_room
        self._on_leave = on_leave
        self._warning = warning
        self.inside: int = 0

    def try_enter(self) -> bool:
        """Enter if there is room; whoever waits could have entered, too."""
        if not self._has_room():
            return False
        self.inside += 1
        return True

    async def enter(self) -> None:
        """Wait for a place.

        Cancellation: gives the place back.
        """
        if self.try_enter():
            return
        if self._warning:
            logger.warning(self._warning)
            self._warning = ""
        await super().enter()

    def leave(self) -> None:
        """Give the place back."""
        self.inside -= 1
        self._on_leave()

    def admit(self) -> None:
        """Let those in who wait, as long as there is room."""
        while self._waiting and self._has_room():
            place = self._waiting.popleft()
            if not place.done():
                self.inside += 1
                place.set_result(None)


class Shares:
    """The gates of one client on a session of limited connections.

    Args:
        limit: Connections that the session's connector allows to the service.
        max_connections: Most queries at once.
        max_beats: Most heartbeats and leaves at once.

    Attributes:
        queries: The gate of queries.
        events: The gate of polls and handshakes, which go before queries.
        heartbeats: Connections kept for heartbeats and leaves.
    """

    def __init__(self, limit: int, *, max_connections: int, max_beats: int) -> None:
        self.heartbeats: int = min(max_beats, limit // 3)
        self._places = limit - self.heartbeats
        self._max_connections = max_connections
        self.queries: Share = Share(self._fits_query, self._admit)
        self.events: Share = Share(
            self._fits_event,
            self._admit,
            f"an event stream waits for a connection: its session allows only {limit};"
            " give that session aiohttp.TCPConnector(limit=0)",
        )

    def _fits_query(self) -> bool:
        queries, events = self.queries.inside, self.events.inside
        taken = queries + max(events, _KEPT_FOR_EVENTS)
        return queries < self._max_connections and taken < self._places

    def _fits_event(self) -> bool:
        queries, events = self.queries.inside, self.events.inside
        # A poll is held for minutes; one place stays with the queries.
        return max(queries, 1) + events < self._places

    def _admit(self) -> None:
        self.events.admit()
        self.queries.admit()
