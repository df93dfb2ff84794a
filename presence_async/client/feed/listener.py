"""Listener: who hears presence events of a feed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from ...errors import RequestError
from ...protocol.events import GapEvent, GapReason, PresenceEvent
from ...protocol.timetoken import unix_ms

__all__ = ["Listener", "StreamHealth", "gap"]


class StreamHealth(enum.StrEnum):
    """How a stream of events stands."""

    LIVE = "live"
    """The service holds the poll, as far as the client can know."""
    RECONNECTING = "reconnecting"
    """It cannot be reached; the stream goes on where it was once it can."""
    REFUSED = "refused"
    """It refuses the token or a name; tried twice a minute, at once on a new token."""
    CLOSED = "closed"
    """Not entered yet, or ended for good."""


class Listener(Protocol):
    """Hears the events of some channels and groups; hashed by identity."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels and wildcards, without ``-pnpres``; the same as long as it hears."""
        ...

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """Groups, without ``-pnpres``; the same as long as it hears."""
        ...

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Take events, in order and each once; must neither wait nor fail."""
        ...

    def turn(self, health: StreamHealth, error: RequestError | None) -> None:
        """Hear how the stream stands now, and what it ran into.

        ``CLOSED`` is the last call.
        """
        ...


def gap(reason: GapReason, timetoken: int, dropped: int | None = None) -> GapEvent:
    """Say that events are missing after a timetoken."""
    return GapEvent(
        timetoken=timetoken,
        timestamp_ms=unix_ms(timetoken),
        reason=reason,
        dropped=dropped,
    )
