"""ChannelView: what the handles of one channel's rosters and counts have in common."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, ClassVar, Self

from ..checks import checked_timeout_s
from ..errors import (
    ClientClosedError,
    ConcurrencyError,
    DeadlineError,
    RequestError,
)
from .channel_sync import ChannelSync
from .feed.listener import StreamHealth
from .lifecycle import check_loop
from .pipeline import Budget

__all__ = ["ChannelView"]


class ChannelView:
    """What is known of one channel, from entering until ``close``."""

    _sync: ChannelSync[Any]
    _method: ClassVar[str]

    def __init__(self, begin: Callable[[], Budget]) -> None:
        self._begin = begin
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def channel(self) -> str:
        """The channel it follows."""
        return self._sync.channel

    @property
    def as_of(self) -> datetime:
        """When the service was last heard, in UTC, by this machine's clock.

        Raises:
            ClientClosedError: Entering it has not succeeded yet.
        """
        self._check_open()
        return datetime.fromtimestamp(self._sync.heard_at_s, UTC)

    @property
    def health(self) -> StreamHealth:
        """Whether events arrive; ``CLOSED`` before it is entered and after its end."""
        return self._sync.health

    @property
    def error(self) -> RequestError | None:
        """The failure behind the last change of ``health``, or ``None``."""
        return self._sync.error

    @property
    def _kind(self) -> str:
        return self._sync.kind

    @property
    def _is_new(self) -> bool:
        """Whether it has not been opened yet, so that it knows nothing."""
        return not self._sync.has_answer

    def _check_open(self) -> None:
        """Refuse to tell who is there before anybody has been asked.

        Raises:
            ClientClosedError: Entering it has not succeeded yet.
        """
        if self._is_new:
            raise ClientClosedError(f"the {self._kind} is not open; use 'async with'")

    # Opening and closing.

    async def __aenter__(self) -> Self:
        """Open it; returns once handshake and first here now are answered.

        Raises:
            RequestError: As a query would.
            ClientClosedError: The client is not open.
            ConcurrencyError: It was entered before.

        Cancellation: opens nothing.
        """
        budget = self._begin()
        if self._loop is not None:
            raise ConcurrencyError(
                self._kind, f"has one use; call {self._method}() again"
            )
        self._loop = asyncio.get_running_loop()
        await self._sync.open(budget)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it at once; what it knows can still be read.

        Raises:
            ClientClosedError: It belongs to another event loop, where it goes on.

        Cancellation: it is closed nevertheless.
        """
        check_loop(self._loop, f"the {self._kind}")
        self._sync.end()
        await self._sync.finish()

    # Waiting.

    async def wait_for(
        self, predicate: Callable[[Self], object], timeout_s: float | None = None
    ) -> None:
        """Wait until something is true of it; at once if it already is.

        ``await roster.wait_for(lambda r: "bob" in r.user_ids)``. A moment between two
        batches of events may go unseen.

        Args:
            predicate: Called with the object itself after each change; an exception
                in it ends the waiting.
            timeout_s: Seconds; ``None`` or ``math.inf``: no limit.

        Raises:
            DeadlineError: A ``TimeoutError``: it did not come true in time.
            ClientClosedError: It is closed, so it never will, or belongs to another
                event loop.

        Cancellation: ends the waiting.
        """
        check_loop(self._loop, f"the {self._kind}")
        limit_s = math.inf if timeout_s is None else checked_timeout_s(timeout_s)
        scope = asyncio.timeout(None if limit_s == math.inf else limit_s)
        try:
            async with scope:
                while not predicate(self):
                    if self._sync.is_closed:
                        raise ClientClosedError(
                            f"the {self._kind} is closed, or was never entered"
                        )
                    await self._sync.wait_for_change()
        except TimeoutError:
            # Another one comes from the predicate, and is its caller's business.
            if not scope.expired():
                raise
            raise DeadlineError(
                f"it did not come true within {limit_s:g} s",
                operation=f"waiting for a {self._kind}",
                attempts=0,
                elapsed_s=limit_s,
            ) from None
