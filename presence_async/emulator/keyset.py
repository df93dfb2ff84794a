"""One subscribe key: its occupancy, groups and events, and how operations act on them.

Pure: one method per operation, from the operation heard to the value answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from ..protocol.channel_groups import (
    AddChannelsOperation,
    DeleteGroupOperation,
    ListChannelsOperation,
    ListGroupsOperation,
    RemoveChannelsOperation,
)
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNow, HereNowOperation
from ..protocol.json_codec import Json
from ..protocol.leave import LeaveOperation
from ..protocol.names import is_presence_name
from ..protocol.occupancy import ChannelOccupancy, HereNowCounts
from ..protocol.user_state import GetStateOperation, SetStateOperation, UserState
from ..protocol.where_now import WhereNow, WhereNowOperation
from .groups import ChannelGroups
from .occupancy import Occupancy, PresenceEvent

__all__ = ["Keyset"]

_KEPT_EVENTS = 10_000


class Keyset:
    """What the service knows under one subscribe key.

    Args:
        min_presence_timeout_s: Shorter timeouts are raised to this.
    """

    def __init__(self, *, min_presence_timeout_s: float = 0) -> None:
        self.occupancy = Occupancy()
        self.groups = ChannelGroups()
        self.events: deque[PresenceEvent] = deque(maxlen=_KEPT_EVENTS)
        self._min_timeout_s = min_presence_timeout_s

    def expire(self, now_s: float) -> None:
        """Let those go whose time is up."""
        self.events += self.occupancy.expire(now_s)

    def here_now(
        self, operation: HereNowOperation, _: float
    ) -> HereNow | HereNowCounts:
        """Answer who is here."""
        if operation.is_global:
            channels: Iterable[str] = self.occupancy.channels()
        else:
            channels = self._expanded(operation.channels, operation.channel_groups)
        pages = {channel: self._page(channel, operation) for channel in channels}
        occupancies = [page.occupancy for page in pages.values() if page.occupancy]
        return HereNow(
            channels=pages,
            total_channels=len(occupancies),
            total_occupancy=sum(occupancies),
        )

    def where_now(self, operation: WhereNowOperation, _: float) -> WhereNow:
        """Answer where a user is."""
        channels = self.occupancy.channels_of(operation.user_id)
        return WhereNow(user_id=operation.user_id, channels=channels)

    def set_state(
        self, operation: SetStateOperation, now_s: float
    ) -> Mapping[str, Json]:
        """Store a state."""
        channels = self._expanded(operation.channels, operation.channel_groups)
        self.events += self.occupancy.set_state(
            operation.user_id, channels, operation.state, now_s=now_s
        )
        return operation.state

    def get_state(self, operation: GetStateOperation, _: float) -> UserState:
        """Answer with a state."""
        channels = self._expanded(operation.channels, operation.channel_groups)
        user_id = operation.user_id
        states = {c: self.occupancy.state(c, user_id) for c in channels}
        return UserState(user_id=user_id, states=states)

    def heartbeat(self, operation: HeartbeatOperation, now_s: float) -> None:
        """Make a user present."""
        self.events += self.occupancy.heartbeat(
            operation.user_id,
            self._expanded(operation.channels, operation.channel_groups),
            timeout_s=max(operation.presence_timeout_s, self._min_timeout_s),
            states=self.groups.spread(operation.state or {}),
            now_s=now_s,
        )

    def leave(self, operation: LeaveOperation, now_s: float) -> None:
        """Let a user go."""
        channels = self._expanded(operation.channels, operation.channel_groups)
        self.events += self.occupancy.leave(operation.user_id, channels, now_s=now_s)

    def add_channels(self, operation: AddChannelsOperation, _: float) -> None:
        """Add channels to a group."""
        self.groups.add(operation.group, operation.channels)

    def remove_channels(self, operation: RemoveChannelsOperation, _: float) -> None:
        """Take channels out of a group."""
        self.groups.remove(operation.group, operation.channels)

    def delete_group(self, operation: DeleteGroupOperation, _: float) -> None:
        """Delete a group."""
        self.groups.delete(operation.group)

    def list_channels(
        self, operation: ListChannelsOperation, _: float
    ) -> tuple[str, ...]:
        """Answer with the members of a group."""
        return self.groups.channels(operation.group)

    def list_groups(self, _: ListGroupsOperation, __: float) -> tuple[str, ...]:
        """Answer with all groups."""
        return self.groups.names()

    def _expanded(
        self, channels: Iterable[str], channel_groups: Iterable[str]
    ) -> tuple[str, ...]:
        members = self.groups.expand(channels, channel_groups)
        return tuple([name for name in members if not is_presence_name(name)])

    def _page(self, channel: str, operation: HereNowOperation) -> ChannelOccupancy:
        everybody = self.occupancy.occupants(channel)
        limit = len(everybody) if operation.limit is None else operation.limit
        chosen = list(everybody)[operation.offset : operation.offset + limit]
        states = {user_id: everybody[user_id] for user_id in chosen}
        return ChannelOccupancy.of(
            channel,
            states if operation.include_state else chosen,
            occupancy=len(everybody),
        )
