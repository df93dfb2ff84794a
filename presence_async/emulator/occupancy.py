"""Who is present where, and until when: pure, every method takes ``now_s``.

One ``Occupancy`` stands for one subscribe key. The service knows users by id alone: a
user who announces from two places is there once, and a leave from either removes the
user.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping

import attrs

from ..protocol.json_codec import Json
from ..protocol.presence_params import DEFAULT_PRESENCE_TIMEOUT_S

__all__ = ["Occupancy", "OccupancyChange"]

State = Mapping[str, Json]
# When a user times out unless heard of before, and seconds after being heard of.
Stay = tuple[float, float]

_COMPACT_FROM = 1024


@attrs.frozen(kw_only=True)
class OccupancyChange:
    """Something that happened on a channel.

    Attributes:
        action: ``join``, ``leave``, ``timeout`` or ``state-change``.
        channel: Where.
        user_id: Who.
        occupancy: How many are there after it.
        state: The user's state, if there is one.
        at_s: When, on the clock of ``now_s``.
    """

    action: str
    channel: str
    user_id: str
    occupancy: int
    state: State | None
    at_s: float


class Occupancy:
    """The presence of every user on every channel of one subscribe key.

    Args:
        usual_timeout_s: Seconds that a user stays who does not say for how long.
    """

    def __init__(self, usual_timeout_s: float = DEFAULT_PRESENCE_TIMEOUT_S) -> None:
        self._usual_timeout_s = usual_timeout_s
        self._present: dict[str, dict[str, Stay]] = {}
        self._channels_of: dict[str, set[str]] = {}
        self._states: dict[str, dict[str, State]] = {}
        # By deadline; refreshed users leave outdated entries behind, which are
        # dropped when they come up or when they outnumber the rest.
        self._deadlines: list[tuple[float, str, str]] = []
        self._compacted_size = 0

    # What is asked.

    def occupants(self, channel: str) -> dict[str, State]:
        """Return the state of each user present on a channel, ``{}`` for none."""
        states = self._states.get(channel, {})
        return {user: states.get(user, {}) for user in self._present.get(channel, ())}

    def occupancy(self, channel: str) -> int:
        """Return how many users are present on a channel."""
        return len(self._present.get(channel, ()))

    def channels(self) -> tuple[str, ...]:
        """Return every channel with somebody on it."""
        return tuple(self._present)

    def channels_of(self, user_id: str) -> tuple[str, ...]:
        """Return the channels a user is present on."""
        return tuple(sorted(self._channels_of.get(user_id, ())))

    def state(self, channel: str, user_id: str) -> State:
        """Return a user's state on a channel, ``{}`` when none is stored."""
        return self._states.get(channel, {}).get(user_id, {})

    def next_deadline_s(self) -> float:
        """Return when the next user times out, ``math.inf`` when nobody does."""
        heap = self._deadlines
        while heap and not self._is_current(*heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else math.inf

    # What happens.

    def heartbeat(
        self,
        user_id: str,
        channels: Iterable[str],
        *,
        timeout_s: float | None,
        states: Mapping[str, State],
        now_s: float,
        extends: bool = True,
    ) -> list[OccupancyChange]:
        """Make a user present, or present for longer; store the states given.

        A state that differs from the one stored is reported, as the suggestion for
        this unrecorded case goes, unless the user joins with it.

        Args:
            user_id: Who.
            channels: Where.
            timeout_s: Seconds until the timeout; ``None``: as before, or the
                service's own for a user who joins.
            states: By channel.
            now_s: The time.
            extends: Whether a user already present may stay for longer by this.
        """
        changes: list[OccupancyChange] = []
        for channel in channels:
            here = self._present.setdefault(channel, {})
            known = here.get(user_id)
            if known is None or extends:
                usual_s = self._usual_timeout_s if known is None else known[1]
                self._stay(channel, user_id, timeout_s or usual_s, now_s)
            changed = self._store(channel, user_id, states.get(channel))
            if known is None:
                changes.append(self._change("join", channel, user_id, now_s))
            elif changed:
                changes.append(self._change("state-change", channel, user_id, now_s))
        return changes

    def refresh(self, user_id: str, channels: Iterable[str], *, now_s: float) -> None:
        """Let a user stay for longer wherever the user still is."""
        for channel in channels:
            known = self._present.get(channel, {}).get(user_id)
            if known is not None:
                self._stay(channel, user_id, known[1], now_s)

    def leave(
        self, user_id: str, channels: Iterable[str], *, now_s: float
    ) -> list[OccupancyChange]:
        """Remove a user and the user's state; nothing where the user is not."""
        return [
            self._remove("leave", channel, user_id, now_s)
            for channel in channels
            if user_id in self._present.get(channel, ())
        ]

    def set_state(
        self, user_id: str, channels: Iterable[str], state: State, *, now_s: float
    ) -> list[OccupancyChange]:
        """Replace a user's state, also that of an absent user."""
        changes = []
        for channel in channels:
            self._store(channel, user_id, state)
            changes.append(self._change("state-change", channel, user_id, now_s))
        return changes

    def expire(self, now_s: float) -> list[OccupancyChange]:
        """Remove every user whose time is up, in the order of their deadlines."""
        changes = []
        while self.next_deadline_s() <= now_s:
            deadline_s, channel, user_id = heapq.heappop(self._deadlines)
            changes.append(self._remove("timeout", channel, user_id, deadline_s))
        return changes

    def _is_current(self, deadline_s: float, channel: str, user_id: str) -> bool:
        stay = self._present.get(channel, {}).get(user_id)
        return stay is not None and stay[0] == deadline_s

    def _stay(self, channel: str, user_id: str, timeout_s: float, now_s: float) -> None:
        deadline_s = now_s + timeout_s
        self._present[channel][user_id] = (deadline_s, timeout_s)
        self._channels_of.setdefault(user_id, set()).add(channel)
        heapq.heappush(self._deadlines, (deadline_s, channel, user_id))
        if len(self._deadlines) > 2 * self._compacted_size + _COMPACT_FROM:
            self._deadlines = [d for d in self._deadlines if self._is_current(*d)]
            self._compacted_size = len(self._deadlines)
            heapq.heapify(self._deadlines)

    def _store(self, channel: str, user_id: str, state: State | None) -> bool:
        """Store a state if one is given; tells whether it is another."""
        if state is None or state == self.state(channel, user_id):
            return False
        if state:
            self._states.setdefault(channel, {})[user_id] = state
        else:
            self._forget_state(channel, user_id)
        return True

    def _remove(
        self, action: str, channel: str, user_id: str, now_s: float
    ) -> OccupancyChange:
        here = self._present[channel]
        del here[user_id]
        if not here:
            del self._present[channel]
        channels = self._channels_of[user_id]
        channels.discard(channel)
        if not channels:
            del self._channels_of[user_id]
        change = self._change(action, channel, user_id, now_s)
        self._forget_state(channel, user_id)
        return change

    def _forget_state(self, channel: str, user_id: str) -> None:
        states = self._states.get(channel, {})
        states.pop(user_id, None)
        if not states:
            self._states.pop(channel, None)

    def _change(
        self, action: str, channel: str, user_id: str, now_s: float
    ) -> OccupancyChange:
        return OccupancyChange(
            action=action,
            channel=channel,
            user_id=user_id,
            occupancy=self.occupancy(channel),
            state=self.state(channel, user_id) or None,
            at_s=now_s,
        )
