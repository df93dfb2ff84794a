"""What a channel tells of its changes: each one, or from time to time how many. Pure.

Source: https://www.pubnub.com/docs/general/presence/presence-events (read 2026-11) and
one recorded run of interval events, exactly 10 s apart.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Iterable

import attrs

from .occupancy import OccupancyChange

__all__ = ["Announcer", "Interval"]

_LARGEST_LISTS_BYTES = 30_000
_STATE_CHANGE = "state-change"
_JOIN = "join"


@attrs.frozen(kw_only=True)
class Interval:
    """What happened on a channel since the last time.

    Attributes:
        channel: Where.
        occupancy: How many are there now.
        joined: Who has come, if the lists are told.
        left: Who has left.
        timed_out: Who has timed out.
        here_now_refresh: Whether the lists were left out for their size.
        at_s: When it is told.
    """

    channel: str
    occupancy: int
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    timed_out: tuple[str, ...] = ()
    here_now_refresh: bool = False
    at_s: float


@attrs.define(eq=False)
class _Untold:
    """The changes of a channel not told yet.

    Attributes:
        due_s: When they are.
        first: The first action of each user.
        last: The latest action of each user.
    """

    due_s: float
    first: dict[str, str] = attrs.field(factory=dict)
    last: dict[str, str] = attrs.field(factory=dict)

    def note(self, change: OccupancyChange) -> None:
        self.first.setdefault(change.user_id, change.action)
        self.last.pop(change.user_id, None)
        self.last[change.user_id] = change.action

    def forget(self, user_id: str) -> None:
        self.first.pop(user_id, None)
        self.last.pop(user_id, None)

    def users(self, action: str) -> tuple[str, ...]:
        """Name those to whom it happened in the end and makes a difference."""
        return tuple([
            user_id
            for user_id, last in self.last.items()
            if last == action and (self.first[user_id] == _JOIN) == (last == _JOIN)
        ])


class Announcer:
    """Decides for the channels of one subscribe key what is told and when.

    Up to ``announce_max`` users each change is told by itself. Above, there is an
    interval event every ``interval_s``, the first one that long after the channel grew
    over the limit, also when nothing has changed, as recorded (on a channel without
    any change at all it is unverified). A state change is told by itself at any size
    (unverified). Once the channel is small again, changes are told by themselves at
    once; what is untold until then comes with one more interval event (unverified).

    Args:
        announce_max: How many users a channel may have to tell of each.
        interval_s: Seconds between interval events.
        has_deltas: Whether interval events list users: each at most once, and not at
            all who has come and gone (unverified).
        occupancy: Tells how many are on a channel.
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
        self._untold: dict[str, _Untold] = {}
        self._ticks: list[tuple[float, str]] = []

    def hear(self, change: OccupancyChange) -> bool:
        """Take a change; returns whether it is told by itself."""
        if change.action == _STATE_CHANGE:
            return True
        untold = self._untold.get(change.channel)
        if change.occupancy <= self._announce_max:
            if untold is not None:
                untold.forget(change.user_id)
            return True
        if untold is None:
            untold = _Untold(change.at_s + self._interval_s)
            self._untold[change.channel] = untold
            heapq.heappush(self._ticks, (untold.due_s, change.channel))
        untold.note(change)
        return False

    def next_tick_s(self) -> float:
        """Return when the next interval event is due, ``math.inf`` for never."""
        return self._ticks[0][0] if self._ticks else math.inf

    def tick(self) -> Interval | None:
        """Say the interval event that is due; ``None``: there was nothing left."""
        due_s, channel = heapq.heappop(self._ticks)
        untold = self._untold.pop(channel)
        occupancy = self._occupancy(channel)
        is_large = occupancy > self._announce_max
        if is_large:
            again = _Untold(due_s + self._interval_s)
            self._untold[channel] = again
            heapq.heappush(self._ticks, (again.due_s, channel))
        elif not untold.last:
            return None
        return self._interval(untold, channel, occupancy)

    def _interval(self, untold: _Untold, channel: str, occupancy: int) -> Interval:
        lists = [untold.users(action) for action in ("join", "leave", "timeout")]
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
            at_s=untold.due_s,
        )


def _size_bytes(lists: Iterable[Iterable[str]]) -> int:
    return sum(len(json.dumps(name)) + 1 for names in lists for name in names)
