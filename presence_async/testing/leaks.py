"""Leaks: what a test left behind that nobody owns any more."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

__all__ = ["LeakCheck", "LeakError"]

_CLEANUP_TURNS = 5


class LeakError(AssertionError):
    """Tasks, timers or unread failures were left behind."""


class LeakCheck:
    """``async with LeakCheck():`` fails when the block leaves something behind.

    Finds tasks that still run and exceptions that only the loop's handler heard of,
    such as that of a task nobody awaited. Warnings as errors find neither.
    """

    def __init__(self) -> None:
        self._before: set[asyncio.Task[Any]] = set()
        self._unread: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._before = asyncio.all_tasks()
        loop.set_exception_handler(self._note)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Cancelled tasks and closed transports need a few turns to end.
        for _ in range(_CLEANUP_TURNS):
            await asyncio.sleep(0)
        asyncio.get_running_loop().set_exception_handler(None)
        if error is None:
            self._check()

    def _check(self) -> None:
        left = asyncio.all_tasks() - self._before - {asyncio.current_task()}
        found = [f"task {task.get_name()!r}: {task.get_coro()}" for task in left]
        found += [f"unread: {message}" for message in self._unread]
        if found:
            raise LeakError("left behind:\n  " + "\n  ".join(sorted(found)))

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._unread.append(f"{context['message']}: {error!r}")
