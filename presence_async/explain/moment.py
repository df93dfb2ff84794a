"""A moment that a caller names, as Unix time."""

from __future__ import annotations

import datetime as dt
import math

from ..errors import InvalidArgumentError

__all__ = ["aware", "unix_s"]

_LATEST_UNIX_S = 250_000_000_000.0


def unix_s(at: object) -> float:
    """Return an aware datetime, or a number of seconds, as Unix time.

    Raises:
        InvalidArgumentError: It is neither.
    """
    if isinstance(at, dt.datetime):
        if at.utcoffset() is None:
            raise InvalidArgumentError(
                "at", "must have a time zone, as datetime.now(UTC) has"
            )
        return at.timestamp()
    if isinstance(at, bool) or not isinstance(at, (int, float)):
        raise InvalidArgumentError("at", "must be an aware datetime or Unix seconds")
    if not math.isfinite(at) or not 0 <= at < _LATEST_UNIX_S:
        raise InvalidArgumentError("at", "is no Unix time in seconds")
    return float(at)


def aware(at: float) -> dt.datetime:
    """Return a Unix time as a datetime in UTC."""
    return dt.datetime.fromtimestamp(at, dt.UTC)
