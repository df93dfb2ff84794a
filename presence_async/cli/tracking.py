"""Whether Presence tracks the channels on which a user is kept present."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import presence_async

from .output import shown

__all__ = ["SETTLE_S", "warn_if_untracked"]

SETTLE_S: float = 10.0


async def warn_if_untracked(
    client: presence_async.PresenceClient,
    lease: presence_async.Lease,
    warn: Callable[[str], None],
) -> None:
    """Ask once, some time after the join, where the user is; warn, and wait for ever.

    A key set may track selected channels only. On the others heartbeats are
    acknowledged and nobody is present (documented).

    Args:
        client: Asks.
        lease: The presence.
        warn: Called with one line if a channel does not list the user.

    Cancellation: ends it.
    """
    await asyncio.sleep(SETTLE_S)
    try:
        where = await client.where_now(lease.user_id)
    except presence_async.PresenceError:
        pass  # what is wrong with the service is said elsewhere
    else:
        missing = [name for name in lease.channels if name not in where.channels]
        if missing and lease.health is presence_async.LeaseHealth.FRESH:
            names = shown(", ".join(missing))
            warn(
                f"{shown(lease.user_id)} is acknowledged, but not listed on {names}:"
                " Presence may not track the channel; find out with presence-async"
                f" doctor {shown(missing[0])}"
            )
    await asyncio.get_running_loop().create_future()
