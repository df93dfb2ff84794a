"""PresenceFeed: the event streams of one client, over as few polls as possible.

Names of all listeners share one poll; there are several only when one request would
grow too long, when query parameters differ, or while some names are refused. Polling
for ``-pnpres`` names alone never makes the observer present.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ...errors import ClientClosedError, RequestError
from ..aio import TaskOwner
from ..config import PresenceConfig
from ..pipeline import Budget, RequestPipeline
from .audience import Seat, WireName, listed
from .listener import Listener, StreamHealth
from .poll import TIMETOKENS_PER_S, Poll
from .subscriber import Cursor, Params, Subscriber

__all__ = ["Listener", "PresenceFeed", "StreamHealth"]

LARGEST_POLL_BYTES: Final = 28 * 1024
"""Bytes of names in one request, of which the service takes 32 KiB."""

_LEAST_BYTES: Final = 1024
_SLACK: Final = TIMETOKENS_PER_S
"""Timetokens of events and of cursors are not from one clock."""

_WORST_FIRST: Final = (StreamHealth.REFUSED, StreamHealth.RECONNECTING)


class PresenceFeed:
    """Brings the presence events of all its listeners.

    Args:
        config: Limits.
        pipeline: Sends.
    """

    def __init__(self, config: PresenceConfig, pipeline: RequestPipeline) -> None:
        self._user_id = config.user_id
        self._subscriber = Subscriber(config, pipeline)
        self._tasks = TaskOwner()
        self._polls: list[Poll] = []
        self._seats: dict[Listener, Seat] = {}
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
        """Let a listener hear what is published from now on.

        The handshake names only what this listener wants, so that a refusal is about
        it and nothing else. Up to a second of what came before may be heard too.

        Args:
            listener: Who; not attached yet.
            budget: Covers the handshake with its retries.
            replay_s: Seconds before now from which on it hears.
            params: Sent beside the config's query parameters.

        Raises:
            RequestError: The handshake failed; nothing is attached.
            ClientClosedError: The client was closed meanwhile.

        Cancellation: nothing is attached.
        """
        seat = Seat(listener)
        begin: Cursor | None = None
        for names in _portions(seat.names):
            reply = await self._subscriber.handshake(
                listed(names), params, budget=budget
            )
            begin = min(begin or reply.cursor, reply.cursor)
        if self._is_closed or begin is None:
            raise ClientClosedError("closed while the stream was being opened")
        timetoken = begin.timetoken - int(replay_s * TIMETOKENS_PER_S)
        begin = Cursor(max(1, timetoken), begin.region)
        self._seats[listener] = seat
        self._place(seat, begin, params)
        self._tell(seat)

    def detach(self, listener: Listener) -> None:
        """Let a listener hear no more, at once; a poll nobody needs ends."""
        seat = self._seats.pop(listener, None)
        if seat is None:
            return
        for poll in [x for x in self._polls if seat in x.audience.seats]:
            if poll.audience.remove(seat):
                poll.cut()
        self._polls = [poll for poll in self._polls if poll.audience]
        for poll in list(self._polls):
            self.recovered(poll)

    # What concerns all of them.

    def wake(self, user_id: str | None) -> None:
        """Try at once what was refused, as there is another token."""
        if user_id is None or user_id == self._user_id:
            for poll in self._polls:
                if poll.health is StreamHealth.REFUSED:
                    poll.cut()

    def resume(self, slept_s: float) -> None:
        """Begin all polls anew after time went by unseen."""
        for poll in self._polls:
            poll.resume(slept_s)

    def close(self) -> None:
        """End every stream; what was delivered can still be read."""
        self._is_closed = True
        for poll in self._polls:
            poll.audience.clear()
            poll.cut()
        self._polls.clear()
        seats, self._seats = self._seats, {}
        for seat in seats.values():
            seat.turn(StreamHealth.CLOSED, None)

    def abort(self) -> None:
        """Cancel what is under way, without waiting."""
        self.close()
        self._tasks.abort()

    async def finish(self) -> None:
        """Wait until the tasks have ended."""
        await self._tasks.finish()

    # What polls ask for.

    def part(
        self, poll: Poll, names: Sequence[WireName], refusal: RequestError | None
    ) -> None:
        """Give names to a poll of their own, as refused if they are."""
        if refusal is None:
            # Names are parted unrefused where they were too many for one request.
            too_many_bytes = max(_LEAST_BYTES, poll.audience.size)
            self._largest_poll_bytes = min(self._largest_poll_bytes, too_many_bytes - 1)
        other = poll.branch(refusal)
        poll.audience.move(names, other.audience)
        self._begin(other)
        self.turned(other)

    def recovered(self, poll: Poll) -> None:
        """Unite a poll with another that has room, if both go well."""
        for other in self._polls:
            if other is not poll and self._can_unite(poll, other):
                poll.audience.move(poll.audience, other.audience)
                other.rewind(poll.cursor)
                self._polls.remove(poll)
                poll.cut()
                other.cut()
                return

    def turned(self, poll: Poll) -> None:
        """Tell those concerned that the health of a poll has changed."""
        for seat in list(poll.audience.seats):
            self._tell(seat)

    def _can_unite(self, poll: Poll, other: Poll) -> bool:
        return (
            poll.params == other.params
            and poll.health is other.health is StreamHealth.LIVE
            and poll.audience.size + other.audience.size <= self._largest_poll_bytes
        )

    # Who polls what.

    def _place(self, seat: Seat, begin: Cursor, params: Params) -> None:
        since = begin.timetoken - _SLACK
        for name in seat.names:
            poll = self._poll_for(name, params)
            if poll is None:
                poll = Poll(self._subscriber, params, begin, self)
                self._begin(poll)
            is_added = name not in poll.audience
            poll.audience.add(name, seat, since)
            is_earlier = poll.rewind(begin)
            # That it was answered says that others will be answered, too.
            if is_added or is_earlier or poll.health is not StreamHealth.LIVE:
                poll.cut()

    def _poll_for(self, name: WireName, params: Params) -> Poll | None:
        """Return the poll that has a name, or else one that has room for it."""
        alike = [poll for poll in self._polls if poll.params == params]
        for poll in alike:
            if name in poll.audience:
                return poll
        for poll in alike:
            has_room = poll.audience.size + name.size <= self._largest_poll_bytes
            if has_room and poll.health is not StreamHealth.REFUSED:
                return poll
        return None

    def _begin(self, poll: Poll) -> None:
        self._polls.append(poll)
        self._tasks.start(poll.run(), name="presence events")

    def _tell(self, seat: Seat) -> None:
        """Tell a listener how it stands: as the worst of its polls."""
        polls = [poll for poll in self._polls if seat in poll.audience.seats]
        for health in _WORST_FIRST:
            for poll in polls:
                if poll.health is health:
                    seat.turn(health, poll.error)
                    return
        seat.turn(StreamHealth.LIVE, None)


def _portions(names: Iterable[WireName]) -> Iterator[list[WireName]]:
    """Divide names into as few requests as they take."""
    portion: list[WireName] = []
    size = 0
    for name in names:
        if portion and size + name.size > LARGEST_POLL_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(name)
        size += name.size
    yield portion
