"""``presence_async.run``: a program whose end by a signal is an orderly leave."""

from __future__ import annotations

import asyncio
import functools
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

ResultT = TypeVar("ResultT")

_SIGNAL_EXIT_BASE = 128
# SIGHUP tells of a closed terminal. SIGBREAK stands for it on Windows, which lacks it.
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)


def run(main: Coroutine[Any, Any, ResultT], *, debug: bool | None = None) -> ResultT:
    """Run a program like ``asyncio.run``; SIGINT, SIGTERM and SIGHUP end it in order.

    The first of these signals cancels ``main``, whose ``async with`` blocks then leave.
    A second one ends the process at once. Afterwards the signals do what they did
    before. A SIGHUP that was ignored before, as ``nohup`` does, stays so. Outside the
    main thread, where signals cannot be taken, it is ``asyncio.run``::

        presence_async.run(main())

    Args:
        main: The program.
        debug: As for ``asyncio.run``.

    Returns:
        What ``main`` returns, also if it returns after a signal.

    Raises:
        KeyboardInterrupt: SIGINT ended it (exit code 130).
        SystemExit: SIGTERM (exit code 143) or SIGHUP (129) ended it, or ``main``
            raised it.
    """
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(main, debug=debug)
    ending = _Ending()
    # Not loop.add_signal_handler, which Windows does not have.
    before = {number: signal.signal(number, ending.begin) for number in _to_take()}
    try:
        with asyncio.Runner(debug=debug) as runner:
            return runner.run(ending.watch(main))
    except asyncio.CancelledError:
        if ending.number is None:
            raise
    finally:
        for number, handler in before.items():
            # None stands for a handler that Python cannot put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if ending.number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(_SIGNAL_EXIT_BASE + ending.number)


def _to_take() -> list[int]:
    hangup = getattr(signal, "SIGHUP", None)
    is_ignored = hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN
    return [n for n in _SIGNALS if not (n == hangup and is_ignored)]


class _Ending:
    """Turns the first signal into a cancel of the program."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._cancel: Callable[[], object] | None = None

    async def watch(self, main: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run the program, which a signal cancels."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        if task is not None:
            self._cancel = functools.partial(loop.call_soon_threadsafe, task.cancel)
        if self.number is not None:
            main.close()
            raise asyncio.CancelledError
        try:
            return await main
        finally:
            # Clients left open still leave; a signal does not cut that short.
            self._cancel = None

    def begin(self, number: int, _: object = None) -> None:
        """Take the first signal; the next one ends the process at once."""
        self.number = number
        for each in _to_take():
            signal.signal(each, signal.SIG_DFL)
        if self._cancel is not None:
            self._cancel()
