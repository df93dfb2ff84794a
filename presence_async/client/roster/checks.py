"""RosterChecks: asks here now whenever a roster's plan says so."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ...errors import ClientClosedError, RequestError
from .plan import SETTLE_S, CheckPlan

__all__ = ["RosterChecks"]

logger: logging.Logger = logging.getLogger("presence_async.client")


class RosterChecks:
    """The loop of one roster.

    Args:
        plan: When to ask.
        check: Asks once and takes in the answer.
        failed: Called with why that found no answer.
        crashed: Called when something else went wrong.
        rng: Spreads what crashed together.
    """

    def __init__(
        self,
        plan: CheckPlan,
        *,
        check: Callable[[], Awaitable[None]],
        failed: Callable[[RequestError], None],
        crashed: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self._plan = plan
        self._check = check
        self._failed = failed
        self._crashed = crashed
        self._random = rng
        self._sleeps_until_s = -math.inf
        self._alarm = asyncio.Event()

    async def run(self) -> None:
        """Ask again and again, until cancelled or the client is closed."""
        is_due = False
        while True:
            try:
                if not is_due:
                    await self._until_due()
                is_due = False
                await self._ask()
            except ClientClosedError:
                return
            except Exception:
                logger.critical("a roster's check crashed; it goes on", exc_info=True)
                self._crashed()
                # Whatever the plan says now: it may be what crashed.
                is_due = True
                await asyncio.sleep(SETTLE_S + self._random.random())

    async def _ask(self) -> None:
        try:
            await self._check()
        except RequestError as error:
            logger.info("a roster could not be checked: %s", error)
            self._failed(error)

    def hurry(self) -> None:
        """Wake up if the plan has an earlier time now."""
        if self._plan.due_s < self._sleeps_until_s:
            self._alarm.set()

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while (due_s := self._plan.due_s) > loop.time():
            self._sleeps_until_s = due_s
            self._alarm.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self._alarm.wait()
        self._sleeps_until_s = -math.inf
