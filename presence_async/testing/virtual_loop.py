"""VirtualLoop: an event loop on which hours pass in milliseconds.

Whenever nothing is ready, the clock jumps to the next timer instead of waiting for it.
Real loopback sockets work: what one end writes, the other can read at once, so a loop
with nothing to read has nothing on its way either. Bind and dial ``127.0.0.1``, since
looking up a name takes a thread.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

__all__ = ["VirtualLoop"]

ResultT = TypeVar("ResultT")

_START_S = 1_000.0
_JOB_POLL_S = 0.05


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own.

    ``asyncio.Runner(loop_factory=VirtualLoop)`` runs a program on it. While jobs of
    ``run_in_executor`` (or ``to_thread``) run, and when there is no timer to jump to,
    it waits for real.
    """

    def __init__(self) -> None:
        self._now_s = _START_S
        self._slept_s = 0.0
        self._started_at_s = time.time()
        self._jobs = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Return loop time in seconds; stands still while callbacks run."""
        return self._now_s

    def boot_time(self) -> float:
        """Return the time since boot in seconds, which goes on during a suspend."""
        return self._now_s + self._slept_s

    def wall_time(self) -> float:
        """Return Unix time in seconds, which goes on during a suspend."""
        return self._started_at_s + self.boot_time() - _START_S

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: the clocks outside go on, loop time does not."""
        self._slept_s += seconds

    def advance(self, seconds: float) -> None:
        """Move the clock; the selector does it, tests rather sleep."""
        self._now_s += seconds

    @property
    def has_jobs(self) -> bool:
        """Whether a job in an executor is under way."""
        return self._jobs > 0

    def run_in_executor(  # type: ignore[override]  # typeshed's overloads differ
        self,
        executor: Executor | None,
        func: Callable[..., ResultT],
        *args: Any,  # noqa: ANN401  # as the loop's own
    ) -> asyncio.Future[ResultT]:
        """Run a job in a thread; the clock does not jump until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._end_job)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads for real: their end is told from a thread as well."""
        self._jobs += 1
        try:
            if sys.version_info >= (3, 12):
                await super().shutdown_default_executor(timeout)
            else:
                await super().shutdown_default_executor()
        finally:
            self._jobs -= 1

    def _end_job(self, _: asyncio.Future[Any]) -> None:
        self._jobs -= 1


class _JumpingSelector(selectors.DefaultSelector):
    """Polls, and moves the clock where others would wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, it is later now."""
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if ready or timeout <= 0:
            return ready
        if self._loop.has_jobs:
            return self._wait(timeout)
        # The kernel delivers loopback bytes while they are written, but on a busy
        # machine its own thread may have to run first.
        os.sched_yield()
        ready = super().select(0)
        if not ready:
            self._loop.advance(timeout)
        return ready

    def _wait(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        started_s = time.monotonic()
        ready = super().select(min(timeout, _JOB_POLL_S))
        self._loop.advance(min(time.monotonic() - started_s, timeout))
        return ready
