"""The figures the engine goes by, and what all its users share."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

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
    """What all users of an engine share."""

    __slots__ = ("changes", "is_down", "places", "repeat_by_s", "rng", "settings")

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self.settings: Settings = settings
        self.rng: random.Random = rng
        self.changes: list[Change] = []
        self.is_down: bool = False
        self.places: int = 0
        self.repeat_by_s: float = math.inf
