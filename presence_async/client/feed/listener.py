"""Listener: who receives the presence events of a feed."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from ...errors import RequestError
from ...protocol.events import GapEvent, GapReason, PresenceEvent
from ...protocol.timetoken import unix_ms

__all__ = ["Listener", "StreamHealth", "gap"]


class StreamHealth(enum.StrEnum):
    """Whether the events of a stream arrive."""

    LIVE = "live"
    """The service holds the poll, as far as the client can know."""
    RECONNECTING = "reconnecting"
    """It cannot be reached; the stream goes on where it was once it can."""
    REFUSED = "refused"
    """It refuses the token or a name; tried twice a minute, at once on a new token."""
    CLOSED = "closed"
    """Not entered yet, or ended for good."""


class Listener(Protocol):
    """Receives the events of some channels and groups; hashed by identity."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels and wildcards, without ``-pnpres``; constant while attached."""
        ...

    @property
    def channel_groups(self) -> tuple[str, ...]:
        """Groups, without ``-pnpres``; constant while attached."""
        ...

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Take events, in order and each once; must neither wait nor fail."""
        ...

    def set_health(self, health: StreamHealth, error: RequestError | None) -> None:
        """Take the new health and the failure behind it; ``CLOSED`` comes last."""
        ...


def gap(reason: GapReason, timetoken: int, dropped: int | None = None) -> GapEvent:
    """Return the event that stands for missing events after a timetoken."""
    return GapEvent(
        timetoken=timetoken,
        timestamp_ms=unix_ms(timetoken),
        reason=reason,
        dropped=dropped,
    )
