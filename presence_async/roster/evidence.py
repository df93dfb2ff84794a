"""What events prove: of each user, about the number of users, and about time.

``LastSeen`` keeps the newest events of one user, ``OccupancyCheck`` the number of
occupants that the newest event claims, ``ServiceClock`` what the service's clock showed
at a loop time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..protocol.events import (
    IntervalEvent,
    PresenceEvent,
    StateChangeEvent,
    UserEvent,
)
from ..protocol.occupancy import Occupant
from ..protocol.timetoken import TIMETOKENS_PER_S

__all__ = [
    "LastSeen",
    "OccupancyCheck",
    "ServiceClock",
    "lacks_state",
    "newer_than",
    "occupant_of",
]

_WINDOW_S = 60.0
_GOOD_FOR_S = 600.0
"""Two clocks drift apart by less than 0.3 s in this time."""


class LastSeen:
    """The newest events about one user since the last snapshot.

    Attributes:
        presence: Timetoken of the newest join, leave or timeout.
        state: Timetoken of the newest state, that of a join included.
        change: The newest state change; kept of an absent user as well, since their
            join may be on its way.
    """

    __slots__ = ("change", "presence", "state")

    def __init__(self) -> None:
        self.presence: int = -1
        self.state: int = -1
        self.change: StateChangeEvent | None = None

    @property
    def newest(self) -> int:
        """The timetoken of the newest event."""
        return max(self.presence, self.state)

    def with_state(self, occupant: Occupant) -> Occupant:
        """Return an occupant with the state of the newest state change."""
        return occupant if self.change is None else occupant_of(self.change)


def newer_than(timetoken: int, seen: Mapping[str, LastSeen]) -> dict[str, LastSeen]:
    """Return the users with an event that is newer than a timetoken."""
    return {user_id: x for user_id, x in seen.items() if x.newest > timetoken}


def occupant_of(event: UserEvent) -> Occupant:
    """Return the user as an event describes them."""
    return Occupant(
        user_id=event.user_id, state=event.state, state_error=event.state_error
    )


def lacks_state(occupant: Occupant) -> bool:
    """Return True if the state of a user is not known yet."""
    return occupant.state is None and occupant.state_error is None


class OccupancyCheck:
    """Compares a number of occupants with the one that the newest event carries.

    Attributes:
        is_interval: True while joins and leaves arrive in interval events only.
    """

    def __init__(self) -> None:
        self.is_interval: bool = False
        self._newest = -1
        self._expected: int | None = None

    def record(self, event: PresenceEvent) -> None:
        """Learn from an event.

        Between interval events, the number that a state change carries includes joins
        and leaves that have not been announced yet, so it proves nothing.
        """
        is_state = isinstance(event, StateChangeEvent)
        if not is_state:
            self.is_interval = isinstance(event, IntervalEvent)
        if event.timetoken >= self._newest and not (is_state and self.is_interval):
            self._newest, self._expected = event.timetoken, event.occupancy

    def settle(self, settled: int) -> None:
        """Forget a number that a snapshot of a timetoken knows better."""
        if self.is_interval or self._newest <= settled:
            self._expected = None

    def forget(self) -> None:
        """Forget everything, as after a restart that changed the timetokens."""
        self._newest, self._expected = -1, None

    def fits(self, occupancy: int) -> bool:
        """Return True unless the newest event claims another number."""
        return self._expected is None or self._expected == occupancy


class ServiceClock:
    """The least that the service's clock shows at a loop time.

    An answer to here now carries no time, and events carry only the service's. An
    event was published before it was received, which bounds what the service's clock
    can show; the quickest event of the last minute or two gives the best bound.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget everything, as after a restart of the service with another clock."""
        # Loop time minus publish time, the least of this window and of the last.
        self._least_s = math.inf
        self._least_before_s = math.inf
        self._window_began_s = -math.inf
        self._heard_s = -math.inf

    def record(self, timetoken: int, *, now_s: float) -> None:
        """Learn from an event that was published at a timetoken and received now."""
        late_s = now_s - timetoken / TIMETOKENS_PER_S
        if now_s - self._window_began_s > _WINDOW_S:
            is_next = now_s - self._heard_s <= _WINDOW_S
            self._least_before_s = self._least_s if is_next else math.inf
            self._least_s, self._window_began_s = late_s, now_s
        elif late_s < self._least_s:
            self._least_s = late_s
        self._heard_s = now_s

    def shown_at(self, loop_s: float) -> int | None:
        """Return a timetoken that the service had reached at a loop time.

        The true one may be later, never earlier. ``None`` without an event in the last
        ten minutes.
        """
        least_s = min(self._least_s, self._least_before_s)
        if least_s == math.inf or loop_s - self._heard_s > _GOOD_FOR_S:
            return None
        return max(0, int((loop_s - least_s) * TIMETOKENS_PER_S))
