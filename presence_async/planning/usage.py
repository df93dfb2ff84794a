"""Usage: the requests, events and deliveries of a number of days."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import attrs

from ..protocol.here_now import MAX_LIMIT
from .checking import calm_checks, checks_per_s_in_large_room
from .crowd import Crowd, crowd_of
from .polling import Polls, polls
from .situation import Situation

__all__ = ["Usage", "usage_of"]

_DAY_S = 86_400.0
_WHOLE_DAY_H = 24.0


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


class _Watching(NamedTuple):
    here_nows: float
    subscribes: float
    quiet: float


def usage_of(situation: Situation, days: float = 30) -> Usage:
    """Return what a number of days come to.

    Args:
        situation: The users, their watchers and the settings.
        days: How many, all alike.
    """
    crowd = crowd_of(situation)
    changes = _changes(situation, days)
    events = _events(situation, crowd, changes, days)
    seen = _share_seen(situation)
    watching = _watching(situation, crowd, changes, events, days)
    sessions = situation.users * situation.sessions * days
    reloads = situation.users * situation.reloads * days
    in_session_s = situation.session_s + situation.linger_s * (1 - situation.crashes)
    return Usage(
        days=days,
        requests={
            "heartbeat": sessions * (1 + in_session_s / situation.beat_s) + reloads,
            "leave": changes["leave"],
            "set state": changes["state-change"],
            "here now": watching.here_nows,
            "subscribe": watching.subscribes,
        },
        quiet_subscribes=watching.quiet,
        events=events,
        deliveries=math.fsum(events.values()) * seen * situation.observers,
        occupancy=crowd.mean,
    )


def _changes(situation: Situation, days: float) -> dict[str, float]:
    """Return what users do, on all their channels at once."""
    sessions = situation.users * situation.sessions * days
    reloads = situation.users * _seen_reloads(situation) * days
    online_h = situation.users * situation.hours * days
    return {
        "join": sessions + reloads,
        "leave": sessions * (1 - situation.crashes) + reloads,
        "timeout": sessions * situation.crashes,
        "state-change": online_h * situation.state_changes,
    }


def _seen_reloads(situation: Situation) -> float:
    return 0.0 if situation.hides_reloads else situation.reloads


def _events(
    situation: Situation, crowd: Crowd, changes: Mapping[str, float], days: float
) -> dict[str, float]:
    """Return what is published of it: in large rooms one event at each interval."""
    shares = {
        "join": crowd.single_joins,
        "leave": crowd.single_leaves,
        "timeout": crowd.single_leaves,
        "state-change": 1.0,
    }
    single = {
        action: changes[action] * situation.channels * share
        for action, share in shares.items()
    }
    large_s = situation.rooms * situation.window_s * days * crowd.large
    return {**single, "interval": large_s / situation.interval_s}


def _share_seen(situation: Situation) -> float:
    """Return which share of all events an observer receives."""
    of_day = min(1.0, situation.observer_hours / situation.day_hours)
    return of_day * situation.watched / situation.rooms


# What observers ask.


def _watching(
    situation: Situation,
    crowd: Crowd,
    changes: Mapping[str, float],
    events: Mapping[str, float],
    days: float,
) -> _Watching:
    # A day of 24 hours has no end: who watches all day enters once.
    is_constant = situation.observer_hours == _WHOLE_DAY_H
    entered = 1.0 if is_constant else days
    watched_s = situation.observer_hours / _WHOLE_DAY_H * _DAY_S * days
    busy_s = min(watched_s, situation.window_s * days)
    per_s = _moments(situation, events) / (situation.window_s * days)
    # A reload is a leave and soon a join.
    alone = 1 - situation.users * _seen_reloads(situation) * days / sum(
        changes.values()
    )
    busy = polls(per_s, busy_s, situation.idle_poll_s, alone=alone)
    idle = polls(0.0, watched_s - busy_s, situation.idle_poll_s)
    handshakes = entered * (1 if situation.view == "stream" else situation.watched)
    asked = _here_nows(situation, crowd, changes, entered, watched_s, days)
    quiet = handshakes + 2 * (busy.idle + idle.idle)
    return _Watching(
        situation.observers * asked,
        situation.observers * (quiet + busy.with_news),
        situation.observers * quiet,
    )


def _moments(situation: Situation, events: Mapping[str, float]) -> float:
    """Return at how many times an observer hears of something.

    A user's changes on several channels come at once.
    """
    rooms, watched = situation.rooms, situation.watched
    missed = 1.0
    for n in range(situation.channels):
        missed *= max(0.0, rooms - watched - n) / (rooms - n)
    single = math.fsum(events.values()) - events["interval"]
    alone = events["interval"] * watched / rooms
    return single / situation.channels * (1 - missed) + alone


def _here_nows(
    situation: Situation,
    crowd: Crowd,
    changes: Mapping[str, float],
    entered: float,
    watched_s: float,
    days: float,
) -> float:
    """Return how often one observer asks about all that it watches."""
    if situation.view == "stream":
        return 0.0
    if situation.view == "count":
        return situation.watched * entered * calm_checks(watched_s / entered)
    large_s = min(watched_s, situation.window_s * days) * crowd.large
    asked = large_s * _checks_per_s(situation, crowd, changes, days)
    calm_s = watched_s - large_s
    if calm_s > 0:
        # Each time that a room has been large the roster is wary again.
        times = max(entered, days if large_s else 0.0)
        asked += times * calm_checks(calm_s / times)
    pages = max(1, math.ceil(crowd.mean / MAX_LIMIT))
    return situation.watched * asked * pages


def _checks_per_s(
    situation: Situation, crowd: Crowd, changes: Mapping[str, float], days: float
) -> float:
    """Return how often a roster asks while its room is large."""
    if not crowd.large:
        return 0.0
    unannounced = changes["join"] * (1 - crowd.single_joins) + (
        changes["leave"] + changes["timeout"]
    ) * (1 - crowd.single_leaves)
    in_room = unannounced * situation.channels / situation.rooms
    return checks_per_s_in_large_room(
        in_room / (situation.window_s * days * crowd.large),
        situation.interval_s,
        has_deltas=situation.presence_deltas,
    )
