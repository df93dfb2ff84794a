"""How long a measurement may take, and how its figures are read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import attrs

__all__ = ["ASK_EVERY_S", "Limits", "first_time"]

ASK_EVERY_S = 0.25
"""Seconds between two questions about the same thing."""


@attrs.frozen(kw_only=True)
class Limits:
    """How long a measurement may take, and how much it may send.

    Attributes:
        longest_timeout_s: The longest presence timeout that is waited for; a maximum of
            the keyset above it is not found.
        event_s: Seconds within which an event is expected.
        leave_s: Seconds within which a leave is expected, debounce included.
        interval_s: Seconds within which an interval event is expected.
        cache_s: Seconds for which a cache is looked for.
        crowd: Users who are announced at most to find the announce maximum.
        per_s: Users who come or go in a second, at most. Each has an event, too, after
            which the events are asked for again; the service may throttle above 25.
    """

    longest_timeout_s: int = 60
    event_s: float = 5.0
    leave_s: float = 10.0
    interval_s: float = 32.0
    cache_s: float = 8.0
    crowd: int = 101
    per_s: float = 12.0


async def first_time(
    is_so: Callable[[], Awaitable[bool]], *, within_s: float
) -> float | None:
    """Ask again and again; return when the question was put that was answered yes.

    Args:
        is_so: Asks.
        within_s: Seconds after which it is given up, with ``None``.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while (asked_s := loop.time()) < until_s:
        if await is_so():
            return asked_s
        await asyncio.sleep(ASK_EVERY_S)
    return None
