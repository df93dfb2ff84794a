"""Calls without a time limit: repeated until they are answered or refused."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...errors import RequestError
from ..pipeline import Budget, RequestPipeline
from ..retry import NoRetry, RetryPolicy
from ..safe_log import SafeLogger
from .pace import PollPace

__all__ = ["until_answered"]

logger: SafeLogger = SafeLogger("presence_async.client")

AnswerT = TypeVar("AnswerT")


async def until_answered(
    ask: Callable[[RetryPolicy | None], Awaitable[AnswerT]],
    *,
    pipeline: RequestPipeline,
    budget: Budget,
) -> AnswerT:
    """Ask within a budget; for ever if the budget is ``math.inf``.

    Args:
        ask: Sends the request with a retry policy; ``None``: the config's.
        pipeline: Ends the waits when the client is closed.
        budget: The call's. With an end, the retry policy decides how often to ask;
            without one, whatever may pass by itself is waited for, as ``join`` does.

    Raises:
        RequestError: The service refused it, or the budget is used up.
        ClientClosedError: The client was closed meanwhile.

    Cancellation: ends at once.
    """
    if budget.deadline_s < math.inf:
        return await ask(None)
    pace = PollPace()
    level = logging.WARNING
    while True:
        try:
            return await ask(NoRetry())
        except RequestError as error:
            if not error.is_transient:
                raise
            logger.log(level, "%s Trying until it is answered.", error)
            pace.failed(error, 0.0)
        level = logging.DEBUG
        await _pause(pace.take_pause_s(), pipeline, budget)


async def _pause(seconds: float, pipeline: RequestPipeline, budget: Budget) -> None:
    limit = pipeline.limit(budget)
    try:
        with limit:
            await asyncio.sleep(seconds)
    except TimeoutError:
        # Cut because the client was closed, which the next request will raise.
        if not limit.is_up:
            raise
