"""``presence_async.run``: a program whose end by a signal is an orderly leave."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

ResultT = TypeVar("ResultT")

_SIGNAL_EXIT_BASE = 128


def run(main: Coroutine[Any, Any, ResultT], *, debug: bool | None = None) -> ResultT:
    """Run a program like ``asyncio.run``; SIGINT and SIGTERM end it in order.

    The first of these signals cancels ``main``, whose ``async with`` blocks then leave.
    A second one ends the process at once. Outside the main
    thread, where signals cannot be taken, it is ``asyncio.run``::

        presence_async.run(main())

    Args:
        main: The program.
        debug: As for ``asyncio.run``.

    Returns:
        What ``main`` returns, also when it took a signal in its stride.

    Raises:
        KeyboardInterrupt: SIGINT ended it (exit code 130).
        SystemExit: SIGTERM ended it (exit code 143), or ``main`` raised it.
    """
    received: list[int] = []
    with asyncio.Runner(debug=debug) as runner:
        try:
            return runner.run(_ended_by_signals(main, received))
        except asyncio.CancelledError:
            if not received:
                raise
    if received[0] == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(_SIGNAL_EXIT_BASE + received[0])


async def _ended_by_signals(
    main: Coroutine[Any, Any, ResultT], received: list[int]
) -> ResultT:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    signals = (signal.SIGINT, signal.SIGTERM)

    def end(number: int, _: object = None) -> None:
        received.append(number)
        for each in signals:
            signal.signal(each, signal.SIG_DFL)
        if task is not None:
            loop.call_soon_threadsafe(task.cancel)

    if threading.current_thread() is not threading.main_thread():
        return await main
    # Not loop.add_signal_handler, which not every platform has.
    before = [signal.signal(each, end) for each in signals]
    try:
        return await main
    finally:
        if not received:
            for each, handler in zip(signals, before, strict=True):
                signal.signal(each, handler)
