"""SnapshotRequests: asks here now for the rosters and counts of one client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from ..protocol.here_now import MAX_LIMIT, HereNowOperation
from ..protocol.occupancy import Occupant
from ..roster.snapshot import Count, Snapshot
from . import wall_clock
from .aio import Gate
from .call import Params
from .config import PresenceConfig
from .feed.patience import until_answered
from .pipeline import Budget, RequestPipeline
from .presence_calls import PresenceCalls
from .retry import NoRetry, RetryPolicy

__all__ = ["SnapshotRequests"]

AnswerT = TypeVar("AnswerT")
_Read = Callable[[Budget, RetryPolicy | None], Awaitable[AnswerT]]

_MOST_PER_S = 25
"""The service documents that it may throttle more requests of one client than this."""


class SnapshotRequests:
    """Reads all pages of a here now as one snapshot, and spreads the regular ones.

    Args:
        config: The limits.
        pipeline: Sends the requests.
        presence: Knows whom the client itself keeps present.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        presence: PresenceCalls,
    ) -> None:
        self._pipeline = pipeline
        self._presence = presence
        self._timeout_s = config.attempt_timeout_s
        self._turns = Gate(1, rate_per_s=_MOST_PER_S)

    async def wait_turn(self) -> None:
        """Wait until the rate that all of them share allows another snapshot.

        Cancellation: ends at once.
        """
        await self._turns.enter()
        self._turns.leave()

    async def ask(
        self, channel: str, params: Params, *, budget: Budget | None
    ) -> Snapshot:
        """Ask who is on a channel, page by page until all are known.

        Args:
            channel: The channel.
            params: Sent beside the config's query parameters.
            budget: That of a call, with its retries. ``None``: one attempt with a
                budget of its own, since the schedule asks again.

        Raises:
            RequestError: As a query would.

        Cancellation: ends at once.
        """
        return await self._ask(partial(self._read_pages, channel, params), budget)

    async def ask_count(
        self, channel: str, params: Params, *, budget: Budget | None
    ) -> Count:
        """Ask how many are on a channel; the rest is as with ``ask``."""
        return await self._ask(partial(self._read_count, channel, params), budget)

    def note_occupancy(self, channel: str, occupancy: int, *, shown_s: float) -> None:
        """Take note of what an answer, asked for at a loop time, has confirmed."""
        self._presence.note_occupancy(channel, occupancy, shown_s=shown_s)

    async def _ask(self, read: _Read[AnswerT], budget: Budget | None) -> AnswerT:
        if budget is None:
            own = self._pipeline.budget(self._timeout_s)
            return await read(own, NoRetry())
        return await until_answered(
            partial(read, budget), pipeline=self._pipeline, budget=budget
        )

    async def _read_pages(
        self, channel: str, params: Params, budget: Budget, retry: RetryPolicy | None
    ) -> Snapshot:
        occupants: dict[str, Occupant] = {}
        sent_at_s = 0.0
        began_s = wall_clock.now_s()
        offset = occupancy = 0
        is_last = False
        while not is_last:
            operation = HereNowOperation(
                subscribe_key=self._pipeline.subscribe_key,
                channels=(channel,),
                include_state=True,
                offset=offset,
            )
            call = self._pipeline.call(
                operation,
                budget=budget,
                params=params,
                retry=retry,
                is_background=True,
            )
            answer = await self._pipeline.send(call)
            page = answer.value.channels[channel]
            sent_at_s = sent_at_s or answer.sent_at_s - answer.age_s
            known = len(occupants)
            occupants |= {x.user_id: x for x in page.occupants or ()}
            occupancy = page.occupancy
            # A page without news is the last one, too: the service may ignore offsets.
            is_last = len(occupants) >= occupancy or len(occupants) == known
            offset += MAX_LIMIT
        return Snapshot(
            channel=channel,
            occupants=occupants,
            is_whole=offset == MAX_LIMIT and len(occupants) >= occupancy,
            sent_at_s=sent_at_s,
            timestamp_ms=int(began_s * 1000),
        )

    async def _read_count(
        self, channel: str, params: Params, budget: Budget, retry: RetryPolicy | None
    ) -> Count:
        operation = HereNowOperation(
            subscribe_key=self._pipeline.subscribe_key,
            channels=(channel,),
            include_user_ids=False,
        )
        began_s = wall_clock.now_s()
        call = self._pipeline.call(
            operation, budget=budget, params=params, retry=retry, is_background=True
        )
        answer = await self._pipeline.send(call)
        return Count(
            occupancy=answer.value.channels[channel].occupancy,
            sent_at_s=answer.sent_at_s - answer.age_s,
            timestamp_ms=int(began_s * 1000),
        )
