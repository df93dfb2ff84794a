"""Timetokens: the service's unit of time, 100 ns since 1970 UTC."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

__all__ = ["TIMETOKENS_PER_S", "Timetoken", "unix_ms"]

TIMETOKENS_PER_S: Final = 10_000_000

Timetoken = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A timetoken as the wire classes read it; on the wire it is text."""

_TIMETOKENS_PER_MS: Final = TIMETOKENS_PER_S // 1000
_LATEST_MS: Final = 2**47 - 1
"""In the year 6429, which a datetime can hold."""


def unix_ms(timetoken: int) -> int:
    """Return a timetoken in milliseconds, at most the latest that a datetime holds."""
    return min(timetoken // _TIMETOKENS_PER_MS, _LATEST_MS)
