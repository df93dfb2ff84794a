"""What events have said of a user lately, as a roster's book notes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ...protocol.events import StateChangeEvent, UserEvent
from ...protocol.occupancy import Occupant

__all__ = ["Recent", "lacks_state", "newer_than", "occupant_of"]


@attrs.define(slots=True, eq=False)
class Recent:
    """What events have said about one user since the last snapshot.

    Attributes:
        presence: Timetoken of the newest join, leave or timeout.
        state: Timetoken of the newest state, that of a join included.
        change: The newest state change; kept also of an absent user, whose join may
            be on its way.
    """

    presence: int = -1
    state: int = -1
    change: StateChangeEvent | None = None

    @property
    def newest(self) -> int:
        """The timetoken of whatever was said last."""
        return max(self.presence, self.state)

    def with_state(self, occupant: Occupant) -> Occupant:
        """Return an occupant with the state said last."""
        return occupant if self.change is None else occupant_of(self.change)


def newer_than(timetoken: int, recent: Mapping[str, Recent]) -> dict[str, Recent]:
    """Return those of whom something newer than a timetoken was said."""
    return {user_id: r for user_id, r in recent.items() if r.newest > timetoken}


def occupant_of(event: UserEvent) -> Occupant:
    """Return the user as an event describes it."""
    return Occupant(
        user_id=event.user_id, state=event.state, state_error=event.state_error
    )


def lacks_state(occupant: Occupant) -> bool:
    """Tell whether nothing has said yet which state a user has."""
    return occupant.state is None and occupant.state_error is None
