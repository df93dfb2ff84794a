"""Happening: what users do on a day, and which events that makes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Self

from .crowd import Crowd, Slice
from .situation import Situation

__all__ = ["Happening"]


class Happening(NamedTuple):
    """What the users do on a day, each on all channels of a user at once.

    Attributes:
        situation: Whose users.
        crowd: How full a room is.
        joins: Sessions that begin.
        leaves: Sessions that end by a leave.
        timeouts: Those that do not.
        reloads: Reloads that are seen, each a leave and soon a join.
        state_changes: States that are set.
    """

    situation: Situation
    crowd: Crowd
    joins: float
    leaves: float
    timeouts: float
    reloads: float
    state_changes: float

    @classmethod
    def of(cls, s: Situation, crowd: Crowd) -> Self:
        """Return what the users of a situation do."""
        sessions = s.users * s.sessions
        return cls(
            s,
            crowd,
            joins=sessions,
            leaves=sessions * (1 - s.crashes),
            timeouts=sessions * s.crashes,
            reloads=0.0 if s.hides_reloads else s.users * s.reloads,
            state_changes=s.users * s.hours * s.state_changes,
        )

    def events(self) -> dict[str, float]:
        """Return how many events of each kind a day has, on all channels.

        In a large room one at each interval takes the place of joins, leaves and
        timeouts.
        """
        s, single = self.situation, [0.0, 0.0, 0.0, 0.0]
        for day in self.crowd.slices:
            midway = day.weight * day.here / self.crowd.here * self.reloads
            going = day.weight * day.going * day.single_leaves
            single[0] += day.single_joins * (
                day.weight * day.coming * self.joins + midway
            )
            single[1] += going * self.leaves + day.single_leaves * midway
            single[2] += going * self.timeouts
        single[3] = self.state_changes
        names = ("join", "leave", "timeout", "state-change")
        large_s = s.rooms * s.window_s * self.crowd.large
        return {
            **{n: s.channels * x for n, x in zip(names, single, strict=True)},
            "interval": large_s / s.interval_s,
        }

    def unannounced(self) -> float:
        """Return how many joins, leaves and timeouts of a day have no event."""
        announced = self.events()
        all_of_them = self.joins + self.leaves + self.timeouts + 2 * self.reloads
        told = announced["join"] + announced["leave"] + announced["timeout"]
        return max(0.0, self.situation.channels * all_of_them - told)

    def moments(self) -> Iterator[tuple[float, float]]:
        """Yield for each part of a day its seconds, and the moments in one of them.

        A moment is when an observer hears of something: a change of a user, on as many
        of the watched channels as it may be, or an interval event of one channel.
        """
        s = self.situation
        missed = 1.0
        for n in range(s.channels):
            missed *= max(0.0, s.rooms - s.watched - n) / (s.rooms - n)
        for day in self.crowd.slices:
            changes = (1 - missed) * self._told(day) / s.window_s
            ticks = s.watched * day.large / s.interval_s
            yield day.weight * s.window_s, changes + ticks

    @property
    def alone(self) -> float:
        """The share of changes that do not come soon after another one."""
        ends = self.joins + self.leaves + self.timeouts
        return 1 - self.reloads / (ends + self.state_changes + 2 * self.reloads)

    def _told(self, day: Slice) -> float:
        """Return how many changes a day would have if all of it were like a part."""
        ends = self.leaves + self.timeouts
        here = day.here / self.crowd.here
        by_leave = day.going * ends + here * self.reloads
        by_join = day.coming * self.joins + here * self.reloads
        return math.fsum([
            day.single_joins * by_join,
            day.single_leaves * by_leave,
            here * self.state_changes,
        ])
