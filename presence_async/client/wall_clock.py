"""Clocks outside the event loop, for signatures, token expiry, dates and suspend.

No other module reads them. Durations are always differences of ``loop.time()``. If the
loop has a ``wall_time`` or ``boot_time`` method, as the virtual-time loop does, it is
called instead of the system's clock.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import email.utils
import time
from collections.abc import Callable

__all__ = ["boot_s", "now_s", "seconds_until"]


def now_s() -> float:
    """Return the Unix time in seconds; outside an event loop the system's."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.time()
    read: Callable[[], float] = getattr(loop, "wall_time", time.time)
    return read()


def boot_s() -> float:
    """Return the seconds since boot, including the time the machine slept.

    Systems without such a clock return the loop time, which may exclude sleep.
    """
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
