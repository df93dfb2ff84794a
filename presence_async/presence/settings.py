"""The figures the engine goes by, and what all its users share."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sized

from .changes import Change
from .claims import RetryPolicy
from .pace import slot_s
from .patience import NO_RETRY
from .sharing import Sharing

__all__ = ["Settings", "Shared"]

_MOST_WIDTHS = 64
_MOST_CHANNELS = 1024


class Settings:
    """The figures the engine goes by; ``PresenceConfig`` documents each."""

    __slots__ = (
        "attempt_timeout_s",
        "close_timeout_s",
        "interval_s",
        "max_in_flight",
        "max_requests_per_s",
        "presence_timeout_s",
        "retry",
        "subscribe_key",
    )

    def __init__(
        self,
        *,
        subscribe_key: str,
        interval_s: Callable[[int], float],
        presence_timeout_s: int = 300,
        attempt_timeout_s: float = 10.0,
        close_timeout_s: float = 10.0,
        max_in_flight: int = 64,
        max_requests_per_s: float | None = None,
        retry: RetryPolicy = NO_RETRY,
    ) -> None:
        self.subscribe_key: str = subscribe_key
        self.interval_s: Callable[[int], float] = interval_s
        self.presence_timeout_s: int = presence_timeout_s
        self.attempt_timeout_s: float = attempt_timeout_s
        self.close_timeout_s: float = close_timeout_s
        self.max_in_flight: int = max_in_flight
        self.max_requests_per_s: float | None = max_requests_per_s
        self.retry: RetryPolicy = retry


class Shared:
    """What all users of an engine share.

    Attributes:
        settings: The figures to go by.
        rng: Spreads retries.
        users: All users, to count them.
        changes: What the engine has to report.
        channels: Names that claims have had lately.
        intervals_s: The interval for each timeout that claims have had.
        widths_s: The width of slots for each interval and number of users lately.
        is_down: Whether the service cannot be reached.
        version: Of the newest state.
        places: How many places in the interval have been given away.
        repeat_by_s: By when doubts have to be over.
        sharing: The connection to a register; ``None``: there is none.
    """

    __slots__ = (
        "changes",
        "channels",
        "intervals_s",
        "is_down",
        "places",
        "repeat_by_s",
        "rng",
        "settings",
        "sharing",
        "users",
        "version",
        "widths_s",
    )

    def __init__(self, settings: Settings, rng: random.Random, users: Sized) -> None:
        self.settings: Settings = settings
        self.rng: random.Random = rng
        self.users: Sized = users
        self.intervals_s: dict[int, float] = {}
        self.channels: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.widths_s: dict[tuple[float, int], float] = {}
        self.changes: list[Change] = []
        self.is_down: bool = False
        self.places: int = 0
        self.repeat_by_s: float = math.inf
        self.sharing: Sharing | None = None
        self.version: int = 0

    def next_version(self, now_s: float) -> int:
        """Return the version of a state that is set now, newer than any before.

        A time in milliseconds, so that states set by several clients can be compared.
        """
        self.version = max(self.version + 1, int(now_s * 1000))
        return self.version

    def interval_s(self, presence_timeout_s: int) -> float:
        """Return the seconds between two heartbeats with a timeout."""
        interval_s = self.intervals_s.get(presence_timeout_s)
        if interval_s is None:
            interval_s = self.settings.interval_s(presence_timeout_s)
            self.intervals_s[presence_timeout_s] = interval_s
        return interval_s

    def slot_s(self, interval_s: float) -> float:
        """Return how wide the slots of an interval are at present."""
        key = interval_s, len(self.users)
        width_s = self.widths_s.get(key)
        if width_s is None:
            if len(self.widths_s) >= _MOST_WIDTHS:
                self.widths_s.clear()
            width_s = slot_s(*key, self.settings.max_in_flight)
            self.widths_s[key] = width_s
        return width_s

    def interned(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        """Return the same names, in the tuple that others have, if there is one.

        A tuple of its own for the name that thousands share takes 100 bytes a user.
        """
        known = self.channels.get(channels)
        if known is not None:
            return known
        if len(self.channels) >= _MOST_CHANNELS:
            self.channels.clear()
        self.channels[channels] = channels
        return channels
