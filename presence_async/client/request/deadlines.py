"""Many time limits on one timer.

``asyncio.timeout`` arms and cancels a loop timer and awaits twice per scope, a tenth of
what a small request costs. Here only the earliest limit holds a timer. The rules for
cancellation are those of ``asyncio.Timeout``: a limit that is up cancels its task,
takes that one cancel back at the end of its block, and lets any other through.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

__all__ = ["Deadlines", "TimeLimit"]


class Deadlines:
    """Ends blocks when their time is up; one loop timer for all of them.

    Attributes:
        due_s: When each block has to end, in loop time.
        timer_due_s: When the timer fires; ``math.inf`` when there is none.
    """

    def __init__(self) -> None:
        self.due_s: dict[TimeLimit, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.timer_due_s: float = math.inf

    def end_all(self) -> None:
        """End every block now and drop the timer."""
        self._disarm()
        limits = list(self.due_s)
        self.due_s.clear()
        for limit in limits:
            limit.expire()

    def arm(self, due_s: float) -> None:
        """Set the timer for the earliest limit."""
        self._disarm()
        self._timer = asyncio.get_running_loop().call_at(due_s, self._sweep)
        self.timer_due_s = due_s

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.timer_due_s = None, math.inf

    def _sweep(self) -> None:
        now_s = self.timer_due_s
        self._timer, self.timer_due_s = None, math.inf
        for limit in [x for x, due_s in self.due_s.items() if due_s <= now_s]:
            del self.due_s[limit]
            limit.expire()
        next_due_s = min(self.due_s.values(), default=math.inf)
        if next_due_s < math.inf:
            self.arm(next_due_s)


class TimeLimit:
    """``with TimeLimit(deadlines, due_s) as limit``: a block that ends in time.

    For one task, and one use. Leaves with ``TimeoutError`` when the time was up;
    ``limit.is_up`` tells it from a ``TimeoutError`` of anything inside.
    """

    __slots__ = ("_cancels", "_deadlines", "_due_s", "_task", "is_up")

    def __init__(self, deadlines: Deadlines, due_s: float) -> None:
        self._deadlines = deadlines
        self._due_s = due_s
        self.is_up: bool = False

    def expire(self) -> None:
        """End the block; ``Deadlines`` calls it."""
        self.is_up = True
        self._task.cancel()

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task")
        self._task: asyncio.Task[object] = task
        self._cancels = task.cancelling()
        deadlines, due_s = self._deadlines, self._due_s
        # Written out instead of called: this is on the way of every request.
        deadlines.due_s[self] = due_s
        if due_s < deadlines.timer_due_s:
            deadlines.arm(due_s)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.is_up:
            del self._deadlines.due_s[self]
            return
        # Only if nobody else has cancelled the task meanwhile, it is our time limit.
        is_ours = self._task.uncancel() <= self._cancels
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
