"""What the client says about itself: how it closed, how its heartbeats stand."""

from __future__ import annotations

import attrs

from ..errors import PresenceError

__all__ = ["CloseReport", "ClosedPresence", "HeartbeatStats"]


@attrs.frozen(kw_only=True)
class ClosedPresence:
    """What became of one user's presence when the client closed.

    Attributes:
        user_id: Who.
        channels: The channels held.
        channel_groups: The channel groups held.
        error: Why the leave failed; ``None`` when it did not.
    """

    user_id: str
    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    error: PresenceError | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "user_id": self.user_id,
            "channels": list(self.channels),
            "channel_groups": list(self.channel_groups),
            "error": str(self.error) if self.error is not None else None,
        }


@attrs.frozen(kw_only=True)
class CloseReport:
    """Which presences were left when the client closed, and which were not.

    Attributes:
        left: The service acknowledged the leave.
        failed: It did not; these users time out.
        skipped: No leave was sent, as ``leave_on_close=False`` asks.
    """

    left: tuple[ClosedPresence, ...] = ()
    failed: tuple[ClosedPresence, ...] = ()
    skipped: tuple[ClosedPresence, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "left": [presence.to_dict() for presence in self.left],
            "failed": [presence.to_dict() for presence in self.failed],
            "skipped": [presence.to_dict() for presence in self.skipped],
        }


@attrs.frozen(kw_only=True)
class HeartbeatStats:
    """The heartbeats of a client at one moment.

    Attributes:
        leases: Leases held.
        fresh: Of these, how many are ``FRESH``; the next three likewise.
        at_risk: ``AT_RISK``.
        lost: ``LOST``.
        refused: ``REFUSED``.
        leaving: Leaves that are owed and not acknowledged yet.
        beats_sent: Heartbeats sent since the start.
        beats_failed: Of these, how many were not acknowledged.
        lateness_p50_s: Seconds between due and sent, median of the newest 1,024.
        lateness_p99_s: The same, 99th percentile.
        lateness_max_s: The same, maximum.
        next_due_s: Seconds until the next heartbeat; ``None``: none is due.
    """

    leases: int
    fresh: int
    at_risk: int
    lost: int
    refused: int
    leaving: int
    beats_sent: int
    beats_failed: int
    lateness_p50_s: float
    lateness_p99_s: float
    lateness_max_s: float
    next_due_s: float | None

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return attrs.asdict(self)
