"""Who may be on the wire: at most so many at once, at most so often.

Queries pass one gate, heartbeats and leaves another, so that no number of queries
holds a heartbeat back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

__all__ = ["Admission", "Gate"]


class Admission(Protocol):
    """What a request passes before it is sent: a ``Gate``, or what acts like one."""

    def try_enter(self) -> bool:
        """Enter without waiting; return False if there is no room."""
        ...

    async def enter(self) -> None:
        """Wait for a place and take it."""
        ...

    def leave(self) -> None:
        """Give the place back."""
        ...


class Gate:
    """Lets a bounded number through at once, first come, first served.

    ``if not gate.try_enter(): await gate.enter()``, then in ``finally``
    ``gate.leave()``. A semaphore with a way in that costs next to nothing while there
    is room, since every request passes here.

    Args:
        limit: How many may be inside.
        rate_per_s: How many may enter in a second; ``None``: any number.
    """

    __slots__ = ("_free", "_gap_s", "_next_entry_s", "_waiting")

    def __init__(self, limit: int, *, rate_per_s: float | None = None) -> None:
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] | None = None
        self._gap_s = 1 / rate_per_s if rate_per_s else 0.0
        self._next_entry_s = 0.0

    def try_enter(self) -> bool:
        """Enter if there is room and nobody waits."""
        if self._free > 0 and not self._gap_s:
            self._free -= 1
            return True
        return False

    async def enter(self) -> None:
        """Wait for a place, and for the time that the rate allows.

        Cancellation: gives the place back.
        """
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait_for_place()
        try:
            await self._wait_for_turn()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Hand the place to whoever waits longest, or free it."""
        waiting = self._waiting
        while waiting:
            place = waiting.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    async def _wait_for_place(self) -> None:
        place = asyncio.get_running_loop().create_future()
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(place)
        try:
            await place
        except BaseException:
            if place.done() and not place.cancelled():
                # Cancelled between being handed the place and taking it.
                self.leave()
            else:
                place.cancel()
            raise

    async def _wait_for_turn(self) -> None:
        if not self._gap_s:
            return
        now_s = asyncio.get_running_loop().time()
        entry_s = max(now_s, self._next_entry_s)
        self._next_entry_s = entry_s + self._gap_s
        if entry_s > now_s:
            await asyncio.sleep(entry_s - now_s)
