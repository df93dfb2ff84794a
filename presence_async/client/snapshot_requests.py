"""SnapshotRequests: asks here now for the rosters of one client."""

from __future__ import annotations

from functools import partial

from ..protocol.here_now import MAX_LIMIT, HereNowOperation
from ..protocol.occupancy import Occupant
from ..roster.snapshot import Snapshot
from . import wall_clock
from .aio import Gate
from .call import Params
from .config import PresenceConfig
from .feed.patience import until_answered
from .pipeline import Budget, RequestPipeline
from .retry import NoRetry, RetryPolicy

__all__ = ["SnapshotRequests"]

_MOST_PER_S = 25
"""The service documents that it may throttle more requests of one client than this."""


class SnapshotRequests:
    """Reads all pages of a here now as one snapshot, and spreads the regular ones.

    Args:
        config: The limits.
        pipeline: Sends the requests.
    """

    def __init__(self, config: PresenceConfig, pipeline: RequestPipeline) -> None:
        self._pipeline = pipeline
        self._timeout_s = config.attempt_timeout_s
        self._turns = Gate(1, rate_per_s=_MOST_PER_S)

    async def wait_turn(self) -> None:
        """Wait until the rate that all rosters share allows another snapshot.

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
        if budget is None:
            own = self._pipeline.budget(self._timeout_s)
            return await self._read_pages(channel, params, own, NoRetry())
        return await until_answered(
            partial(self._read_pages, channel, params, budget),
            pipeline=self._pipeline,
            budget=budget,
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
