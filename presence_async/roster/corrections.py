"""Events that a roster concludes instead of receiving them, marked as synthesized."""

from __future__ import annotations

from typing import TypeVar

from ..protocol.events import (
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    StateChangeEvent,
    UserEvent,
)
from ..protocol.occupancy import Occupant
from ..protocol.timetoken import TIMETOKENS_PER_S
from .snapshot import Snapshot

__all__ = ["correction", "listed_user", "state_change"]

EventT = TypeVar("EventT", bound=UserEvent)


def state_change(event: JoinEvent) -> StateChangeEvent:
    """Return the state that a repeated join brings as a state change."""
    return StateChangeEvent(
        channel=event.channel,
        subscription=event.subscription,
        occupancy=event.occupancy,
        timetoken=event.timetoken,
        timestamp_ms=event.timestamp_ms,
        synthesized=True,
        user_id=event.user_id,
        state=event.state,
        state_error=event.state_error,
    )


def listed_user(
    kind: type[EventT], user_id: str, interval: PresenceEvent, occupancy: int
) -> EventT:
    """Return the event of one user on a list of an interval event."""
    return kind(
        channel=interval.channel or "",
        occupancy=max(0, occupancy),
        timetoken=interval.timetoken,
        timestamp_ms=interval.timestamp_ms,
        synthesized=True,
        user_id=user_id,
    )


def correction(
    kind: type[UserEvent], occupant: Occupant, snapshot: Snapshot, occupancy: int
) -> UserEvent:
    """Return the event for a change that only a snapshot shows."""
    has_state = kind is not LeaveEvent
    return kind(
        channel=snapshot.channel,
        occupancy=occupancy,
        timetoken=snapshot.timestamp_ms * TIMETOKENS_PER_S // 1000,
        timestamp_ms=snapshot.timestamp_ms,
        synthesized=True,
        user_id=occupant.user_id,
        state=occupant.state if has_state else None,
        state_error=occupant.state_error if has_state else None,
    )
