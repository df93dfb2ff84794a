"""What goes wrong with events on their way, as data; what happened stays true. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import attrs

from ..errors import InvalidArgumentError
from . import checks

__all__ = ["EventFault", "EventFaults"]


@attrs.frozen(kw_only=True)
class EventFault:
    """Events get lost, come twice, late, or in another order.

    Only what polls deliver changes, not ``emulator.events``. A copy that comes later
    has the timetoken of the first one, as recorded copies have.

    Attributes:
        drop: The share of events that is never delivered, 0 to 1.
        duplicate: The share that is delivered again within ``spread_s``.
        reorder: The share that is held back for up to ``spread_s``, so that later ones
            overtake it.
        delay_s: How much later all of them come.
        spread_s: See above, in seconds.
        channel: The only channel concerned; ``None``: every channel.
        for_s: How long it lasts from its injection; ``None``: until ``reset``.
        probability: The share of events it concerns at all, 0 to 1.
        seed: Makes the shares the same in each run.

    Raises:
        InvalidArgumentError: A field is out of its range.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_s: float = 0.0
    spread_s: float = 1.0
    channel: str | None = None
    for_s: float | None = None
    probability: float = 1.0
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name in ("drop", "duplicate", "reorder", "probability"):
            checks.share(name, getattr(self, name))
        checks.seconds("delay_s", self.delay_s)
        checks.seconds("spread_s", self.spread_s)
        checks.positive("for_s", self.for_s)
        checks.whole("seed", self.seed)
        if self.channel is not None and not isinstance(self.channel, str):
            raise InvalidArgumentError("channel", "must be a str, or None")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> EventFault:
        """Read one from JSON: the attributes by their names.

        Raises:
            InvalidArgumentError: A field is unknown or out of its range.
        """
        checks.known("event fault", fields, cls)
        return cls(**fields)

    def to_dict(self) -> dict[str, object]:
        """Return what ``from_dict`` reads, without what is as by default."""
        return {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if getattr(self, field.name) != field.default
        }

    def delays_s(self, chance: random.Random) -> list[float]:
        """Say how much later each copy of an event comes; no copy: never."""
        # Always as many draws, so that one share does not change what another hits.
        concerned, drop, duplicate, reorder, by, again = [
            chance.random() for _ in range(6)
        ]
        if concerned >= self.probability:
            return [0.0]
        if drop < self.drop:
            return []
        delay_s = self.delay_s
        if reorder < self.reorder:
            delay_s += by * self.spread_s
        if duplicate < self.duplicate:
            return [delay_s, delay_s + again * self.spread_s]
        return [delay_s]


@attrs.define(eq=False)
class _Active:
    fault: EventFault
    subscribe_key: str | None
    until_s: float
    random: random.Random


class EventFaults:
    """The event faults in force; the one injected last decides."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def inject(
        self, fault: EventFault, *, now_s: float, subscribe_key: str | None = None
    ) -> None:
        """Put a fault in force, for one subscribe key or for all."""
        until_s = math.inf if fault.for_s is None else now_s + fault.for_s
        chance = random.Random(fault.seed)  # noqa: S311  # repeatable, guards nothing
        self._active.insert(0, _Active(fault, subscribe_key, until_s, chance))

    def in_force(self, *, now_s: float) -> list[EventFault]:
        """Return the faults that may still strike, the newest first."""
        self._active = [active for active in self._active if now_s < active.until_s]
        return [active.fault for active in self._active]

    def clear(self) -> None:
        """Lift every fault."""
        self._active.clear()

    def delays_s(self, subscribe_key: str, channel: str, now_s: float) -> list[float]:
        """Say how much later each copy of an event comes; no copy: never."""
        if not self._active:
            return [0.0]
        for active in self._active:
            fault = active.fault
            if (
                now_s < active.until_s
                and active.subscribe_key in {None, subscribe_key}
                and fault.channel in {None, channel}
            ):
                return fault.delays_s(active.random)
        return [0.0]
