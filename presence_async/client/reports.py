"""What the client says about its end: which presences were left, and which not."""

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


def report_of(departures: Sequence[Departure]) -> CloseReport:
    """Return which presences were left and which were not."""
    left: list[ClosedPresence] = []
    failed: list[ClosedPresence] = []
    skipped: list[ClosedPresence] = []
    for departure in departures:
        order = departure.order
        error = None if order is None else order.error
        presence = ClosedPresence(
            user_id=departure.user_id,
            channels=departure.channels,
            channel_groups=departure.channel_groups,
            error=error if isinstance(error, PresenceError) else None,
        )
        kept = skipped if order is None else left if error is None else failed
        kept.append(presence)
    return CloseReport(left=tuple(left), failed=tuple(failed), skipped=tuple(skipped))
