"""Which faults are in force, and until when. Pure."""

from __future__ import annotations

import math
import random
from itertools import count
from typing import Generic, Protocol, TypeVar

import attrs

__all__ = ["ActiveFault", "ActiveFaults"]


class _Fault(Protocol):
    @property
    def for_s(self) -> float | None:
        """How long it is in force; ``None``: until it is lifted."""

    @property
    def seed(self) -> int:
        """Seeds the choice of what it hits."""


FaultT = TypeVar("FaultT", bound=_Fault)


@attrs.define(eq=False)
class ActiveFault(Generic[FaultT]):
    """A fault in force.

    Attributes:
        number: Tells it from the others, also from those before it.
        fault: What goes wrong.
        subscribe_key: The key concerned; ``None``: every key.
        until_s: When it ends.
        left: How often it may still strike.
        random: Decides what it hits.
        hits: How often it has struck.
    """

    number: int
    fault: FaultT
    subscribe_key: str | None
    until_s: float
    left: float
    random: random.Random
    hits: int = 0


class ActiveFaults(Generic[FaultT]):
    """The faults in force, newest first."""

    def __init__(self) -> None:
        self._active: list[ActiveFault[FaultT]] = []
        self._numbers = count(1)

    def inject(
        self, fault: FaultT, *, now_s: float, subscribe_key: str | None = None
    ) -> int:
        """Put a fault in force, for one subscribe key or for all; return its number."""
        active = ActiveFault(
            next(self._numbers),
            fault,
            subscribe_key,
            math.inf if fault.for_s is None else now_s + fault.for_s,
            self._most_hits(fault),
            random.Random(fault.seed),  # noqa: S311  # repeatable, guards nothing
        )
        self._active.insert(0, active)
        return active.number

    def _most_hits(self, fault: FaultT) -> float:  # noqa: ARG002  # of some kinds
        """Return how often a fault strikes."""
        return math.inf

    def lift(self, number: int) -> None:
        """Remove the fault of a number, if it is still in force."""
        self._active = [a for a in self._active if a.number != number]

    def clear(self) -> None:
        """Remove every fault."""
        self._active.clear()

    def active(self, *, now_s: float) -> tuple[ActiveFault[FaultT], ...]:
        """Return what may still strike, newest first, with what it did so far."""
        self._active = [a for a in self._active if a.left > 0 and now_s < a.until_s]
        return tuple(self._active)

    def in_force(self, *, now_s: float) -> list[FaultT]:
        """Return the faults that may still strike, newest first."""
        return [active.fault for active in self.active(now_s=now_s)]
