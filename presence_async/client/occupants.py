"""OccupantPages: every occupant of a channel, page by page."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Self

from ..protocol.here_now import ChannelOccupancy, Occupant
from .lifecycle import check_loop

__all__ = ["OccupantPages"]

FetchPage = Callable[[int], Awaitable[ChannelOccupancy]]


class OccupantPages:
    """An iterator over all occupants of a channel; made by ``client.occupants``.

    It asks for the next page when the last one is used up. People come and go between
    two pages, so it may miss somebody; somebody whom the service moves to a later page
    is returned once.

    Args:
        fetch: Returns the page that starts at an offset.
        page_size: Occupants on a full page.
    """

    def __init__(self, fetch: FetchPage, page_size: int) -> None:
        self._fetch = fetch
        self._page_size = page_size
        self._offset = 0
        self._page: deque[Occupant] = deque()
        self._seen: set[str] = set()
        self._is_last = False
        self._occupancy = -1
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_complete(self) -> bool:
        """True if all pages were read and held as many as the last occupancy."""
        return self._is_last and not self._page and len(self._seen) == self._occupancy

    async def close(self) -> None:
        """Ask for no more pages.

        Raises:
            ClientClosedError: It belongs to another event loop.

        Cancellation: waits for nothing, so there is nothing to cancel.
        """
        check_loop(self._loop, "the iterator")
        self._is_closed = True
        self._page.clear()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Occupant:
        """Return the next occupant.

        Raises:
            RequestError: A page could not be had; the next call asks for it again.
            ClientClosedError: The client is not open, or the iterator belongs to
                another event loop.

        Cancellation: loses nothing.
        """
        check_loop(self._loop, "the iterator")
        while not self._page:
            if self._is_last or self._is_closed:
                raise StopAsyncIteration
            await self._turn_page()
        return self._page.popleft()

    async def _turn_page(self) -> None:
        offset = self._offset
        page = await self._fetch(offset)
        self._loop = asyncio.get_running_loop()
        occupants = page.occupants or ()
        self._occupancy = page.occupancy
        # Computed from the offset that was asked for: two readers who asked for the
        # same page skip none.
        self._offset = offset + self._page_size
        self._is_last = (
            len(occupants) < self._page_size or self._offset >= page.occupancy
        )
        for occupant in occupants:
            if occupant.user_id not in self._seen:
                self._seen.add(occupant.user_id)
                self._page.append(occupant)
