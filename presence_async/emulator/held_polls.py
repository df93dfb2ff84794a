"""Requests held open on their connections until something ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from functools import partial

from .pending_poll import End, PendingPoll

__all__ = ["HeldPolls"]


class HeldPolls:
    """The polls and the requests stalled by faults that wait, one per connection.

    Args:
        idle_s: Seconds for which a poll without news is held.
    """

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._waiters: dict[Hashable, asyncio.Future[End]] = {}
        self._stalled: dict[Hashable, asyncio.Future[End]] = {}

    def __len__(self) -> int:
        return len(self._waiters)

    async def hold(self, poll: PendingPoll, connection: Hashable) -> End:
        """Wait until a poll has news or has been held long enough; return how it ends.

        Cancellation: only ends the waiting.
        """
        if poll.pending:
            return "answer"
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[End] = loop.create_future()
        self._waiters[connection] = waiter
        poll.on_end = partial(_end, waiter)
        timer = loop.call_later(self._idle_s, _end, waiter, "answer")
        try:
            return await waiter
        finally:
            timer.cancel()
            poll.on_end = None
            del self._waiters[connection]

    async def stall(self, connection: Hashable) -> None:
        """Wait until the connection is gone.

        Cancellation: only ends the waiting.
        """
        waiter = asyncio.get_running_loop().create_future()
        self._stalled[connection] = waiter
        try:
            await waiter
        finally:
            del self._stalled[connection]

    def drop(self, connection: Hashable) -> None:
        """End the waiting of a connection that is gone."""
        for waiters in (self._waiters, self._stalled):
            waiter = waiters.get(connection)
            if waiter is not None:
                _end(waiter, "cut")

    def cut_all(self) -> None:
        """End all waiting without an answer."""
        for waiter in [*self._waiters.values(), *self._stalled.values()]:
            _end(waiter, "cut")


def _end(waiter: asyncio.Future[End], end: End) -> None:
    if not waiter.done():
        waiter.set_result(end)
