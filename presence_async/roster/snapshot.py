"""Snapshot and Count: what here now answered about one channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from ..protocol.occupancy import Occupant

__all__ = ["Count", "Dated", "Snapshot"]


class Dated(Protocol):
    """Either of the two: what here now answered, and when it was asked."""

    @property
    def sent_at_s(self) -> float:
        """Loop time when it was asked for."""
        ...

    @property
    def timestamp_ms(self) -> int:
        """The same moment in Unix time, in milliseconds."""
        ...


class Snapshot(NamedTuple):
    """Who was on one channel, by here now.

    Attributes:
        channel: The channel.
        occupants: Who is there, by user ID.
        is_whole: True if it shows one moment: a single page with as many IDs as the
            occupancy. People come and go between pages, so several pages may miss
            somebody who was there all the time.
        sent_at_s: Loop time when it (or its first page) was asked for.
        timestamp_ms: The same moment in Unix time, in milliseconds.
    """

    channel: str
    occupants: Mapping[str, Occupant]
    is_whole: bool
    sent_at_s: float
    timestamp_ms: int


class Count(NamedTuple):
    """How many were on one channel, by here now.

    Attributes:
        occupancy: The number of users.
        sent_at_s: Loop time when it was asked for.
        timestamp_ms: The same moment in Unix time, in milliseconds.
    """

    occupancy: int
    sent_at_s: float
    timestamp_ms: int
