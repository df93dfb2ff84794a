"""The status line of ``join``, as rich draws it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderableType

import presence_async

from .output import shown
from .tables import age, cut

__all__ = ["JoinStatus"]

_STYLES = {
    presence_async.LeaseHealth.FRESH: "green",
    presence_async.LeaseHealth.AT_RISK: "magenta",
    presence_async.LeaseHealth.LOST: "red",
    presence_async.LeaseHealth.REFUSED: "red",
}


class JoinStatus(NamedTuple):
    """A presence as it is now; something that rich draws on one line.

    Attributes:
        user_id: Who is present.
        names: The channels and groups.
        health: The health of the lease.
        remaining_s: Seconds until the service times the user out.
        beat_age_s: Seconds since the last heartbeat that was acknowledged.
        interval_s: Seconds between heartbeats.
    """

    user_id: str
    names: Sequence[str]
    health: presence_async.LeaseHealth
    remaining_s: float
    beat_age_s: float
    interval_s: float

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Draw what changes first: names may be long."""
        line = cut(
            f"{self.health}  {age(self.remaining_s)} left,"
            f" last heartbeat {age(self.beat_age_s)} ago,"
            f" every {self.interval_s:g} s  {shown(self.user_id)} on"
            f" {', '.join(shown(name) for name in self.names)}",
            options,
        )
        line.stylize(_STYLES.get(self.health, ""), 0, len(self.health))
        yield line
