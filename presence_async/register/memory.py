"""MemoryRegister: the reference, for clients of one process, and for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from .holders import UserHolders, user_holders
from .hub import Hub
from .ledger import Ledger
from .record import Due, Record, ms
from .values import (
    Again,
    Attendance,
    Beaten,
    Claimed,
    Claiming,
    Departing,
    Departures,
    Holding,
    Name,
    Release,
    Released,
    Standing,
    Worker,
)

__all__ = ["MemoryRegister"]


class MemoryRegister:
    """A register in memory, for clients that share it within one process.

    Args:
        hand_over_s: Seconds in which the users of a client that closes may come back
            before they are left.
        crash_grace_s: Seconds in which the users of a client that died may come back;
            ``math.inf``: they are left to time out.
        clock: Returns the seconds of its clock; ``None``: the event loop's time, which
            may be virtual.
    """

    engine: str = "memory"

    def __init__(
        self,
        *,
        hand_over_s: float = 20,
        crash_grace_s: float = 10,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.hand_over_s: float = hand_over_s
        self.crash_grace_s: float = crash_grace_s
        self._clock = clock
        self._shelves: dict[str, MemoryShelf] = {}

    def forget(self) -> None:
        """Lose all memory, as a server does that is restarted empty."""
        self._shelves.clear()

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing: other clients may still use it."""

    async def hold(
        self, worker: Worker, holdings: Sequence[Holding]
    ) -> Sequence[tuple[Standing, ...]]:
        """Be a holder of users."""
        return self._ledger(worker).hold(worker, holdings, self._now())

    async def claim(
        self, worker: Worker, claimings: Sequence[Claiming], attempt_s: float
    ) -> Sequence[Claimed]:
        """Ask whose turn it is, and take it."""
        return self._ledger(worker).claim(worker, claimings, attempt_s, self._now())

    async def beaten(
        self, worker: Worker, beats: Sequence[Beaten]
    ) -> Sequence[tuple[Name, ...]]:
        """Note acknowledged heartbeats."""
        return self._ledger(worker).beaten(worker, beats, self._now())

    async def release(
        self, worker: Worker, releases: Sequence[Release], attempt_s: float
    ) -> Sequence[Released]:
        """Hold names no longer."""
        return self._ledger(worker).release(worker, releases, attempt_s, self._now())

    async def depart(self, worker: Worker, attendance: Attendance) -> Departures:
        """Give a sign of life and take departures that are due."""
        return self._ledger(worker).depart(worker, attendance, self._now())

    async def departed(
        self, worker: Worker, leaves: Sequence[Departing]
    ) -> Sequence[tuple[Again, ...]]:
        """Note acknowledged leaves."""
        return self._ledger(worker).departed(leaves, self._now())

    async def holders(self, subscribe_key: str, user_id: str) -> UserHolders:
        """Say who holds a user, for people."""
        shelf, now = self._shelves.get(subscribe_key, MemoryShelf()), self._now()
        return user_holders(user_id, shelf.record(user_id, now), shelf.hub(), now)

    def _ledger(self, worker: Worker) -> Ledger:
        shelf = self._shelves.setdefault(worker.subscribe_key, MemoryShelf())
        return Ledger(shelf, self.crash_grace_s)

    def _now(self) -> int:
        if self._clock is not None:
            return ms(self._clock())
        # The smallest time that is not taken for none.
        return ms(asyncio.get_running_loop().time()) + 1


class MemoryShelf:
    """The records of one subscribe key in dictionaries."""

    def __init__(self) -> None:
        self._hub: Hub | None = None
        self._records: dict[str, Record] = {}
        self._held: dict[str, dict[str, None]] = {}
        self._due: dict[str, int] = {}

    def hub(self) -> Hub | None:
        """Return the hub, if there is one yet."""
        return self._hub

    def put_hub(self, hub: Hub) -> None:
        """Keep the hub."""
        self._hub = hub

    def record(self, user_id: str, now: int) -> Record | None:
        """Return a record that has not expired."""
        record = self._records.get(user_id)
        return None if record is None or record.expires <= now else record

    def put_record(self, user_id: str, record: Record) -> None:
        """Keep a record, or forget it if it is empty."""
        if record.is_empty:
            self._records.pop(user_id, None)
        else:
            self._records[user_id] = record

    def hold(self, worker_id: str, user_ids: Sequence[str]) -> None:
        """Note whom a worker holds."""
        self._held.setdefault(worker_id, {}).update(dict.fromkeys(user_ids))

    def drop(self, worker_id: str, user_id: str) -> None:
        """Note that a worker holds a user no longer."""
        held = self._held.get(worker_id, {})
        held.pop(user_id, None)
        if not held:
            self._held.pop(worker_id, None)

    def held(self, worker_id: str, limit: int) -> list[str]:
        """Return some of the users whom a worker holds."""
        return list(self._held.get(worker_id, {}))[:limit]

    def set_due(self, user_id: str, due: Due) -> None:
        """Note when a user's departure has to be looked at."""
        if due is None:
            self._due.pop(user_id, None)
        else:
            self._due[user_id] = due

    def advance_due(self, user_id: str, due: int) -> None:
        """Note that a user's departure has to be looked at then, or earlier."""
        self._due[user_id] = min(due, self._due.get(user_id, due))

    def due(self, now: int | None, limit: int) -> list[str]:
        """Return users whose time has come; ``None``: whose time may still come."""
        come = [x for x, at in self._due.items() if now is None or at <= now]
        return sorted(come, key=self._due.__getitem__)[:limit]

    def lingering(self) -> int:
        """Return how many users wait for their departure."""
        return len(self._due)
