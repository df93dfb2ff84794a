"""The occupancy that events carry, held against a roster's own count. Pure."""

from __future__ import annotations

from ...protocol.events import IntervalEvent, PresenceEvent, StateChangeEvent

__all__ = ["Checksum"]


class Checksum:
    """How many are present by the newest event.

    Attributes:
        is_interval: Whether only interval events tell who comes and goes now.
    """

    def __init__(self) -> None:
        self.is_interval: bool = False
        self._newest = -1
        self._expected: int | None = None

    def note(self, event: PresenceEvent) -> None:
        """Learn from an event.

        Between interval events the count that a state change carries is ahead of
        what has been told, so it says nothing.
        """
        is_state = isinstance(event, StateChangeEvent)
        if not is_state:
            self.is_interval = isinstance(event, IntervalEvent)
        if event.timetoken >= self._newest and not (is_state and self.is_interval):
            self._newest, self._expected = event.timetoken, event.occupancy

    def settle(self, settled: int) -> None:
        """Forget what a snapshot knows better."""
        if self.is_interval or self._newest <= settled:
            self._expected = None

    def forget(self) -> None:
        """Forget everything, as there is another time."""
        self._newest, self._expected = -1, None

    def fits(self, occupancy: int) -> bool:
        """Tell whether a count is what the newest event says."""
        return self._expected is None or self._expected == occupancy
