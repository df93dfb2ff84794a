"""Who is present where, and until when: pure, every method takes ``now_s``.

One ``Occupancy`` belongs to one subscribe key. The service knows users by ID alone: a
user who is announced from two places is there once, and a leave from either removes
the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..deadlines import DueHeap
from ..protocol.json_codec import Json
from ..protocol.presence_params import DEFAULT_PRESENCE_TIMEOUT_S

__all__ = ["Occupancy", "OccupancyChange"]

State = Mapping[str, Json]


@attrs.frozen(kw_only=True)
class OccupancyChange:
    """Something that happened on a channel.

    Attributes:
        action: ``join``, ``leave``, ``timeout`` or ``state-change``.
        channel: The channel.
        user_id: The user.
        occupancy: The number of users there afterwards.
        state: The user's state, if there is one.
        at_s: The time, on the clock of ``now_s``.
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
        usual_timeout_s: Presence timeout of users who name none, in seconds.
        debounce_s: Seconds for which a leave is held back: until then the user is still
            present, and a join undoes it, so that neither is seen.
    """

    def __init__(
        self,
        usual_timeout_s: float = DEFAULT_PRESENCE_TIMEOUT_S,
        *,
        debounce_s: float = 0,
    ) -> None:
        self._usual_timeout_s = usual_timeout_s
        self._debounce_s = debounce_s
        # Who has left and is still present, because the leave is held back.
        self._leaving: set[tuple[str, str]] = set()
        # By channel, the presence timeout of each user on it.
        self._present: dict[str, dict[str, float]] = {}
        self._channels_of: dict[str, set[str]] = {}
        self._states: dict[str, dict[str, State]] = {}
        self._due: DueHeap[tuple[str, str]] = DueHeap()

    # Queries.

    def occupants(self, channel: str) -> dict[str, State]:
        """Return the state of each user present on a channel, ``{}`` for none."""
        states = self._states.get(channel, {})
        return {user: states.get(user, {}) for user in self._present.get(channel, ())}

    def occupancy(self, channel: str) -> int:
        """Return the number of users on a channel."""
        return len(self._present.get(channel, ()))

    def channels(self) -> tuple[str, ...]:
        """Return every channel with a user on it."""
        return tuple(self._present)

    def channels_of(self, user_id: str) -> tuple[str, ...]:
        """Return the channels that a user is present on."""
        return tuple(sorted(self._channels_of.get(user_id, ())))

    def state(self, channel: str, user_id: str) -> State:
        """Return a user's state on a channel, ``{}`` when none is stored."""
        return self._states.get(channel, {}).get(user_id, {})

    def users_total(self) -> int:
        """Return the number of users who are present anywhere."""
        return len(self._channels_of)

    def timeout_s(self, channel: str, user_id: str) -> float:
        """Return the presence timeout of a user on a channel, 0 for one not there."""
        return self._present.get(channel, {}).get(user_id, 0)

    def deadline_s(self, channel: str, user_id: str) -> float:
        """Return when a user times out on a channel, ``math.inf`` for one not there."""
        return self._due.due_s((channel, user_id))

    def next_deadline_s(self) -> float:
        """Return when the next user times out, ``math.inf`` when nobody does."""
        return self._due.next_due_s

    # Changes.

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
        """Make a user present, or present for longer; store the given states.

        A state that differs from the stored one is reported unless the user joins with
        it. This is unverified: no recording shows the case.

        Args:
            user_id: The user.
            channels: The channels.
            timeout_s: Seconds until the timeout; ``None``: as before, or the
                service's own for a user who joins.
            states: States by channel.
            now_s: The time.
            extends: Whether it also extends the presence of users already there.
        """
        changes: list[OccupancyChange] = []
        for channel in channels:
            here = self._present.setdefault(channel, {})
            known_s = here.get(user_id)
            is_back = (channel, user_id) in self._leaving
            if known_s is None or extends or is_back:
                usual_s = self._usual_timeout_s if known_s is None else known_s
                self._keep(channel, user_id, timeout_s or usual_s, now_s)
            is_changed = self._store(channel, user_id, states.get(channel))
            if known_s is None:
                changes.append(self._change("join", channel, user_id, now_s))
            elif is_changed:
                changes.append(self._change("state-change", channel, user_id, now_s))
        return changes

    def refresh(self, user_id: str, channels: Iterable[str], *, now_s: float) -> None:
        """Extend a user's presence on those channels where the user still is."""
        for channel in channels:
            timeout_s = self._present.get(channel, {}).get(user_id)
            if timeout_s is not None and (channel, user_id) not in self._leaving:
                self._keep(channel, user_id, timeout_s, now_s)

    def leave(
        self, user_id: str, channels: Iterable[str], *, now_s: float
    ) -> list[OccupancyChange]:
        """Remove a user and the user's state from the channels where the user is.

        A leave that is held back takes effect in ``expire``.
        """
        here = [c for c in channels if user_id in self._present.get(c, ())]
        if not self._debounce_s:
            return [self._remove("leave", channel, user_id, now_s) for channel in here]
        for channel in here:
            self._hold_back((channel, user_id), now_s)
        return []

    def kick(
        self, user_id: str, channels: Iterable[str], *, now_s: float
    ) -> list[OccupancyChange]:
        """Time a user out now on those channels where the user is."""
        here = [c for c in channels if user_id in self._present.get(c, ())]
        return [self._remove("timeout", channel, user_id, now_s) for channel in here]

    def set_state(
        self, user_id: str, channels: Iterable[str], state: State, *, now_s: float
    ) -> list[OccupancyChange]:
        """Replace a user's state, also if the user is absent."""
        changes = []
        for channel in channels:
            self._store(channel, user_id, state)
            changes.append(self._change("state-change", channel, user_id, now_s))
        return changes

    def expire(self, now_s: float) -> list[OccupancyChange]:
        """Remove every user whose timeout or held leave is due, in that order."""
        changes = []
        while (deadline_s := self._due.next_due_s) <= now_s:
            due = self._due.pop_due(deadline_s)
            if due is None:
                break
            action = "leave" if due in self._leaving else "timeout"
            changes.append(self._remove(action, *due, deadline_s))
        return changes

    def _keep(self, channel: str, user_id: str, timeout_s: float, now_s: float) -> None:
        self._present[channel][user_id] = timeout_s
        self._channels_of.setdefault(user_id, set()).add(channel)
        self._leaving.discard((channel, user_id))
        self._due.put((channel, user_id), now_s + timeout_s)

    def _hold_back(self, key: tuple[str, str], now_s: float) -> None:
        self._leaving.add(key)
        self._due.put(key, min(self._due.due_s(key), now_s + self._debounce_s))

    def _store(self, channel: str, user_id: str, state: State | None) -> bool:
        """Store a state if one is given; return True if it differs from the old one."""
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
        self._due.discard((channel, user_id))
        self._leaving.discard((channel, user_id))
        here = self._present[channel]
        del here[user_id]
        if not here:
            del self._present[channel]
        channels = self._channels_of[user_id]
        channels.discard(channel)
        if not channels:
            del self._channels_of[user_id]
        # The event carries the state, so the state is forgotten after it is made.
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
