"""The only reader of the wall clock: signatures, token expiry, ``Retry-After`` dates.

Durations never come from here; they are ``loop.time()``. A loop with a ``wall_time``
method, such as the virtual-time loop, is asked instead of the system.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable

__all__ = ["now_s", "seconds_until"]


def now_s() -> float:
    """Return Unix time in seconds, as the running loop tells it."""
    read: Callable[[], float] = getattr(
        asyncio.get_running_loop(), "wall_time", time.time
    )
    return read()


def seconds_until(http_date: str) -> float | None:
    """Return the seconds until an HTTP date, 0 when past, ``None`` when not a date."""
    try:
        date = email.utils.parsedate_to_datetime(http_date)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - now_s())
