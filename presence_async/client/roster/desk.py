"""RosterDesk: what the rosters of one client share, and who ends them with it."""

from __future__ import annotations

import asyncio
import math
import random

from ..aio import TaskOwner
from ..feed.feed import PresenceFeed
from ..feed.subscriber import Params
from ..pipeline import Budget, RequestPipeline
from ..retry import NoRetry
from .snapshot import Snapshot, read_snapshot

__all__ = ["RosterDesk"]

_LEAST_GAP_S = 0.04
"""The service documents that it may throttle more than 25 requests in a second."""


class RosterDesk:
    """Gives rosters what they need to ask and to listen.

    Args:
        pipeline: Sends.
        feed: Brings the events.
        snapshot_timeout_s: What one snapshot may take, all its pages together.

    Attributes:
        feed: Brings the events.
        random: Spreads the questions.
    """

    def __init__(
        self,
        pipeline: RequestPipeline,
        feed: PresenceFeed,
        *,
        snapshot_timeout_s: float,
    ) -> None:
        self.feed = feed
        self.random: random.Random = random.Random()  # noqa: S311  # spreads load, guards nothing
        self._pipeline = pipeline
        self._snapshot_timeout_s = snapshot_timeout_s
        self._owners: set[TaskOwner] = set()
        self._next_turn_s = -math.inf

    async def turn(self) -> None:
        """Wait for one's turn to ask unbidden: 25 a second, for all rosters together.

        Cancellation: ends at once; the turn is lost, which harms nobody.
        """
        now_s = asyncio.get_running_loop().time()
        turn_s = max(now_s, self._next_turn_s)
        self._next_turn_s = turn_s + _LEAST_GAP_S
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)

    async def read(
        self, channel: str, *, budget: Budget | None, params: Params
    ) -> Snapshot:
        """Ask who is on a channel.

        Args:
            channel: Which channel.
            budget: Covers it with its retries; ``None``: one of its own and no
                retry, since the plan asks again.
            params: Sent beside the config's query parameters.

        Raises:
            RequestError: As a query would.

        Cancellation: ends at once.
        """
        return await read_snapshot(
            self._pipeline,
            channel,
            budget=budget or self._pipeline.budget(self._snapshot_timeout_s),
            params=params,
            retry=None if budget else NoRetry(),
        )

    def hold(self, owner: TaskOwner) -> None:
        """Remember whose tasks ``finish`` waits for."""
        self._owners.add(owner)

    def release(self, owner: TaskOwner) -> None:
        """Forget an owner whose tasks have ended."""
        self._owners.discard(owner)

    async def finish(self) -> None:
        """Wait until the tasks of all rosters have ended; ``feed.close`` ends them."""
        for owner in list(self._owners):
            await owner.finish()
