"""A presence service in memory: who is where, until when, and in what state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import attrs

from presence_async.presence.claims import PresenceOperation
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.json_codec import Json
from presence_async.protocol.leave import LeaveOperation

__all__ = ["GROUPS", "Service", "Spot", "members"]

Spot = tuple[str, str]
"""A user and a channel."""

GROUPS: Mapping[str, tuple[str, ...]] = {"g": ("c", "e"), "h": ("e", "f")}
"""Group ``g`` overlaps the channel ``c`` and the group ``h``."""


def members(channels: Iterable[str], channel_groups: Iterable[str]) -> list[str]:
    """Return channels and the members of groups."""
    found = list(channels)
    for group in channel_groups:
        found += GROUPS.get(group, ())
    return found


@attrs.define
class Service:
    """Applies requests in the order they arrive; its clock never stands still.

    Attributes:
        until_s: When each user times out on each channel.
        states: The state of each user on each channel.
        timeouts: How many timeouts observers saw.
    """

    until_s: dict[Spot, float] = attrs.field(factory=dict)
    states: dict[Spot, Mapping[str, Json]] = attrs.field(factory=dict)
    timeouts: int = 0

    def apply(self, operation: PresenceOperation, now_s: float) -> list[Spot]:
        """Apply a request; return the spots it is about."""
        user_id = operation.user_id
        named = members(operation.channels, operation.channel_groups)
        spots = [(user_id, channel) for channel in named]
        if isinstance(operation, HeartbeatOperation):
            until_s = now_s + operation.presence_timeout_s
            self.until_s.update(dict.fromkeys(spots, until_s))
            for name, state in (operation.state or {}).items():
                is_group = name in operation.channel_groups
                for channel in GROUPS[name] if is_group else (name,):
                    self.states[user_id, channel] = state
        elif isinstance(operation, LeaveOperation):
            for spot in spots:
                self._remove(spot)
        else:
            self.states.update(dict.fromkeys(spots, operation.state))
        return spots

    def expire(self, spot: Spot, now_s: float) -> bool:
        """Time a user out if its time has passed; return True if it has."""
        if self.until_s.get(spot, math.inf) > now_s + 1e-9:
            return False
        self._remove(spot)
        self.timeouts += 1
        return True

    def forget(self) -> None:
        """Lose everybody, as after a restart."""
        self.until_s.clear()
        self.states.clear()

    def _remove(self, spot: Spot) -> None:
        self.until_s.pop(spot, None)
        self.states.pop(spot, None)
