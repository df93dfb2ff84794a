"""Who is on a channel, live: concluded from events and confirmed by here now."""

from .readers import RosterChanges as RosterChanges
from .roster import Roster as Roster

__all__ = ["Roster", "RosterChanges"]
