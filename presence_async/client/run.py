"""``presence_async.run``: a program whose end by a signal is in order."""

from __future__ import annotations

import asyncio
import functools
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..checks import checked_hand_over_s
from ..errors import InvalidArgumentError
from .ending import ProgramEnd

__all__ = ["run"]

ResultT = TypeVar("ResultT")

_SIGNAL_EXIT_BASE = 128
# SIGHUP tells of a closed terminal. SIGBREAK stands for it on Windows, which lacks it.
_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)


def run(
    main: Coroutine[Any, Any, ResultT],
    *,
    debug: bool | None = None,
    hand_over_s: float | None = None,
) -> ResultT:
    """Run a program like ``asyncio.run``; SIGINT, SIGTERM and SIGHUP end it in order.

    The first of these signals cancels ``main``, whose ``async with`` blocks then leave.
    A second one ends the process at once. Afterwards the signals do what they did
    before. A SIGHUP that was ignored before, as ``nohup`` does, stays so. Outside the
    main thread, where signals cannot be taken, it is ``asyncio.run``::

        presence_async.run(main())

    A program that is restarted, as by a deploy, may hand its users over to the next
    process instead, so that nobody sees them go::

        presence_async.run(main(), hand_over_s=20)

    After a signal the ends of ``async with client.join(…)`` and of other lease blocks
    then send nothing, and those of ``async with PresenceClient(…)`` close the client
    with ``hand_over_s``, as do clients that are left open. Calls of ``leave`` and
    ``close`` do what they say. Without a signal nothing differs.

    Args:
        main: The program; tasks that it starts belong to it.
        debug: As for ``asyncio.run``.
        hand_over_s: Seconds that the next process may take to join the same users, as
            in ``PresenceClient.close``; ``None`` or 0: users leave.

    Returns:
        What ``main`` returns, also if it returns after a signal.

    Raises:
        KeyboardInterrupt: SIGINT ended it (exit code 130).
        SystemExit: SIGTERM (exit code 143) or SIGHUP (129) ended it, or ``main``
            raised it.
        InvalidArgumentError: ``hand_over_s`` is no finite number from 0 on; ``main``
            does not run.
    """
    if hand_over_s is not None:
        _check_before(main, hand_over_s)
    if threading.current_thread() is not threading.main_thread():
        return asyncio.run(main, debug=debug)
    ending = _Ending(ProgramEnd(hand_over_s))
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


def _check_before(main: Coroutine[Any, Any, object], hand_over_s: float) -> None:
    try:
        checked_hand_over_s(hand_over_s)
    except InvalidArgumentError:
        main.close()
        raise


def _to_take() -> list[int]:
    hangup = getattr(signal, "SIGHUP", None)
    is_ignored = hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN
    return [n for n in _SIGNALS if not (n == hangup and is_ignored)]


class _Ending:
    """Turns the first signal into a cancel of the program."""

    def __init__(self, end: ProgramEnd) -> None:
        self._end = end
        self.number: int | None = None
        self._cancel: Callable[[], object] | None = None

    async def watch(self, main: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Run the program, which a signal cancels."""
        self._end.watch()
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
        self._end.has_begun = True
        for each in _to_take():
            signal.signal(each, signal.SIG_DFL)
        if self._cancel is not None:
            self._cancel()
