"""Many time limits on one timer.

``asyncio.timeout`` arms and cancels a loop timer per request, which is a tenth of what
a small request costs. Here each scope is still an ``asyncio.Timeout``, with its exact
rules for cancellation, but only the earliest limit holds a timer.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Self

__all__ = ["Deadlines", "TimeLimit"]


class Deadlines:
    """Ends scopes when their time is up; one loop timer for all of them."""

    def __init__(self) -> None:
        self._limits: dict[asyncio.Timeout, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = math.inf

    def watch(self, scope: asyncio.Timeout, due_s: float) -> None:
        """End an entered scope at a loop time; replaces an earlier limit."""
        self._limits[scope] = due_s
        if due_s < self._timer_due_s:
            self._arm(due_s)

    def forget(self, scope: asyncio.Timeout) -> None:
        """Let a scope be; call it before the scope is left."""
        self._limits.pop(scope, None)

    def end_all(self) -> None:
        """End every scope now and drop the timer."""
        self._disarm()
        now_s = asyncio.get_running_loop().time()
        for scope in self._limits:
            scope.reschedule(now_s)
        self._limits.clear()

    def _arm(self, due_s: float) -> None:
        self._disarm()
        self._timer = asyncio.get_running_loop().call_at(due_s, self._sweep)
        self._timer_due_s = due_s

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due_s = None, math.inf

    def _sweep(self) -> None:
        due_s, self._timer, self._timer_due_s = self._timer_due_s, None, math.inf
        for scope in [s for s, limit_s in self._limits.items() if limit_s <= due_s]:
            del self._limits[scope]
            scope.reschedule(due_s)
        next_due_s = min(self._limits.values(), default=math.inf)
        if next_due_s < math.inf:
            self._arm(next_due_s)


class TimeLimit:
    """``async with TimeLimit(deadlines, due_s) as limit``: a scope that ends in time.

    Leaves with ``TimeoutError`` when the time was up, and ``limit.is_up`` tells it
    from a ``TimeoutError`` of anything inside.
    """

    __slots__ = ("_deadlines", "_due_s", "_scope")

    def __init__(self, deadlines: Deadlines, due_s: float) -> None:
        self._deadlines = deadlines
        self._due_s = due_s
        self._scope = asyncio.timeout(None)

    @property
    def is_up(self) -> bool:
        """Whether this limit ended the scope."""
        return self._scope.expired()

    def move(self, due_s: float) -> None:
        """Set another limit while inside."""
        self._deadlines.watch(self._scope, due_s)

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        if self._due_s < math.inf:
            self._deadlines.watch(self._scope, self._due_s)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadlines.forget(self._scope)
        await self._scope.__aexit__(kind, error, traceback)
