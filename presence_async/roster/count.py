"""CountState: how many are on a channel, from events and counts.

Every event carries the whole number, so the newest witness is right by itself: an
event, unless here now was asked so much later that its answer shows the event as well.
"""

from __future__ import annotations

from ..protocol.events import (
    GapEvent,
    IntervalEvent,
    JoinEvent,
    PresenceEvent,
    StateChangeEvent,
    UserEvent,
)
from ..protocol.timetoken import TIMETOKENS_PER_S
from .evidence import ServiceClock
from .schedule import SETTLE_S, SnapshotSchedule
from .snapshot import Count

__all__ = ["CountState"]

_QUEUE_S = 1200
"""The service keeps a message for about 20 minutes; none arrives later."""


class CountState:
    """The number of users on one channel; no names, whatever the size of the room.

    Attributes:
        occupancy: The number; 0 until something is known.

    Args:
        channel: The channel.
        schedule: Learns what casts doubt on the number or confirms it.
    """

    def __init__(self, channel: str, schedule: SnapshotSchedule) -> None:
        self._channel = channel
        self._schedule = schedule
        self._clock = ServiceClock()
        self.occupancy: int = 0
        # The number is that of this timetoken, or later.
        self._newest = -1
        self._is_interval = False

    def apply(self, event: PresenceEvent, *, now_s: float) -> None:
        """Take in an event."""
        if isinstance(event, GapEvent):
            self._record_gap(event, now_s)
        elif event.channel != self._channel:
            return
        elif isinstance(event, UserEvent | IntervalEvent):
            self._clock.record(event.timetoken, now_s=now_s)
            if event.timetoken < self._newest:
                self._schedule.record_trouble(now_s=now_s)
            else:
                self._adopt(event, now_s)

    def _record_gap(self, event: GapEvent, now_s: float) -> None:
        self._schedule.doubt(now_s=now_s)
        if event.reason == "reconnect":
            # The service may have another clock now, so old timetokens prove nothing
            # about new ones.
            self._clock.forget()
            self._newest = -1

    def _adopt(self, event: UserEvent | IntervalEvent, now_s: float) -> None:
        if not self._follows(event):
            # Another event is missing. It does not matter for the number, but the last
            # one of the channel may go the same way, and nothing would show that.
            self._schedule.record_trouble(now_s=now_s)
        if not isinstance(event, StateChangeEvent):
            self._is_interval = isinstance(event, IntervalEvent)
        self.occupancy, self._newest = event.occupancy, event.timetoken
        self._schedule.trust()

    def _follows(self, event: UserEvent | IntervalEvent) -> bool:
        if self._is_interval or isinstance(event, IntervalEvent):
            return True
        if isinstance(event, StateChangeEvent):
            return event.occupancy == self.occupancy
        step = 1 if isinstance(event, JoinEvent) else -1
        return event.occupancy == self.occupancy + step

    def reconcile(self, count: Count, *, now_s: float) -> None:
        """Take in an answer to here now; newer events prevail."""
        settled = self._clock.shown_at(count.sent_at_s - SETTLE_S)
        # Between interval events the number changes without any.
        differs = self.occupancy != count.occupancy and not self._is_interval
        prevails = self._is_newer_than(settled)
        if not prevails:
            self.occupancy = count.occupancy
            self._newest = -1 if settled is None else settled
        self._schedule.answered(
            sent_s=count.sent_at_s, found=differs and not prevails, now_s=now_s
        )
        if prevails and differs:
            # Either the answer is older than the event, or a later event is missing.
            self._schedule.suspect(now_s=now_s)
        else:
            self._schedule.trust()

    def _is_newer_than(self, settled: int | None) -> bool:
        """Return True if an answer may not show the newest event yet.

        Without a recent event it shows all there were, and none is from far ahead.
        """
        if settled is None:
            return False
        return settled < self._newest <= settled + _QUEUE_S * TIMETOKENS_PER_S
