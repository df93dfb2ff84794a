"""One subscribe key: its occupancy, groups and events, and how operations change them.

Pure: one method per operation, which takes it and returns the value of its reply.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from ..errors import InvalidArgumentError
from ..protocol.channel_groups import (
    AddChannelsOperation,
    DeleteGroupOperation,
    ListChannelsOperation,
    ListGroupsOperation,
    RemoveChannelsOperation,
)
from ..protocol.exchange import HttpReply
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.here_now import HereNow, HereNowOperation
from ..protocol.json_codec import Json
from ..protocol.leave import LeaveOperation
from ..protocol.names import PRESENCE_SUFFIX, is_presence_name, without_presence
from ..protocol.occupancy import ChannelOccupancy, HereNowCounts
from ..protocol.old_subscribe import OldSubscribeOperation
from ..protocol.presence_params import DEFAULT_PRESENCE_TIMEOUT_S
from ..protocol.publish import PublishOperation
from ..protocol.subscribe import Delivery, SubscribeOperation
from ..protocol.user_state import GetStateOperation, SetStateOperation, UserState
from ..protocol.where_now import WhereNow, WhereNowOperation
from . import refusals
from .channel_groups import ChannelGroups
from .event_policy import EventPolicy
from .message_feed import MessageFeed
from .message_log import Timetokens
from .occupancy import Occupancy, OccupancyChange
from .options import Options
from .pending_poll import PendingPoll

__all__ = ["Keyset"]

_KEPT_EVENTS = 10_000


class Keyset:
    """The service's state for one subscribe key.

    Args:
        subscribe_key: The key.
        options: How the service behaves.
        timetokens: The source of timetokens.
        clock: Returns Unix time in seconds.
        delays_s: Returns the delays of the copies of an event on a channel at a time.

    Attributes:
        generation: Differs after each reset and each start.
        events_total: The number of events so far, also of those not kept any more.
    """

    def __init__(
        self,
        subscribe_key: str,
        options: Options,
        *,
        timetokens: Timetokens,
        clock: Callable[[], float],
        delays_s: Callable[[str, float], list[float]],
    ) -> None:
        self.generation: str = secrets.token_hex(4)
        self.events_total: int = 0
        self._profile = profile = options.profile
        self.occupancy: Occupancy = Occupancy(
            profile.granted_s(DEFAULT_PRESENCE_TIMEOUT_S),
            debounce_s=profile.debounce_s,
        )
        self.groups: ChannelGroups = ChannelGroups()
        self.events: deque[OccupancyChange] = deque(maxlen=_KEPT_EVENTS)
        self.feed: MessageFeed = MessageFeed(
            subscribe_key,
            policy=EventPolicy(
                announce_max=profile.announce_max,
                interval_s=profile.interval_s,
                has_deltas=profile.presence_deltas,
                occupancy=self.occupancy.occupancy,
            ),
            groups=self.groups,
            timetokens=timetokens,
            clock=clock,
            delays_s=delays_s,
        )

    def next_due_s(self) -> float:
        """Return when the next timeout or event is due, ``math.inf`` for never."""
        return min(self.occupancy.next_deadline_s(), self.feed.next_due_s())

    def expire(self, now_s: float) -> None:
        """Apply every timeout that is due, and send every event."""
        while (due_s := self.next_due_s()) <= now_s:
            if self.occupancy.next_deadline_s() == due_s:
                self._emit(self.occupancy.expire(due_s), now_s)
            else:
                self.feed.tick(now_s=now_s)

    def here_now(
        self, operation: HereNowOperation, _: float
    ) -> HereNow | HereNowCounts:
        """Return who is present."""
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
        """Return where a user is present."""
        channels = self.occupancy.channels_of(operation.user_id)
        return WhereNow(user_id=operation.user_id, channels=channels)

    def set_state(
        self, operation: SetStateOperation, now_s: float
    ) -> Mapping[str, Json]:
        """Store a state and return it."""
        changes = self.occupancy.set_state(
            operation.user_id, self._tracked(operation), operation.state, now_s=now_s
        )
        self._emit(changes, now_s)
        return operation.state

    def get_state(self, operation: GetStateOperation, _: float) -> UserState:
        """Return the state of a user."""
        channels = self._expanded(operation.channels, operation.channel_groups)
        user_id = operation.user_id
        states = {c: self.occupancy.state(c, user_id) for c in channels}
        return UserState(user_id=user_id, states=states)

    def heartbeat(self, operation: HeartbeatOperation, now_s: float) -> None:
        """Make a user present."""
        changes = self.occupancy.heartbeat(
            operation.user_id,
            self._tracked(operation),
            timeout_s=self._profile.granted_s(operation.presence_timeout_s),
            states=self.groups.spread(operation.state or {}),
            now_s=now_s,
        )
        self._emit(changes, now_s)

    def disconnect(self, user_id: str, channel: str, now_s: float) -> None:
        """Remove a user whose connection has ended."""
        self._emit(self.occupancy.leave(user_id, [channel], now_s=now_s), now_s)

    def leave(self, operation: LeaveOperation, now_s: float) -> None:
        """Remove a user."""
        channels = self._expanded(operation.channels, operation.channel_groups)
        changes = self.occupancy.leave(operation.user_id, channels, now_s=now_s)
        self._emit(changes, now_s)

    def kick(self, user_id: str, channel: str | None, now_s: float) -> tuple[str, ...]:
        """Time a user out now, on a channel or on all; return on which.

        Raises:
            InvalidArgumentError: The channel is empty; ``None`` means all of them.
        """
        if channel is not None and not channel:
            raise InvalidArgumentError("channel", "must not be empty; None means all")
        everywhere = self.occupancy.channels_of(user_id)
        channels = everywhere if channel is None else (channel,)
        changes = self.occupancy.kick(user_id, channels, now_s=now_s)
        self._emit(changes, now_s)
        return tuple([change.channel for change in changes])

    def subscribe(
        self, operation: SubscribeOperation, now_s: float
    ) -> Delivery | PendingPoll:
        """Make a user present; return the delivery, or the poll that waits for one.

        A channel named without ``-pnpres`` makes the user present there, a wildcard on
        the channel of that name; so a subscribe after a leave joins again. Groups are
        resolved when the request comes: on a channel added while the poll is held, the
        user is present from the next request on. Only heartbeats extend the presence,
        as documented and recorded in 2025; with the legacy implicit heartbeats each
        request and each answer does, too.
        """
        channels = self.subscribed(operation)
        # Opened before the join, because the user receives that event too.
        opened: Delivery | PendingPoll
        if operation.timetoken:
            opened = self.feed.open(operation, channels, now_s=now_s)
        else:
            opened = self.feed.handshake()
        timeout_s = operation.presence_timeout_s
        changes = self.occupancy.heartbeat(
            operation.user_id,
            channels,
            timeout_s=None if timeout_s is None else self._profile.granted_s(timeout_s),
            states=self.groups.spread(operation.state or {}),
            now_s=now_s,
            extends=self._profile.implicit_heartbeats,
        )
        self._emit(changes, now_s)
        return opened

    def old_subscribe(
        self, operation: OldSubscribeOperation, now_s: float
    ) -> Delivery | PendingPoll | HttpReply:
        """Do as ``subscribe``, but refuse groups that have no channel at all.

        PubNub's C SDK knows that answer; whether the newer subscribe gives it on every
        key is unverified.
        """
        groups = [g.removesuffix(PRESENCE_SUFFIX) for g in operation.channel_groups]
        if not operation.channels and not self.groups.expand((), groups):
            return refusals.empty_subscription()
        return self.subscribe(operation, now_s)

    def publish(self, operation: PublishOperation, now_s: float) -> int:
        """Deliver a message and return its timetoken."""
        return self.feed.publish(operation, now_s=now_s)

    def answer(self, poll: PendingPoll, now_s: float) -> Delivery:
        """End a poll and return what it delivers."""
        if self._profile.implicit_heartbeats:
            user_id = poll.operation.user_id
            self.occupancy.refresh(user_id, poll.present_on, now_s=now_s)
        return self.feed.close(poll)

    def add_channels(self, operation: AddChannelsOperation, _: float) -> None:
        """Add channels to a group."""
        self.groups.add(operation.group, operation.channels)

    def remove_channels(self, operation: RemoveChannelsOperation, _: float) -> None:
        """Remove channels from a group."""
        self.groups.remove(operation.group, operation.channels)

    def delete_group(self, operation: DeleteGroupOperation, _: float) -> None:
        """Delete a group."""
        self.groups.delete(operation.group)

    def list_channels(
        self, operation: ListChannelsOperation, _: float
    ) -> tuple[str, ...]:
        """Return the channels of a group."""
        return self.groups.channels(operation.group)

    def list_groups(self, _: ListGroupsOperation, __: float) -> tuple[str, ...]:
        """Return every group."""
        return self.groups.names()

    def _expanded(
        self, channels: Iterable[str], channel_groups: Iterable[str]
    ) -> tuple[str, ...]:
        members = self.groups.expand(channels, channel_groups)
        return tuple([name for name in members if not is_presence_name(name)])

    def subscribed(self, operation: SubscribeOperation) -> tuple[str, ...]:
        """Return the channels on which a subscribe makes its user present."""
        channels = self._expanded(
            without_presence(operation.channels),
            without_presence(operation.channel_groups),
        )
        return tuple([name for name in channels if self._profile.tracks(name)])

    def _tracked(
        self, operation: HeartbeatOperation | SetStateOperation
    ) -> tuple[str, ...]:
        """Return the channels of an operation on which presence is tracked."""
        channels = self._expanded(operation.channels, operation.channel_groups)
        return tuple([name for name in channels if self._profile.tracks(name)])

    def _emit(self, changes: list[OccupancyChange], now_s: float) -> None:
        self.events += changes
        self.events_total += len(changes)
        self.feed.emit(changes, now_s=now_s)

    def _page(self, channel: str, operation: HereNowOperation) -> ChannelOccupancy:
        occupants = self.occupancy.occupants(channel)
        limit = len(occupants) if operation.limit is None else operation.limit
        chosen = list(occupants)[operation.offset : operation.offset + limit]
        states = {user_id: occupants[user_id] for user_id in chosen}
        return ChannelOccupancy.of(
            channel,
            states if operation.include_state else chosen,
            occupancy=len(occupants),
        )
