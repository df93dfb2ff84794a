"""The only reader of clocks other than the loop's: for signatures, expiry, suspend.

Durations are never measured here but by ``loop.time()``. If the running loop has clocks
of its own, as the virtual-time loop does, they replace the system's.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import time
from collections.abc import Callable

__all__ = ["boot_s", "now_s", "seconds_until"]


def now_s() -> float:
    """Return Unix time in seconds."""
    read: Callable[[], float] = getattr(
        asyncio.get_running_loop(), "wall_time", time.time
    )
    return read()


def boot_s() -> float:
    """Return the seconds since boot, sleep included, or loop time if unknown."""
    loop = asyncio.get_running_loop()
    read: Callable[[], float] | None = getattr(loop, "boot_time", None)
    if read is not None:
        return read()
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return loop.time() if clock is None else time.clock_gettime(clock)


def seconds_until(http_date: str) -> float | None:
    """Return the seconds until an HTTP date, 0 if it is past, None if it is invalid.

    A date without a zone means UTC, as ``-0000`` and the format of C's ``asctime`` do.
    """
    if not http_date.isascii():
        return None
    try:
        date = email.utils.parsedate_to_datetime(http_date)
        if date.tzinfo is None:
            date = date.replace(tzinfo=dt.UTC)
        unix_s = date.timestamp()
    except (ValueError, OverflowError):
        # Both: a year, an hour or a zone may be larger than a datetime can hold.
        return None
    return max(0.0, unix_s - now_s())
