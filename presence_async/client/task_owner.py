"""The owner of tasks that outlive the call that started them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine

__all__ = ["TaskOwner"]

logger: logging.Logger = logging.getLogger("presence_async.client")


class TaskOwner:
    """Holds named tasks strongly, reports their crashes, and ends them.

    The event loop itself holds tasks weakly, and an exception in a task nobody awaits
    is only seen when it is collected.

    Args:
        on_ended: Called after each task, when it no longer counts.
    """

    def __init__(self, on_ended: Callable[[], None] | None = None) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_ended = on_ended

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
        if self._on_ended is not None:
            self._on_ended()
