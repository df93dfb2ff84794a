"""A part of the terminal that is drawn again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
from collections.abc import Callable, Iterator

from rich.console import Console, RenderableType
from rich.live import Live

from .output import OutputClosedError, ends_when_closed

__all__ = ["live_screen", "live_status", "redraw"]

_PAUSE_S = 0.25
_TICK_S = 1.0


def live_screen() -> contextlib.AbstractContextManager[Live]:
    """Take the whole terminal; at the end it is as it was before."""
    return _live(is_screen=True)


def live_status() -> contextlib.AbstractContextManager[Live]:
    """Take the last line of the terminal; lines said meanwhile stand above it."""
    return _live(is_screen=False)


@contextlib.contextmanager
def _live(*, is_screen: bool) -> Iterator[Live]:
    console = Console(highlight=False, markup=False, emoji=False)
    live = Live(
        console=console,
        screen=is_screen,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
    )
    with ends_when_closed():
        live.start()
    try:
        yield live
    finally:
        # A terminal that is gone needs no cleaning, and hides no other reason to end.
        with contextlib.suppress(OSError):
            live.stop()


async def redraw(
    live: Live, draw: Callable[[], RenderableType], changed: asyncio.Event
) -> None:
    """Draw at once, soon after each change, and each second; never ends.

    A terminal that takes nothing now, as after Ctrl-S, is left alone: writing to it
    would stop the event loop, and with it the heartbeats.

    Raises:
        OutputClosedError: The terminal is gone.
    """
    while True:
        changed.clear()
        if not sys.stdout.isatty():  # it has hung up; rich would draw nothing
            raise OutputClosedError
        if _takes_output():
            with ends_when_closed():
                live.update(draw(), refresh=True)
        await asyncio.sleep(_PAUSE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S - _PAUSE_S):
                await changed.wait()


def _takes_output() -> bool:
    if os.name != "posix":
        return True  # where select knows sockets only
    _, ready, _ = select.select([], [sys.stdout], [], 0)
    return bool(ready)
