"""PresenceFeed: the event streams of one client, over as few polls as possible.

The names of all listeners share one poll. There are several polls only when one request
would grow too long, when query parameters differ, or while some names are refused.
Polling for ``-pnpres`` names alone never makes the observer present.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from functools import partial
from typing import Final

from ...errors import ClientClosedError, RequestError
from ...protocol.timetoken import TIMETOKENS_PER_S
from ..aio import TaskOwner, loop_s
from ..call import Params
from ..config import PresenceConfig
from ..observers import Observers
from ..pipeline import Budget, RequestPipeline
from ..safe_log import SafeLogger
from .listener import Listener, StreamHealth
from .long_poll import LongPoll
from .patience import until_answered
from .progress import Cursor, PollProgress
from .routing import EventWitness
from .subscribe_requests import SubscribeRequests
from .subscription import Subscription, WireName, as_listed

__all__ = ["PresenceFeed"]

logger: SafeLogger = SafeLogger("presence_async.client")

LARGEST_POLL_BYTES: Final = 28 * 1024
"""Bytes of names in one request, of which the service takes 32 KiB."""

_LEAST_BYTES: Final = 1024
_SLACK: Final = TIMETOKENS_PER_S
"""Timetokens of events and of cursors do not come from one clock."""

_WORST_FIRST: Final = (
    StreamHealth.REFUSED,
    StreamHealth.RECONNECTING,
    StreamHealth.LIVE,
)


class PresenceFeed:
    """Delivers presence events to all listeners of a client.

    Args:
        config: The limits.
        pipeline: Sends the requests.
        observers: Told when the health of a listener changes.
        witness: Is told of the events that are new to any listener.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        observers: Observers,
        *,
        witness: EventWitness | None = None,
    ) -> None:
        self._observers = observers
        self.witness: EventWitness | None = witness
        self._user_id = config.user_id
        self._pipeline = pipeline
        self._requests = SubscribeRequests(config, pipeline)
        self._tasks = TaskOwner()
        self._polls: list[LongPoll] = []
        self._subscriptions: dict[Listener, Subscription] = {}
        self._largest_poll_bytes = LARGEST_POLL_BYTES
        self._is_closed = False

    # Listeners.

    async def attach(
        self,
        listener: Listener,
        *,
        budget: Budget,
        replay_s: float = 0.0,
        params: Params = (),
    ) -> None:
        """Let a listener receive what is published from now on.

        The handshake names only what this listener wants, so that a refusal concerns it
        and nobody else. It may also receive events of up to a second before.

        Args:
            listener: The listener; not attached yet.
            budget: Covers the handshake with its retries; without an end, it is
                repeated until it is answered or refused.
            replay_s: Seconds before now from which on it receives events.
            params: Sent beside the config's query parameters.

        Raises:
            RequestError: The handshake failed; nothing is attached.
            ClientClosedError: The client was closed meanwhile.

        Cancellation: nothing is attached.
        """
        subscription = Subscription(listener)
        begin: Cursor | None = None
        for names in _portions(subscription.names):
            reply = await until_answered(
                partial(self._requests.handshake, as_listed(names), params, budget),
                pipeline=self._pipeline,
                budget=budget,
            )
            begin = min(begin or reply.cursor, reply.cursor)
        if self._is_closed or begin is None:
            raise ClientClosedError("closed while the stream was being opened")
        timetoken = begin.timetoken - int(replay_s * TIMETOKENS_PER_S)
        begin = Cursor(max(1, timetoken), begin.region)
        self._subscriptions[listener] = subscription
        self._place(subscription, begin, loop_s() - replay_s, params)
        self._update_health(subscription)

    def detach(self, listener: Listener) -> None:
        """Deliver nothing more to a listener; polls without names end."""
        subscription = self._subscriptions.pop(listener, None)
        if subscription is None:
            return
        if subscription.health is not StreamHealth.CLOSED:
            self._tell_observers(subscription, StreamHealth.CLOSED, None)
        for poll in [x for x in self._polls if subscription in x.table.subscriptions]:
            if poll.table.remove(subscription):
                poll.cut()
        self._polls = [poll for poll in self._polls if poll.table]
        for poll in list(self._polls):
            self.merge(poll)

    def tell_present(self, observers: Observers) -> None:
        """Tell observers the health of every listener."""
        on_stream = observers.on_stream
        if on_stream is not None:
            for subscription in self._subscriptions.values():
                if subscription.health is not None:
                    facts = (None, subscription.health, None, loop_s())
                    on_stream(subscription.listener, *facts)

    def create_task(
        self, work: Coroutine[object, object, None], *, name: str
    ) -> asyncio.Task[None]:
        """Start a task of a listener, which ends with the feed at the latest."""
        return self._tasks.create(work, name=name)

    # All polls.

    def wake(self, user_id: str | None) -> None:
        """Retry refused polls at once, as there is another token."""
        if user_id is None or user_id == self._user_id:
            for poll in self._polls:
                if poll.health is StreamHealth.REFUSED:
                    poll.cut()

    def resume(self, slept_s: float) -> None:
        """Repeat all polls after time that loop time did not see."""
        for poll in self._polls:
            poll.resume(slept_s)

    def close(self) -> None:
        """End every stream; events that have been delivered can still be read."""
        self._is_closed = True
        for poll in self._polls:
            poll.table.clear()
            poll.cut()
        self._polls.clear()
        subscriptions, self._subscriptions = self._subscriptions, {}
        for subscription in subscriptions.values():
            self._set_health(subscription, StreamHealth.CLOSED, None)

    def abort(self) -> None:
        """Cancel all tasks, without waiting."""
        self.close()
        self._tasks.abort()

    async def finish(self) -> None:
        """Wait until the tasks have ended."""
        await self._tasks.finish()

    # What polls ask their owner for.

    def split(
        self, poll: LongPoll, names: Sequence[WireName], refusal: RequestError | None
    ) -> None:
        """Move names to a poll of their own, refused if they were."""
        if refusal is None:
            # Not refused, so they were too many for one request.
            too_many_bytes = max(_LEAST_BYTES, poll.table.size)
            self._largest_poll_bytes = min(self._largest_poll_bytes, too_many_bytes - 1)
        other = LongPoll(self._requests, poll.params, poll.progress.branch(), self)
        if refusal is not None:
            other.refuse(refusal)
        poll.table.move(names, other.table)
        self._polls.append(other)
        self._start(other)
        self.health_changed(other)

    def merge(self, poll: LongPoll) -> None:
        """Merge a poll with another one that has room, if both are live."""
        for other in self._polls:
            if other is not poll and self._can_merge(poll, other):
                poll.table.move(poll.table, other.table)
                other.progress.rewind(poll.progress.cursor)
                self._polls.remove(poll)
                poll.cut()
                other.cut()
                return

    def health_changed(self, poll: LongPoll) -> None:
        """Tell the listeners of a poll that its health has changed."""
        for subscription in list(poll.table.subscriptions):
            self._update_health(subscription)

    def ended(self, poll: LongPoll) -> None:
        """Close the streams of a poll that ended although it has names.

        Its task was cancelled by somebody else, as at the end of ``asyncio.run``.
        Nobody polls for these names any more, so no stream may go on claiming so.
        """
        if poll not in self._polls:
            return
        logger.info("an event poll was cancelled; its streams are closed")
        for subscription in list(poll.table.subscriptions):
            self._set_health(subscription, StreamHealth.CLOSED, None)
            self.detach(subscription.listener)

    def _can_merge(self, poll: LongPoll, other: LongPoll) -> bool:
        return (
            poll.params == other.params
            and poll.health is other.health is StreamHealth.LIVE
            and poll.table.size + other.table.size <= self._largest_poll_bytes
        )

    # Which poll has which name.

    def _place(
        self, subscription: Subscription, begin: Cursor, begin_s: float, params: Params
    ) -> None:
        """Give names to polls; ``begin_s`` is the loop time of the cursor."""
        since = begin.timetoken - _SLACK
        new_polls: list[LongPoll] = []
        for name in subscription.names:
            poll = self._poll_for(name, params)
            if poll is None:
                progress = PollProgress.begin(begin, now_s=begin_s)
                poll = LongPoll(self._requests, params, progress, self)
                self._polls.append(poll)
                new_polls.append(poll)
            is_added = name not in poll.table
            poll.table.add(name, subscription, since)
            is_earlier = poll.progress.rewind(begin)
            # A handshake has just been answered, so a poll in trouble may be, too.
            if is_added or is_earlier or poll.health is not StreamHealth.LIVE:
                poll.cut()
        for poll in new_polls:
            self._start(poll)

    def _poll_for(self, name: WireName, params: Params) -> LongPoll | None:
        """Return the poll that has a name, or else one that has room for it."""
        alike = [poll for poll in self._polls if poll.params == params]
        for poll in alike:
            if name in poll.table:
                return poll
        for poll in alike:
            has_room = poll.table.size + name.size <= self._largest_poll_bytes
            if has_room and poll.health is not StreamHealth.REFUSED:
                return poll
        return None

    def _start(self, poll: LongPoll) -> None:
        """Start the task of a poll; it has its names, and ends without any."""
        self._tasks.start(poll.run(), name="presence events")

    def _update_health(self, subscription: Subscription) -> None:
        """Tell a listener the worst health of its polls."""
        polls = [x for x in self._polls if subscription in x.table.subscriptions]
        worst = min(polls, key=lambda poll: _WORST_FIRST.index(poll.health))
        self._set_health(subscription, worst.health, worst.error)

    def _set_health(
        self,
        subscription: Subscription,
        health: StreamHealth,
        error: RequestError | None,
    ) -> None:
        """Tell a listener and the observers a health, if it is another one."""
        if health is not subscription.health:
            self._tell_observers(subscription, health, error)
        subscription.set_health(health, error)

    def _tell_observers(
        self,
        subscription: Subscription,
        health: StreamHealth,
        error: RequestError | None,
    ) -> None:
        on_stream = self._observers.on_stream
        if on_stream is not None:
            now_s = loop_s()
            before = subscription.health
            on_stream(subscription.listener, before, health, error, now_s)


def _portions(names: Iterable[WireName]) -> Iterator[list[WireName]]:
    """Divide names into as few requests as possible."""
    portion: list[WireName] = []
    size = 0
    for name in names:
        if portion and size + name.size > LARGEST_POLL_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(name)
        size += name.size
    yield portion
