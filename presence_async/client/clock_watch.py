"""Detects time the loop clock missed: a suspend, or a blocked event loop."""

from __future__ import annotations

from typing import NamedTuple

from . import wall_clock
from .aio import loop_s

__all__ = ["LONGEST_TICK_S", "ClockReport", "ClockWatch"]

LONGEST_TICK_S = 5.0
"""Seconds between two looks at the clocks, at most."""

_SLEPT_S = 2.0
_BLOCKED_S = 1.0
_STOPPED_S = 2 * LONGEST_TICK_S


class ClockReport(NamedTuple):
    """What a look at the clocks found.

    Attributes:
        slept_s: Seconds that the clocks outside went on while loop time stood still.
        blocked_s: How late the loop is; 0 if not late, or already told.
        is_stop: Whether it was so late that the whole process stood still.
    """

    slept_s: float = 0.0
    blocked_s: float = 0.0
    is_stop: bool = False


class ClockWatch:
    """Compares loop time with the time since boot and the wall clock.

    A clock that is set back says nothing; one that is set forward is taken for a
    sleep, which costs one heartbeat of everybody.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float, float] | None = None
        self._is_blocked = False

    def look(self, due_s: float) -> ClockReport:
        """Look at the clocks.

        Args:
            due_s: Loop time when this look should have been.
        """
        now_s = loop_s()
        readings = (now_s, wall_clock.boot_s(), wall_clock.now_s())
        last, self._last = self._last or readings, readings
        passed_s, boot_s, wall_s = (
            now - before for now, before in zip(readings, last, strict=True)
        )
        slept_s = max(boot_s, wall_s) - passed_s
        late_s = now_s - due_s
        was_blocked, self._is_blocked = self._is_blocked, late_s > _BLOCKED_S
        return ClockReport(
            slept_s=slept_s if slept_s > _SLEPT_S else 0.0,
            blocked_s=late_s if self._is_blocked and not was_blocked else 0.0,
            is_stop=late_s > _STOPPED_S,
        )
