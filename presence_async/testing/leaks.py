"""The leak check: tasks, sockets and unread exceptions that a block leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .unclosed import unclosed_clients
from .virtual_loop import VirtualLoop

__all__ = ["LeakCheck", "LeakError"]

_CLEANUP_TURNS = 20
_YOUNG = 1
# What anyio's plugin starts on the loop of a test, to wait for a fixture or the test.
_ANYIO_CALL = "TestRunner._call_in_runner_task"

Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class LeakError(AssertionError):
    """Tasks, sockets or unread exceptions were left behind; the text names each."""


class LeakCheck:
    """``async with LeakCheck():`` fails when the block leaves something behind.

    It finds tasks that the block started and that still run, exceptions that reached
    only the loop's exception handler, such as that of a task nobody awaited, and on a
    ``VirtualLoop`` sockets that the loop still watches. Turning warnings into errors
    finds neither of the first two. Tasks and sockets that were cancelled or closed get
    some turns of the loop to end. A client that was not closed is named by its user.

    Raises:
        LeakError: At the end, unless the block raised something itself.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sockets: frozenset[int] = frozenset()
        self._unread: list[str] = []
        self._handler: Handler | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._tasks = asyncio.all_tasks()
        self._sockets = _watched(loop)
        self._handler = loop.get_exception_handler()
        loop.set_exception_handler(self._record)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        found = await self._settled()
        if found:
            found += unclosed_clients(self._left())
        loop = asyncio.get_running_loop()
        # If the block set a handler of its own and kept it, that was on purpose.
        if loop.get_exception_handler() == self._record:
            loop.set_exception_handler(self._handler)
        if found and error is None:
            raise LeakError("left behind:\n  " + "\n  ".join(sorted(found)))

    async def _settled(self) -> list[str]:
        # A failed task in a reference cycle reports its exception when it is collected.
        gc.collect(_YOUNG)
        found = self._found()
        for _ in range(_CLEANUP_TURNS):
            if not found:
                break
            await asyncio.sleep(0)
            found = self._found()
        return found

    def _left(self) -> list[asyncio.Task[Any]]:
        tasks = asyncio.all_tasks() - self._tasks - {asyncio.current_task()}
        return [task for task in tasks if _name(task) != _ANYIO_CALL]

    def _found(self) -> list[str]:
        sockets = _watched(asyncio.get_running_loop()) - self._sockets
        return [
            *(_task_text(task) for task in self._left()),
            *(_socket_text(number) for number in sockets),
            *(f"unread: {text}" for text in self._unread),
        ]

    def _record(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._unread.append(f"{context['message']}: {context.get('exception')!r}")
        loop.default_exception_handler(context)  # the log has its traceback


def _watched(loop: asyncio.AbstractEventLoop) -> frozenset[int]:
    return loop.watched if isinstance(loop, VirtualLoop) else frozenset()


def _name(task: asyncio.Task[Any]) -> str:
    return str(getattr(task.get_coro(), "__qualname__", task.get_coro()))


def _task_text(task: asyncio.Task[Any]) -> str:
    name = _name(task)
    frames = task.get_stack(limit=1)
    if not frames:
        return f"task {task.get_name()!r} of {name}"
    place = f"{Path(frames[0].f_code.co_filename).name}:{frames[0].f_lineno}"
    return f"task {task.get_name()!r} of {name}, at {place}"


def _socket_text(number: int) -> str:
    try:
        with socket.socket(fileno=os.dup(number)) as copy:
            return f"socket {copy.getsockname()}, number {number}"
    except OSError:  # a pipe, or a socket closed without the loop
        return f"file number {number}"
