"""What asyncio lacks: gates, time limits on one timer, owners of tasks, a clock."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Coroutine
from types import TracebackType
from typing import Protocol, Self

from .safe_log import SafeLogger

__all__ = ["Admission", "Deadlines", "Gate", "TaskOwner", "TimeLimit", "loop_s"]

logger: SafeLogger = SafeLogger("presence_async.client")


def loop_s() -> float:
    """Return the time of the running event loop."""
    return asyncio.get_running_loop().time()


class Admission(Protocol):
    """What a request passes before it is sent: a ``Gate``, or what acts like one."""

    def try_enter(self) -> bool:
        """Enter without waiting; return False if there is no room."""
        ...

    async def enter(self) -> None:
        """Wait for a place and take it."""
        ...

    def leave(self) -> None:
        """Give the place back."""
        ...


class Gate:
    """Lets a bounded number through at once, first come, first served.

    ``if not gate.try_enter(): await gate.enter()``, then in ``finally``
    ``gate.leave()``. A semaphore with a way in that costs next to nothing while there
    is room, since every request passes here.

    Args:
        limit: How many may be inside.
        rate_per_s: How many may enter in a second; ``None``: any number.
    """

    __slots__ = ("_free", "_gap_s", "_next_entry_s", "_waiting")

    def __init__(self, limit: int, *, rate_per_s: float | None = None) -> None:
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] | None = None
        self._gap_s = 1 / rate_per_s if rate_per_s else 0.0
        self._next_entry_s = 0.0

    def try_enter(self) -> bool:
        """Enter if there is room and nobody waits."""
        if self._free > 0 and not self._gap_s:
            self._free -= 1
            return True
        return False

    async def enter(self) -> None:
        """Wait for a place, and for the time that the rate allows.

        Cancellation: gives the place back.
        """
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait_for_place()
        try:
            await self._wait_for_turn()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Hand the place to whoever waits longest, or free it."""
        waiting = self._waiting
        while waiting:
            place = waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    async def _wait_for_place(self) -> None:
        place = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(place)
        try:
            await place
        except BaseException:
            if place.done() and not place.cancelled():
                # Cancelled between being handed the place and taking it.
                self.leave()
            else:
                place.cancel()
            raise

    async def _wait_for_turn(self) -> None:
        if not self._gap_s:
            return
        now_s = loop_s()
        entry_s = max(now_s, self._next_entry_s)
        self._next_entry_s = entry_s + self._gap_s
        if entry_s > now_s:
            await asyncio.sleep(entry_s - now_s)


class Expiring(Protocol):
    """What has a time limit."""

    def expire(self) -> None:
        """End, since the time is up."""
        ...


class Deadlines:
    """Ends blocks when their time is up, with one loop timer for all of them.

    ``asyncio.timeout`` arms and cancels a loop timer and awaits twice per scope, a
    tenth of what a small request costs. Here only the earliest limit holds a timer.

    """

    def __init__(self) -> None:
        self._due_s: dict[Expiring, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = math.inf

    def add(self, block: Expiring, due_s: float) -> None:
        """End a block at a loop time, unless it is discarded before."""
        self._due_s[block] = due_s
        if due_s < self._timer_due_s:
            self._arm(due_s)

    def discard(self, block: Expiring) -> None:
        """Forget a block that has ended."""
        self._due_s.pop(block, None)

    def end_all(self) -> None:
        """End every block now and drop the timer."""
        self._disarm()
        blocks = list(self._due_s)
        self._due_s.clear()
        for block in blocks:
            block.expire()

    def _arm(self, due_s: float) -> None:
        """Set the timer for the earliest end."""
        self._disarm()
        self._timer = asyncio.get_running_loop().call_at(due_s, self._sweep)
        self._timer_due_s = due_s

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_due_s = None, math.inf

    def _sweep(self) -> None:
        now_s = self._timer_due_s
        self._timer, self._timer_due_s = None, math.inf
        for block in [x for x, due_s in self._due_s.items() if due_s <= now_s]:
            # Ending one may have ended another.
            if self._due_s.pop(block, None) is not None:
                block.expire()
        next_due_s = min(self._due_s.values(), default=math.inf)
        if next_due_s < self._timer_due_s:
            self._arm(next_due_s)


class TimeLimit:
    """``with TimeLimit(deadlines, due_s) as limit``: a block that ends in time.

    For one task and one use. The block raises ``TimeoutError`` when its time is up;
    ``limit.is_up`` tells it from a ``TimeoutError`` of anything inside. The rules for
    cancellation are those of ``asyncio.Timeout``: the limit cancels its task, takes
    that one cancel back at the end of its block, and lets any other through.
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
        self._deadlines.add(self, self._due_s)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.is_up:
            self._deadlines.discard(self)
            return
        # Raise TimeoutError only if our cancel was the only one.
        is_ours = self._task.uncancel() <= self._cancels
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error


class TaskOwner:
    """Holds named tasks strongly, reports their crashes, and ends them.

    The event loop itself holds tasks weakly, and an exception in a task nobody awaits
    is only seen when it is collected.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[object, object, None], *, name: str) -> None:
        """Run a coroutine in a task of this owner."""
        _ = self.create(work, name=name)

    def create(
        self, work: Coroutine[object, object, None], *, name: str
    ) -> asyncio.Task[None]:
        """Start a coroutine and return its task, which this owner holds.

        Made without the loop's task factory: an eager one would run the coroutine up
        to its first wait in here, before this owner counts the task and before the
        caller has done what it does after this line.
        """
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def finish(self) -> None:
        """Wait until every other task has ended, those started meanwhile included."""
        while others := self._others():
            await asyncio.wait(others)

    def abort(self) -> None:
        """Cancel every other task, without waiting."""
        for task in self._others():
            task.cancel()

    def _others(self) -> set[asyncio.Task[None]]:
        """Return all but the running task, which cannot wait for itself."""
        return self._tasks - {asyncio.current_task()}

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("%s crashed", task.get_name(), exc_info=error)
