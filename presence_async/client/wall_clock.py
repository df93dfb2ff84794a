"""The only reader of outside clocks: signatures, token expiry, dates, suspend.

Durations never come from here; they are ``loop.time()``. A loop with a ``wall_time``
method, such as the virtual-time loop, is asked instead of the system.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Callable

__all__ = ["boot_s", "now_s", "seconds_until"]


def now_s() -> float:
    """Return Unix time in seconds, as the running loop tells it."""
    read: Callable[[], float] = getattr(
        asyncio.get_running_loop(), "wall_time", time.time
    )
    return read()


def boot_s() -> float:
    """Return seconds since boot, sleep included; where unknown, loop time."""
    loop = asyncio.get_running_loop()
    read: Callable[[], float] | None = getattr(loop, "boot_time", None)
    if read is not None:
        return read()
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return loop.time() if clock is None else time.clock_gettime(clock)


def seconds_until(http_date: str) -> float | None:
    """Return the seconds until an HTTP date, 0 when past, ``None`` when not a date."""
    try:
        date = email.utils.parsedate_to_datetime(http_date)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - now_s())
