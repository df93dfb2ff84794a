"""Who may be on the wire: at most so many at once, at most so often.

Queries pass one gate, heartbeats and leaves another, so that no number of queries
holds a heartbeat back.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Gate"]


class Gate:
    """Lets a bounded number through at once, first come, first served.

    Args:
        limit: How many may be inside.
        rate_per_s: How many may enter in a second; ``None``: any number.
    """

    def __init__(self, limit: int, *, rate_per_s: float | None = None) -> None:
        self._places = asyncio.Semaphore(limit)
        self._gap_s = 1 / rate_per_s if rate_per_s else 0.0
        self._next_entry_s = 0.0

    async def __aenter__(self) -> None:
        await self._places.acquire()
        if not self._gap_s:
            return
        try:
            await self._wait_for_turn()
        except BaseException:
            self._places.release()
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._places.release()

    async def _wait_for_turn(self) -> None:
        now_s = asyncio.get_running_loop().time()
        entry_s = max(now_s, self._next_entry_s)
        self._next_entry_s = entry_s + self._gap_s
        if entry_s > now_s:
            await asyncio.sleep(entry_s - now_s)
