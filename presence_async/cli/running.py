"""How commands run: one event loop, and an exit code that says how it went."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import typer

from ..errors import InvalidArgumentError, PresenceError
from .output import complain, take_any_character

__all__ = ["run", "stop_asked_for", "until_stopped"]

_FAILED = 1
_WRONG_USAGE = 2
_FLAGS = {
    "channel_groups": "--group",
    "limit": "--limit",
    "offset": "--offset",
    "origin": "--origin",
    "presence_timeout_s": "--presence-timeout",
    "proxy": "--proxy",
    "subscribe_key": "--subscribe-key",
    "timeout_s": "--timeout",
}


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a command; leaves with 1 when the service said no, 2 for wrong usage."""
    # What happens is told by the command itself; without a handler Python would print
    # every warning of the library too.
    logging.getLogger("presence_async").addHandler(logging.NullHandler())
    take_any_character()
    try:
        asyncio.run(work())
    except InvalidArgumentError as error:
        complain(f"{_FLAGS.get(error.argument, error.argument)}: {error.rule}")
        raise typer.Exit(_WRONG_USAGE) from None
    except (PresenceError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # Whoever read the output is gone; Python would complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        else:
            complain(str(error))
        raise typer.Exit(_FAILED) from None


def stop_asked_for() -> asyncio.Event:
    """Return what is set by Ctrl-C or SIGTERM from now on."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def until_stopped() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    await stop_asked_for().wait()
