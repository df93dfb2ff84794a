"""LiveCount: how many are on a channel, kept live without names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar, Self

from ..protocol.events import PresenceEvent
from ..roster.count import CountState
from ..roster.snapshot import Count
from .call import Params
from .channel_sync import ChannelSync
from .channel_view import ChannelView
from .feed.feed import PresenceFeed
from .lifecycle import check_loop
from .pipeline import Budget
from .snapshot_requests import SnapshotRequests

__all__ = ["LiveCount", "LiveCountChanges"]


class LiveCount(ChannelView):
    """How many are on one channel, kept live; made by ``client.live_count``.

    ``async with client.live_count("lobby") as live``, then ``live.count`` and ``async
    for count in live``. Entering subscribes first and asks here now second, for the
    number alone; it returns once both are answered. From then on each event brings the
    new number, whether or not anybody reads it. In a room that is large enough for
    interval events, that number is up to one interval old, 10 s by default.

    It costs the same whatever the size of the room: no user ID is asked for or kept.
    It is corrected as a roster is: here now is asked soon after a gap or a long outage,
    every ten seconds in the first two minutes and for two minutes after any sign of
    trouble, then less and less often, every five minutes once all has gone well for an
    hour. So the number is right again with the next event, or within 15 s of the end
    of a detectable fault. Of all rosters and counts of a client together, at most 25
    ask in a second.

    Source: https://www.pubnub.com/docs/general/design-patterns/
    show-viewer-count-large-room (read 2026-11).
    """

    _sync: _CountSync
    _method: ClassVar[str] = "live_count"

    def __init__(
        self,
        feed: PresenceFeed,
        snapshots: SnapshotRequests,
        begin: Callable[[], Budget],
        *,
        channel: str,
        params: Params,
    ) -> None:
        super().__init__(begin)
        self._sync = _CountSync(feed, snapshots, channel=channel, params=params)

    def __repr__(self) -> str:
        if self._is_new:
            return f"<LiveCount of {self.channel!r}: not open>"
        sync = "in sync" if self.is_synced else "not in sync"
        return f"<LiveCount of {self.channel!r}: {self.count} here, {sync}>"

    @property
    def count(self) -> int:
        """How many are on the channel.

        Raises:
            ClientClosedError: Entering it has not succeeded yet.
        """
        self._check_open()
        return self._sync.occupancy

    @property
    def is_synced(self) -> bool:
        """True if the number is known to be correct, as of ``as_of``.

        That is, a here now that was asked for 5 s after the last known loss has
        confirmed it, and the stream is ``LIVE``. First true 5 s after entering, since
        the first answer may come from a cache.
        """
        return self._sync.is_synced

    def changes(self) -> LiveCountChanges:
        """Follow the number: first the present one, then whatever it changes to.

        Each call makes an independent reader; a slow one sees the latest.

        Raises:
            ClientClosedError: Entering it has not succeeded yet, or it belongs to
                another event loop.
        """
        check_loop(self._loop, "the live count")
        self._check_open()
        return LiveCountChanges(self._sync, self._loop)

    def __aiter__(self) -> LiveCountChanges:
        return self.changes()


class LiveCountChanges:
    """An iterator over the number of users; made by ``live.changes()``.

    The first item is the number now. It ends when the count is closed and its last
    number has been read.
    """

    def __init__(
        self, sync: _CountSync, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        self._sync = sync
        self._loop = loop
        self._seen: int | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> int:
        """Return the next number, waiting for it.

        Raises:
            ClientClosedError: It belongs to another event loop.

        Cancellation: loses nothing.
        """
        check_loop(self._loop, "the reader")
        while self._sync.occupancy == self._seen:
            if self._sync.is_closed:
                raise StopAsyncIteration
            await self._sync.wait_for_change()
        self._seen = self._sync.occupancy
        return self._seen


class _CountSync(ChannelSync[Count]):
    """The machine behind one live count."""

    kind: ClassVar[str] = "live count"

    def __init__(
        self,
        feed: PresenceFeed,
        snapshots: SnapshotRequests,
        *,
        channel: str,
        params: Params,
    ) -> None:
        super().__init__(feed, snapshots, channel=channel, params=params)
        self._state = CountState(channel, self.schedule)

    @property
    def occupancy(self) -> int:
        """How many are on the channel."""
        return self._state.occupancy

    def _apply(self, events: Sequence[PresenceEvent], *, now_s: float) -> None:
        for event in events:
            self._state.apply(event, now_s=now_s)

    async def _ask(self, budget: Budget | None) -> Count:
        return await self._snapshots.ask_count(
            self.channel, self._params, budget=budget
        )

    def _reconcile(self, answer: Count, *, now_s: float) -> None:
        self._state.reconcile(answer, now_s=now_s)
