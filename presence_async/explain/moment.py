"""A moment that a caller names, as Unix time."""

from __future__ import annotations

import datetime as dt
import math
import re

from ..errors import InvalidArgumentError

__all__ = ["aware", "read", "unix_s"]

_LATEST_UNIX_S = 250_000_000_000.0
_AGO = re.compile(r"-(\d{1,9})(s|m|h|d)")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


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


def read(text: str, now: float) -> float:
    """Return the time that a text names, as Unix time.

    ``-10m`` is ten minutes ago (``s``, ``m``, ``h``, ``d``), ``12:05`` or ``12:05:30``
    the last such time of day here, anything else an ISO date and time, by local time
    unless it names a zone.

    Raises:
        InvalidArgumentError: It names none.
    """
    try:
        return unix_s(_read(text.strip(), now))
    except (ValueError, OverflowError):
        raise InvalidArgumentError(
            "at", "must be like 2026-11-27T12:05:00, 12:05, 12:05:30 or -10m"
        ) from None


def _read(text: str, now: float) -> float | dt.datetime:
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _UNITS_S[ago[2]]
    if clock := _CLOCK.fullmatch(text):
        hour, minute, second = (int(part or 0) for part in clock.groups())
        here = aware(now).astimezone()
        at = here.replace(tzinfo=None, hour=hour, minute=minute, second=second)
        at = at.replace(microsecond=0)
        if at.astimezone().timestamp() > now:
            at -= dt.timedelta(days=1)
        return at.astimezone()
    at = dt.datetime.fromisoformat(text)
    return at if at.utcoffset() is not None else at.astimezone()
