"""How commands run: one event loop, and an exit code that says how it went."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import typer

import presence_async

from ..errors import InvalidArgumentError, PresenceError
from .output import OutputClosedError, complain, take_any_character
from .remedies import problem_of

__all__ = ["asked_aside", "run", "until_first_ends", "until_over"]

AnswerT = TypeVar("AnswerT")

_FAILED = 1
_WRONG_USAGE = 2
_FLAGS = {
    "PUBNUB_SUBSCRIBE_KEY": "--subscribe-key or PUBNUB_SUBSCRIBE_KEY",
    "PUBNUB_USER_ID": "--user-id or PUBNUB_USER_ID",
    "at": "--at",
    "channel_groups": "--group",
    "hand_over_s": "--hand-over",
    "limit": "--limit",
    "offset": "--offset",
    "origin": "--origin",
    "path": "--register",
    "presence_timeout_s": "--presence-timeout",
    "proxy": "--proxy",
    "register": "--register",
    "subscribe_key": "--subscribe-key",
    "timeout_s": "--timeout",
    "url": "--register",
}


def run(
    work: Callable[[], Coroutine[Any, Any, None]],
    *,
    until_stopped: bool = False,
    hand_over_s: float = 0,
    remedies: Mapping[int, str] | None = None,
) -> None:
    """Run a command; a signal that asks the process to end cancels it.

    Exits with 1 if the service refused or nobody reads the output, with 2 for wrong
    usage.

    Args:
        work: The command.
        until_stopped: Whether a signal is the regular end of the command.
        hand_over_s: As of ``presence_async.run``.
        remedies: As of ``problem_of``.
    """
    # Commands report problems themselves; without a handler Python would print every
    # warning of the library, too.
    logging.getLogger("presence_async").addHandler(logging.NullHandler())
    take_any_character()
    # Before the event loop runs, which their import would block for 0.3 s.
    for name in presence_async.__all__:
        getattr(presence_async, name)
    try:
        presence_async.run(work(), hand_over_s=hand_over_s)
    except InvalidArgumentError as error:
        complain(f"{_FLAGS.get(error.argument, error.argument)}: {error.rule}")
        raise typer.Exit(_WRONG_USAGE) from None
    except OutputClosedError:
        raise typer.Exit(_FAILED) from None
    except (PresenceError, OSError, ImportError) as error:
        complain(problem_of(error, remedies))
        raise typer.Exit(_FAILED) from None
    except (KeyboardInterrupt, SystemExit):
        if not until_stopped:
            raise


async def asked_aside(ask: Callable[[], AnswerT]) -> AnswerT:
    """Return what a function returns that may block.

    Cancellation: ends the waiting. The function goes on, and does not keep the process
    from ending.
    """
    answer: concurrent.futures.Future[AnswerT] = concurrent.futures.Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001  # whoever waits gets it
            answer.set_exception(error)

    threading.Thread(target=work, name="asking aside", daemon=True).start()
    # A cancelled wait must not cancel what the thread sets.
    return await asyncio.shield(asyncio.wrap_future(answer))


async def until_first_ends(*work: Coroutine[Any, Any, None]) -> None:
    """Do several things at once until the first of them ends, and raise its error.

    Cancellation: ends all of them.
    """
    tasks = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def until_over(seconds: float | None) -> None:
    """Wait for some seconds; ``None``: for ever.

    Cancellation: ends the waiting.
    """
    if seconds is None:
        await asyncio.get_running_loop().create_future()
    else:
        await asyncio.sleep(seconds)
