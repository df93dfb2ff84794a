"""Which changes get an event of their own, and which an interval event. Pure.

Source: https://www.pubnub.com/docs/general/presence/presence-events (read 2026-11) and
one recorded run of interval events, exactly 10 s apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import attrs

from ..deadlines import DueHeap
from .message_log import MESSAGES_KEPT
from .occupancy import OccupancyChange

__all__ = ["EventPolicy", "Interval"]

_LARGEST_LISTS_BYTES = 30_000
_STATE_CHANGE = "state-change"
_JOIN = "join"


@attrs.frozen(kw_only=True)
class Interval:
    """What happened on a channel since the last interval event.

    Attributes:
        channel: The channel.
        occupancy: The number of users there now.
        joined: Users who have joined, if the key set lists them.
        left: Users who have left.
        timed_out: Users who have timed out.
        here_now_refresh: Whether the lists were left out for their size.
        at_s: When the event is due.
    """

    channel: str
    occupancy: int
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    timed_out: tuple[str, ...] = ()
    here_now_refresh: bool = False
    at_s: float


@attrs.define(eq=False)
class _Unannounced:
    """The changes of a channel since its last interval event.

    Attributes:
        due_s: When the next interval event is due.
        first: The first action of each user.
        last: The latest action of each user.
    """

    due_s: float
    first: dict[str, str] = attrs.field(factory=dict)
    last: dict[str, str] = attrs.field(factory=dict)

    def record(self, change: OccupancyChange) -> None:
        self.first.setdefault(change.user_id, change.action)
        self.last.pop(change.user_id, None)
        self.last[change.user_id] = change.action

    def forget(self, user_id: str) -> None:
        self.first.pop(user_id, None)
        self.last.pop(user_id, None)

    def users(self, action: str) -> tuple[str, ...]:
        """Return the users whose last action it is, without those it cancels out.

        Who joined and left since the last event is as absent as before.
        """
        return tuple([
            user_id
            for user_id, last in self.last.items()
            if last == action and (self.first[user_id] == _JOIN) == (last == _JOIN)
        ])


class EventPolicy:
    """Decides for the channels of one subscribe key which events are sent, and when.

    Up to ``announce_max`` users, each change has an event of its own. Above, there is
    an interval event every ``interval_s``, the first one that long after the channel
    grew over the limit. It comes even if nothing has changed, as recorded (unverified
    on a channel without any change at all). A state change has its own event at any
    size (unverified). Once the channel is small again, changes have their own events at
    once, and one more interval event brings the earlier ones (unverified).

    Args:
        announce_max: The largest occupancy at which changes have their own events.
        interval_s: Seconds between interval events.
        has_deltas: Whether interval events list users: each at most once, and none
            that came and went in between (unverified).
        occupancy: Returns the number of users on a channel.
    """

    def __init__(
        self,
        *,
        announce_max: int,
        interval_s: float,
        has_deltas: bool,
        occupancy: Callable[[str], int],
    ) -> None:
        self._announce_max = announce_max
        self._interval_s = interval_s
        self._has_deltas = has_deltas
        self._occupancy = occupancy
        self._unannounced: dict[str, _Unannounced] = {}
        self._due: DueHeap[str] = DueHeap()

    def record(self, change: OccupancyChange) -> bool:
        """Record a change; return True if it has an event of its own."""
        if change.action == _STATE_CHANGE:
            return True
        unannounced = self._unannounced.get(change.channel)
        if change.occupancy <= self._announce_max:
            if unannounced is not None:
                unannounced.forget(change.user_id)
            return True
        if unannounced is None:
            unannounced = _Unannounced(change.at_s + self._interval_s)
            self._unannounced[change.channel] = unannounced
            self._due.put(change.channel, unannounced.due_s)
        unannounced.record(change)
        return False

    def next_tick_s(self) -> float:
        """Return when the next interval event is due, ``math.inf`` for never."""
        return self._due.next_due_s

    def tick(self, now_s: float) -> Interval | None:
        """Return the interval event that is due; ``None`` if there is none to send."""
        channel = self._due.pop_due(now_s)
        if channel is None:
            return None
        unannounced = self._unannounced.pop(channel)
        occupancy = self._occupancy(channel)
        is_large = occupancy > self._announce_max
        if is_large:
            following = _Unannounced(self._following_s(unannounced.due_s, now_s))
            self._unannounced[channel] = following
            self._due.put(channel, following.due_s)
        elif not unannounced.last:
            return None
        return self._interval(unannounced, channel, occupancy)

    def _following_s(self, due_s: float, now_s: float) -> float:
        """Return when the next one is due, after a jump only of those that are kept."""
        lost = (now_s - due_s) // self._interval_s - MESSAGES_KEPT
        return due_s + self._interval_s * max(1, lost)

    def _interval(
        self, unannounced: _Unannounced, channel: str, occupancy: int
    ) -> Interval:
        lists = [unannounced.users(action) for action in ("join", "leave", "timeout")]
        if not self._has_deltas:
            lists = [(), (), ()]
        is_too_long = _size_bytes(lists) > _LARGEST_LISTS_BYTES
        joined, left, timed_out = [(), (), ()] if is_too_long else lists
        return Interval(
            channel=channel,
            occupancy=occupancy,
            joined=joined,
            left=left,
            timed_out=timed_out,
            here_now_refresh=is_too_long,
            at_s=unannounced.due_s,
        )


def _size_bytes(lists: Iterable[Iterable[str]]) -> int:
    return sum(len(json.dumps(name)) + 1 for names in lists for name in names)
