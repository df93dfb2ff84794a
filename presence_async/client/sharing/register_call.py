"""One call to a register: its time limit, and all its failures made one kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from ...errors import InvalidArgumentError, RegisterError

__all__ = ["asked", "asked_each"]

AnswerT = TypeVar("AnswerT")


async def asked(
    engine: str, call: Callable[[], Awaitable[AnswerT]], limit_s: float = 1.0
) -> AnswerT:
    """Call a register and wait for its answer.

    Args:
        engine: What errors call it.
        call: Calls it.
        limit_s: How long to wait.

    Raises:
        RegisterError: There was no answer, whatever the reason.
        ImportError: As the register raised it.
        InvalidArgumentError: As the register raised it.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await call()
    except TimeoutError:
        problem = f"the {engine} register did not answer within {limit_s:g} s"
        raise RegisterError(problem) from None
    except (RegisterError, ImportError, InvalidArgumentError):
        raise
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody has cancelled this task: it is something within the register.
        problem = f"the {engine} register cancelled its own work"
        raise RegisterError(problem) from None
    except Exception as error:
        problem = f"the {engine} register failed: {error}"
        raise RegisterError(problem) from error


async def asked_each(
    engine: str, number: int, call: Callable[[], Awaitable[Sequence[AnswerT]]]
) -> Sequence[AnswerT]:
    """Ask a register several things at once.

    Raises:
        RegisterError: There was no answer, or not one to each.
        InvalidArgumentError: As the register raised it.
    """
    answers = await asked(engine, call)
    try:
        count = len(answers)
    except TypeError:
        count = -1
    if count != number:
        problem = f"the {engine} register did not answer each of {number} questions"
        raise RegisterError(problem)
    return answers
