"""Usage: the requests, events and deliveries of a number of days."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from .crowd import crowd_of
from .happening import Happening
from .situation import Situation
from .watching import watching

__all__ = ["Usage", "usage_of"]


@attrs.frozen(kw_only=True)
class Usage:
    """What happens at the service in a number of days, on average.

    Attributes:
        days: How many.
        requests: How many of each operation, by the names of the emulator's journal.
        quiet_subscribes: How many of the subscribes bring no event.
        events: How many of each kind are published, on all channels.
        deliveries: How often an event reaches an observer.
        occupancy: How many users are in a room, while users come and go.
    """

    days: float
    requests: Mapping[str, float]
    quiet_subscribes: float
    events: Mapping[str, float]
    deliveries: float
    occupancy: float


def usage_of(situation: Situation, days: float = 30) -> Usage:
    """Return what a number of days come to.

    Args:
        situation: The users, their watchers and the settings.
        days: How many, all alike.
    """
    crowd = crowd_of(situation)
    happening = Happening.of(situation, crowd)
    events = {action: days * many for action, many in happening.events().items()}
    watched = watching(situation, happening, days)
    requests = {
        "heartbeat": days * _heartbeats(situation),
        "leave": days * (happening.leaves + happening.reloads),
        "set state": days * happening.state_changes,
        "here now": situation.observers * watched.here_nows,
        "subscribe": situation.observers * watched.subscribes,
    }
    seen = min(1.0, situation.observer_hours / situation.day_hours)
    seen *= situation.watched / situation.rooms
    return Usage(
        days=days,
        requests=requests,
        quiet_subscribes=situation.observers * watched.quiet_subscribes,
        events=events,
        deliveries=math.fsum(events.values()) * seen * situation.observers,
        occupancy=crowd.mean,
    )


def _heartbeats(s: Situation) -> float:
    """Return those of a day: one to join, also after a reload, and the regular ones.

    The first of these comes at a random time of the interval.
    """
    lasting_s = s.session_s + s.linger_s * (1 - s.crashes)
    return s.users * (s.sessions * (1 + lasting_s / s.beat_s) + s.reloads)
