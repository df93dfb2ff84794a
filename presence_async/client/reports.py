"""What the client says about its end: which presences were left or handed over."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..errors import PresenceError
from ..presence.closing import Departure

__all__ = ["CloseReport", "ClosedPresence", "report_of"]


@attrs.frozen(kw_only=True)
class ClosedPresence:
    """What became of one user's presence when the client closed.

    Attributes:
        user_id: Who.
        channels: The channels held.
        channel_groups: The channel groups held.
        error: Why the leave or the last heartbeat failed; ``None`` when it did not.
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
    """Which presences were left or handed over when the client closed.

    Attributes:
        left: The service acknowledged the leave.
        handed_over: The service acknowledged the last heartbeat, as ``hand_over_s``
            asks; these users time out unless another process joins them again.
        failed: The service acknowledged neither; these users time out by the
            heartbeats before.
        skipped: No leave was sent, as ``leave_on_close=False`` asks.
    """

    left: tuple[ClosedPresence, ...] = ()
    handed_over: tuple[ClosedPresence, ...] = ()
    failed: tuple[ClosedPresence, ...] = ()
    skipped: tuple[ClosedPresence, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "left": [presence.to_dict() for presence in self.left],
            "handed_over": [presence.to_dict() for presence in self.handed_over],
            "failed": [presence.to_dict() for presence in self.failed],
            "skipped": [presence.to_dict() for presence in self.skipped],
        }


def report_of(departures: Sequence[Departure]) -> CloseReport:
    """Return which presences were left or handed over, and which were not."""
    kept: dict[str, list[ClosedPresence]] = {}
    for departure in departures:
        order = departure.order
        error = None if order is None else order.error
        presence = ClosedPresence(
            user_id=departure.user_id,
            channels=departure.channels,
            channel_groups=departure.channel_groups,
            error=error if isinstance(error, PresenceError) else None,
        )
        kept.setdefault(_fate(departure), []).append(presence)
    return CloseReport(**{fate: tuple(those) for fate, those in kept.items()})


def _fate(departure: Departure) -> str:
    """Return the field of the report that a departure belongs to."""
    if departure.order is None:
        return "skipped"
    if departure.order.error is not None:
        return "failed"
    return "handed_over" if departure.is_handed_over else "left"
