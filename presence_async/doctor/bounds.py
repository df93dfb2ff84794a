"""Bounds: a time that was not seen itself, but what came before and after it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, Self

__all__ = ["Bounds", "UnclearError"]

# What clocks and timers may be off.
_EXACT_S = 0.02


class UnclearError(Exception):
    """What was seen does not tell a figure; the text says why."""


class Bounds(NamedTuple):
    """What a moment of the event loop's clock, or a number of seconds, lies between.

    A request acts between its first attempt and its answer, a user is gone between the
    last answer that lists them and the first that does not. Figures made of such times
    stay true however slow or flaky the service is; they only get wider.

    Attributes:
        least_s: Not before, or no less than this.
        most_s: Not after, or no more than this; ``math.inf``: it may still come.
    """

    least_s: float
    most_s: float

    @classmethod
    def around(cls, several: Iterable[Bounds]) -> Self:
        """Return what holds them all."""
        leasts, mosts = zip(*several, strict=True)
        return cls(min(leasts), max(mosts))

    @property
    def width_s(self) -> float:
        """How much is left open."""
        return self.most_s - self.least_s

    def __sub__(self, other: Bounds) -> Bounds:
        """Return the seconds since another moment, or what is left of seconds."""
        return Bounds(self.least_s - other.most_s, self.most_s - other.least_s)

    def overlaps(self, other: Bounds) -> bool:
        """Return True if both may be the same."""
        return self.least_s <= other.most_s and other.least_s <= self.most_s

    def whole_s(self) -> int:
        """Return the whole seconds, 0 or more, if only one number of them fits.

        Raises:
            UnclearError: None or several fit.
        """
        least = math.ceil(max(0.0, self.least_s - _EXACT_S))
        most = self.most_s + _EXACT_S
        if least <= most < least + 1:
            return least
        if most < max(0.0, self.least_s):
            raise UnclearError("what was seen contradicts itself")
        raise UnclearError(f"it may be {self}")

    def __str__(self) -> str:
        if self.most_s == math.inf:
            return f"{max(0.0, self.least_s):.1f} s or more"
        return f"{max(0.0, self.least_s):.1f} to {self.most_s:.1f} s"
