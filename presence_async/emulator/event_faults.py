"""Faults of events on their way to clients, as data. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs

from ..checks import known_fields, number, validator, whole_number
from ..errors import InvalidArgumentError
from .active_faults import ActiveFaults

__all__ = ["EventFault", "EventFaults"]

_share = validator(number, least=0, most=1)
_seconds = validator(number, least=0)


@attrs.frozen(kw_only=True)
class EventFault:
    """Events get lost, come twice, late, or in another order.

    Only deliveries change: ``emulator.events`` stays true. A later copy has the
    timetoken of the first one, as recorded copies have.

    Attributes:
        drop: The share of events that is never delivered, 0 to 1.
        duplicate: The share that is delivered again within ``spread_s``.
        reorder: The share that is held back for up to ``spread_s``, so that later ones
            overtake it.
        delay_s: Seconds by which every event is delayed.
        spread_s: Seconds within which copies and reordered events arrive.
        channel: The only channel concerned; ``None``: every channel.
        for_s: Seconds that it lasts from its injection; ``None``: until ``reset``.
        probability: The share of events that it concerns at all, 0 to 1.
        seed: Makes the shares the same in each run.

    Raises:
        InvalidArgumentError: A field is out of its range.
    """

    drop: float = attrs.field(default=0.0, validator=_share)
    duplicate: float = attrs.field(default=0.0, validator=_share)
    reorder: float = attrs.field(default=0.0, validator=_share)
    delay_s: float = attrs.field(default=0.0, validator=_seconds)
    spread_s: float = attrs.field(default=1.0, validator=_seconds)
    channel: str | None = None
    for_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(validator(number, above=0))
    )
    probability: float = attrs.field(default=1.0, validator=_share)
    seed: int = attrs.field(default=0, validator=validator(whole_number))

    def __attrs_post_init__(self) -> None:
        """Reject a channel that is not text, or empty, which would concern none."""
        is_name = isinstance(self.channel, str) and self.channel
        if self.channel is not None and not is_name:
            raise InvalidArgumentError("channel", "must be a str, not empty, or None")

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> EventFault:
        """Return the fault that JSON describes: the attributes by their names.

        Raises:
            InvalidArgumentError: A field is unknown or out of its range.
        """
        known_fields(fields, cls, "event fault")
        return cls(**fields)

    def to_dict(self) -> dict[str, object]:
        """Return the fields for ``from_dict``, without defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if getattr(self, field.name) != field.default
        }

    def delays_s(self, chance: random.Random) -> list[float]:
        """Return the delay of each copy of an event, in seconds; none if it is lost."""
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


class EventFaults(ActiveFaults[EventFault]):
    """The event faults in force; the newest that matches decides."""

    def delays_s(self, subscribe_key: str, channel: str, now_s: float) -> list[float]:
        """Return the delay of each copy of an event, in seconds; none if it is lost."""
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
