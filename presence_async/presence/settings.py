"""The figures the engine goes by, and what all its users share."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sized

import attrs

from .changes import Change
from .claims import RetryPolicy
from .patience import NO_RETRY

__all__ = ["Settings", "Shared"]


@attrs.frozen(kw_only=True)
class Settings:
    """The figures the engine goes by; ``PresenceConfig`` documents each."""

    subscribe_key: str
    interval_s: Callable[[int], float]
    presence_timeout_s: int = 300
    attempt_timeout_s: float = 10.0
    close_timeout_s: float = 10.0
    max_in_flight: int = 64
    max_requests_per_s: float | None = None
    retry: RetryPolicy = NO_RETRY


class Shared:
    """What all users of an engine share.

    Attributes:
        settings: The figures to go by.
        rng: Spreads retries.
        users: All users, to count them.
        changes: What the engine has to report.
        is_down: Whether the service cannot be reached.
        places: How many places in the interval have been given away.
        repeat_by_s: By when doubts have to be over.
    """

    __slots__ = (
        "changes",
        "is_down",
        "places",
        "repeat_by_s",
        "rng",
        "settings",
        "users",
    )

    def __init__(self, settings: Settings, rng: random.Random, users: Sized) -> None:
        self.settings: Settings = settings
        self.rng: random.Random = rng
        self.users: Sized = users
        self.changes: list[Change] = []
        self.is_down: bool = False
        self.places: int = 0
        self.repeat_by_s: float = math.inf
