"""Snapshot: the answers to here now about one channel, put together."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ...protocol.here_now import MAX_LIMIT, HereNowOperation
from ...protocol.occupancy import Occupant
from .. import wall_clock
from ..feed.subscriber import Params
from ..pipeline import Budget, RequestPipeline
from ..retry import RetryPolicy

__all__ = ["Snapshot", "read_snapshot"]


@attrs.frozen(kw_only=True)
class Snapshot:
    """What a here now says about one channel.

    Attributes:
        channel: Which channel.
        occupants: Who is there, by user id.
        is_whole: Whether it is of one moment: one page, as many ids as the occupancy.
            Between pages people come and go, so somebody may fall between them.
        sent_at_s: Loop time when it was asked for, or of its first page.
        timestamp_ms: The same in Unix time, in milliseconds.
    """

    channel: str
    occupants: Mapping[str, Occupant]
    is_whole: bool
    sent_at_s: float
    timestamp_ms: int


async def read_snapshot(
    pipeline: RequestPipeline,
    channel: str,
    params: Params,
    budget: Budget,
    retry: RetryPolicy | None,
) -> Snapshot:
    """Ask who is on a channel, page by page until all are known.

    Args:
        pipeline: Sends.
        channel: Which channel.
        params: Sent beside the config's query parameters.
        budget: Covers all pages.
        retry: For each page; ``None``: the config's.

    Raises:
        RequestError: A page could not be had.

    Cancellation: ends at once.
    """
    occupants: dict[str, Occupant] = {}
    sent_at_s = 0.0
    began_s = wall_clock.now_s()
    offset = occupancy = 0
    is_last = False
    while not is_last:
        operation = HereNowOperation(
            subscribe_key=pipeline.subscribe_key,
            channels=(channel,),
            include_state=True,
            offset=offset,
        )
        answer = await pipeline.send(
            operation, budget=budget, params=params, retry=retry
        )
        page = answer.value.channels[channel]
        sent_at_s = sent_at_s or answer.sent_at_s - answer.age_s
        known = len(occupants)
        occupants |= {x.user_id: x for x in page.occupants or ()}
        occupancy = page.occupancy
        # A page without news ends it, too: the service may not know of offsets.
        is_last = len(occupants) >= occupancy or len(occupants) == known
        offset += MAX_LIMIT
    return Snapshot(
        channel=channel,
        occupants=occupants,
        is_whole=offset == MAX_LIMIT and len(occupants) >= occupancy,
        sent_at_s=sent_at_s,
        timestamp_ms=int(began_s * 1000),
    )
