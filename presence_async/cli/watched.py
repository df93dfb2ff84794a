"""Watched: what ``watch`` knows of a channel, beside the roster's list."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import presence_async

from .sparkline import CountHistory

__all__ = ["Seen", "Watched"]

_EVENTS = 100


class Seen(NamedTuple):
    """Since when a user is here.

    Attributes:
        since_s: The time of the join, or when the user was first seen.
        is_exact: Whether it is the time of the join.
    """

    since_s: float
    is_exact: bool


class Watched:
    """Since when the users of a channel are here, the last events and the counts.

    Args:
        channel: The channel.

    Attributes:
        events: The last events, newest last.
        history: The counts of the last minutes.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.events: deque[presence_async.PresenceEvent] = deque(maxlen=_EVENTS)
        self.history: CountHistory = CountHistory()
        self._seen: dict[str, Seen] = {}

    def take(self, event: presence_async.PresenceEvent, now_s: float) -> None:
        """Take an event of the roster, in order."""
        match event:
            case presence_async.SnapshotEvent():
                self._take_all([o.user_id for o in event.occupants], now_s)
            case presence_async.JoinEvent():
                # A corrected join happened some time before.
                is_exact = not event.synthesized
                self._seen[event.user_id] = Seen(now_s, is_exact)
            case presence_async.LeaveEvent() | presence_async.TimeoutEvent():
                self._seen.pop(event.user_id, None)
            case _:
                pass
        if isinstance(event, (presence_async.UserEvent, presence_async.GapEvent)):
            self.events.append(event)
        if event.occupancy is not None:
            self.history.note(len(self._seen), now_s)

    def seen(self, user_id: str) -> Seen | None:
        """Return since when a user is here; ``None`` if that is not yet known."""
        return self._seen.get(user_id)

    def _take_all(self, user_ids: Iterable[str], now_s: float) -> None:
        new = Seen(now_s, is_exact=False)
        self._seen = {user_id: self._seen.get(user_id, new) for user_id in user_ids}
