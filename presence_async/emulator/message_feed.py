"""From changes to deliveries: events, their messages, queues and polls. Pure."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Iterable
from functools import cache, partial
from itertools import count

import attrs
import msgspec

from ..protocol.events import (
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    StateChangeEvent,
    TimeoutEvent,
    UserEvent,
)
from ..protocol.messages import Message, Published, payload_of
from ..protocol.names import PRESENCE_SUFFIX
from ..protocol.publish import PublishOperation
from ..protocol.rendered_message import RenderedMessage
from ..protocol.subscribe import Delivery, SubscribeOperation
from .channel_groups import ChannelGroups
from .event_policy import EventPolicy, Interval
from .message_log import MESSAGES_KEPT, MessageLog, QueuedMessage, Timetokens
from .occupancy import OccupancyChange
from .open_polls import OpenPolls
from .pending_poll import End, PendingPoll
from .stream_filter import StreamFilter

__all__ = ["MessageFeed"]

_REGION = 1
_USER_EVENTS: dict[str, type[UserEvent]] = {
    "join": JoinEvent,
    "leave": LeaveEvent,
    "timeout": TimeoutEvent,
    "state-change": StateChangeEvent,
}


class MessageFeed:
    """The messages of one subscribe key, and the polls that wait for them.

    Args:
        subscribe_key: The key.
        policy: Decides which events are sent, and when.
        groups: The channel groups.
        timetokens: The source of timetokens.
        clock: Returns Unix time in seconds.
        delays_s: Returns the delays of the copies of an event on a channel at a time.
    """

    def __init__(
        self,
        subscribe_key: str,
        *,
        policy: EventPolicy,
        groups: ChannelGroups,
        timetokens: Timetokens,
        clock: Callable[[], float],
        delays_s: Callable[[str, float], list[float]],
    ) -> None:
        self._subscribe_key = subscribe_key
        self._policy = policy
        self._timetokens = timetokens
        self._clock = clock
        self._log = MessageLog()
        self._polls = OpenPolls(groups)
        self._delays_s = delays_s
        self._late: list[tuple[float, int, QueuedMessage]] = []
        self._numbers = count()

    # Messages.

    def emit(self, changes: Iterable[OccupancyChange], *, now_s: float) -> None:
        """Send the events of changes that have one of their own."""
        for change in changes:
            if self._policy.record(change):
                self._send(self._user_event(change, now_s), change.at_s, now_s)

    def next_due_s(self) -> float:
        """Return when the next event is due that no request causes."""
        late_s = self._late[0][0] if self._late else math.inf
        return min(self._policy.next_tick_s(), late_s)

    def tick(self, *, now_s: float) -> None:
        """Send the event that is due first."""
        if self._late and self._late[0][0] == self.next_due_s():
            _, _, queued = heapq.heappop(self._late)
            position = self._timetokens.next(self._clock())
            self._queue(attrs.evolve(queued, position=position, at_s=now_s))
            return
        interval = self._policy.tick(now_s)
        if interval is not None:
            self._send(self._interval_event(interval, now_s), interval.at_s, now_s)

    def lose_messages(self) -> None:
        """Forget every message that is not delivered yet."""
        self._log.clear()
        self._late.clear()

    def publish(self, operation: PublishOperation, *, now_s: float) -> int:
        """Deliver a user's message, if it is meant to be, and return its timetoken."""
        timetoken = self._timetokens.next(self._clock())
        if not operation.is_delivered:
            return timetoken
        message = Message(
            channel=operation.channel,
            payload=msgspec.Raw(json.dumps(operation.message).encode()),
            published=Published(timetoken, _REGION),
        )
        rendered = RenderedMessage.of(
            message,
            self._subscribe_key,
            publisher=operation.user_id,
            kind=operation.kind,
            message_type=operation.message_type,
            metadata=operation.metadata,
        )
        self._queue(
            QueuedMessage(timetoken, operation.channel, now_s, lambda: rendered)
        )
        return timetoken

    # Polls.

    def handshake(self) -> Delivery:
        """Return a cursor; every later message comes after it."""
        timetoken = self._timetokens.next(self._clock())
        return Delivery(timetoken=timetoken, region=_REGION)

    def open(
        self,
        operation: SubscribeOperation,
        present_on: tuple[str, ...],
        *,
        now_s: float,
    ) -> PendingPoll:
        """Open a poll with the messages that its user has missed.

        A cursor ahead of the clock, such as one from before a restart, counts as now
        (unverified).
        """
        newest = self._timetokens.next(self._clock())
        poll = PendingPoll(operation, min(operation.timetoken, newest), present_on)
        if operation.filter_expression is not None:
            poll.filter = StreamFilter.parse(operation.filter_expression)
        self._polls.catch_up(poll, self._log, now_s=now_s)
        self._polls.add(poll)
        return poll

    def close(self, poll: PendingPoll) -> Delivery:
        """Close a poll and return what it delivers.

        An empty delivery gives cursor and region back, as recorded in 2024.
        """
        self._polls.remove(poll)
        found = sorted(poll.pending, key=lambda pair: pair[0].position)[-MESSAGES_KEPT:]
        if not found:
            region = poll.operation.region or _REGION
            return Delivery(timetoken=poll.cursor, region=region)
        return Delivery(
            timetoken=found[-1][0].position,
            region=_REGION,
            messages=tuple([
                msgspec.structs.replace(queued.message(), subscription=name)
                for queued, name in found
            ]),
        )

    def finish_polls(self, end: End) -> None:
        """End every open poll."""
        for poll in self._polls.all():
            poll.finish(end)

    def _send(
        self, event: UserEvent | IntervalEvent, at_s: float, now_s: float
    ) -> None:
        timetoken = self._timetokens.next(self._clock() - now_s + at_s)
        channel = f"{event.channel}{PRESENCE_SUFFIX}"
        message = cache(partial(self._rendered, event, channel, timetoken))
        for delay_s in self._delays_s(event.channel, now_s):
            queued = QueuedMessage(timetoken, channel, now_s, message)
            if delay_s > 0:
                late = (at_s + delay_s, next(self._numbers), queued)
                heapq.heappush(self._late, late)
            else:
                self._queue(queued)

    def _queue(self, queued: QueuedMessage) -> None:
        self._log.add(queued)
        self._polls.deliver(queued)

    def _rendered(
        self, event: UserEvent | IntervalEvent, channel: str, timetoken: int
    ) -> RenderedMessage:
        message = Message(
            channel=channel,
            payload=msgspec.Raw(json.dumps(payload_of(event)).encode()),
            published=Published(timetoken, _REGION),
        )
        return RenderedMessage.of(message, self._subscribe_key)

    def _user_event(self, change: OccupancyChange, now_s: float) -> UserEvent:
        state = change.state
        if state is None and change.action in {"timeout", "state-change"}:
            # As recorded in 2025.
            state = {}
        return _USER_EVENTS[change.action](
            channel=change.channel,
            occupancy=change.occupancy,
            timetoken=0,
            timestamp_ms=self._unix_ms(change.at_s, now_s),
            user_id=change.user_id,
            state=state,
        )

    def _interval_event(self, interval: Interval, now_s: float) -> IntervalEvent:
        return IntervalEvent(
            channel=interval.channel,
            occupancy=interval.occupancy,
            timetoken=0,
            timestamp_ms=self._unix_ms(interval.at_s, now_s),
            joined=interval.joined,
            left=interval.left,
            timed_out=interval.timed_out,
            here_now_refresh=interval.here_now_refresh,
        )

    def _unix_ms(self, at_s: float, now_s: float) -> int:
        return int((self._clock() - now_s + at_s) * 1000)
