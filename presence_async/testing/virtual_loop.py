"""VirtualLoop: an event loop on which hours pass in milliseconds.

When nothing is ready, the clock jumps to the next timer instead of waiting for it. Real
loopback sockets work: the other end can read at once what one end writes, so if there
is nothing to read, nothing is in transit either. Bind and dial ``127.0.0.1``, since
looking up a name takes a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import selectors
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

__all__ = ["VirtualLoop"]

ResultT = TypeVar("ResultT")

_START_S = 1_000.0
_JOB_POLL_S = 0.05


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which jumps when others would wait.

    ``asyncio.Runner(loop_factory=VirtualLoop)`` runs a program on it. It waits in real
    time while jobs of ``run_in_executor`` (or ``to_thread``) or child processes run,
    inside ``real_time()``, and if there is no timer to jump to. A test that waits for
    something that never happens hangs, as on any loop; give it an ``asyncio.timeout``,
    of hours if you like.

    Both ends of a connection have to be on this loop. A peer in another thread or
    process takes real time to answer, which the loop cannot see: it would jump to the
    next timer, often the caller's timeout. Talk to such a peer inside ``real_time()``.
    """

    def __init__(self) -> None:
        self._now_s = _START_S
        self._slept_s = 0.0
        self._started_at_s = time.time()
        self._waits = 0
        self._children: weakref.WeakSet[asyncio.SubprocessTransport] = weakref.WeakSet()
        self._files = _JumpingSelector(self)
        super().__init__(self._files)
        self._own_files = self._numbers()

    def time(self) -> float:
        """Return loop time in seconds, which stands still while callbacks run."""
        return self._now_s

    def boot_time(self) -> float:
        """Return the time since boot in seconds, which goes on during a suspend."""
        return self._now_s + self._slept_s

    def wall_time(self) -> float:
        """Return Unix time in seconds, which goes on during a suspend."""
        return self._started_at_s + self.boot_time() - _START_S

    def suspend(self, seconds: float) -> None:
        """Act as if the machine had slept: loop time stands still, other clocks go on.

        A negative number sets the other clocks back.
        """
        self._slept_s += seconds

    def advance(self, seconds: float) -> None:
        """Move the clock as a blocking callback does; tests should rather sleep."""
        self._now_s += seconds

    @contextlib.contextmanager
    def real_time(self) -> Iterator[None]:
        """Run the block in real time, for peers that are not on this loop."""
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    @property
    def is_real(self) -> bool:
        """Whether time is real now, because a thread, child or peer is at work."""
        return self._waits > 0 or any(
            child.get_returncode() is None for child in self._children
        )

    @property
    def watched(self) -> frozenset[int]:
        """The numbers of the sockets and pipes that wait to be read or written."""
        return self._numbers() - self._own_files

    def run_in_executor(  # type: ignore[override]  # typeshed's overloads differ
        self,
        executor: Executor | None,
        func: Callable[..., ResultT],
        *args: Any,  # noqa: ANN401  # as the loop's own
    ) -> asyncio.Future[ResultT]:
        """Run a job in a thread; the clock does not jump before it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._waits += 1
        future.add_done_callback(self._end_wait)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads in real time, since a thread reports their end."""
        with self.real_time():
            if sys.version_info >= (3, 12):
                await super().shutdown_default_executor(timeout)
            else:
                await super().shutdown_default_executor()

    async def subprocess_exec(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  # as the loop's own
        """Start a program; the clock does not jump before it has ended."""
        with self.real_time():
            transport, protocol = await super().subprocess_exec(*args, **options)
        self._children.add(transport)
        return transport, protocol

    async def subprocess_shell(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  # as the loop's own
        """Start a command; the clock does not jump before it has ended."""
        with self.real_time():
            transport, protocol = await super().subprocess_shell(*args, **options)
        self._children.add(transport)
        return transport, protocol

    def _end_wait(self, _: asyncio.Future[Any]) -> None:
        self._waits -= 1

    def _numbers(self) -> frozenset[int]:
        return frozenset(key.fd for key in self._files.get_map().values())


class _JumpingSelector(selectors.DefaultSelector):
    """Polls, and moves the clock when others would wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the ready files; if there are none, move the clock."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.is_real:
            return self._wait(math.inf if timeout is None else timeout)
        if timeout is None:
            return super().select(None)
        # The kernel delivers loopback bytes while they are written, but on a busy
        # machine a thread of the kernel may have to run first.
        _let_others_run()
        ready = super().select(0)
        if not ready:
            self._loop.advance(timeout)
        return ready

    def _wait(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        started_s = time.monotonic()
        ready = super().select(min(timeout, _JOB_POLL_S))
        self._loop.advance(min(time.monotonic() - started_s, timeout))
        return ready


def _let_others_run() -> None:
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)
