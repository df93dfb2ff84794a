"""SqliteRegister: a register in a file, for the processes of one machine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..errors import InvalidArgumentError, RegisterError
from .holders import UserHolders, user_holders
from .ledger import Ledger
from .record import ms
from .sqlite_file import SqliteFile
from .sqlite_shelf import SqliteShelf
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

__all__ = ["SqliteRegister"]

_T = TypeVar("_T")

_SWEPT_EVERY = 60_000


class SqliteRegister:
    """A register in an SQLite file, for all processes of one machine.

    The file keeps who is present where, and their state, but no token, secret key or
    signature; only its owner may read it. A file that cannot be read is renamed and a
    fresh one begun, with one warning in the log. Clients may share one register.

    Args:
        path: The file. Its folder must be there, and on this machine: what is
            recognised as a network file system is refused, on Linux alone.
        hand_over_s: Seconds in which the users of a client that closes may come back
            before they are left.
        crash_grace_s: Seconds in which the users of a client that died may come back;
            ``math.inf``: they are left to time out.
        clock: Returns the seconds of its clock; ``None``: the system's.
    """

    engine: str = "sqlite"
    # For each user the thread lets go of Python's lock and has to get it back, which
    # takes up to 5 ms while the event loop is busy.
    at_once: int = 64

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        hand_over_s: float = 20,
        crash_grace_s: float = 10,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.hand_over_s: float = hand_over_s
        self.crash_grace_s: float = crash_grace_s
        self._clock = clock or time.time
        self._file = SqliteFile(Path(path).absolute())
        self._thread: ThreadPoolExecutor | None = None
        self._openers = 0
        self._swept = 0

    async def open(self) -> None:
        """Open the file, or begin one.

        Raises:
            InvalidArgumentError: It cannot be there.
            RegisterError: It is locked, or not to be written; each operation tries
                again.

        Cancellation: as an error of the register; ``close`` it all the same.
        """
        self._openers += 1
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "presence-register")
        try:
            await self._do(self._file.open)
        except InvalidArgumentError:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file and end the thread when the last client closes."""
        self._openers = max(0, self._openers - 1)
        thread = self._thread
        if self._openers or thread is None:
            return
        self._thread = None
        # In order: what others have begun is done before.
        closing = asyncio.get_running_loop().run_in_executor(thread, self._file.close)
        thread.shutdown(wait=False)
        await closing
        # It has nothing more to do than to end.
        thread.shutdown(wait=True)

    async def hold(
        self, worker: Worker, holdings: Sequence[Holding]
    ) -> Sequence[tuple[Standing, ...]]:
        """Be a holder of users."""
        return await self._run(worker, lambda x, now: x.hold(worker, holdings, now))

    async def claim(
        self, worker: Worker, claimings: Sequence[Claiming], attempt_s: float
    ) -> Sequence[Claimed]:
        """Ask whose turn it is, and take it."""
        return await self._run(
            worker, lambda x, now: x.claim(worker, claimings, attempt_s, now)
        )

    async def beaten(
        self, worker: Worker, beats: Sequence[Beaten]
    ) -> Sequence[tuple[Name, ...]]:
        """Note acknowledged heartbeats."""
        return await self._run(worker, lambda x, now: x.beaten(worker, beats, now))

    async def release(
        self, worker: Worker, releases: Sequence[Release], attempt_s: float
    ) -> Sequence[Released]:
        """Hold names no longer."""
        return await self._run(
            worker, lambda x, now: x.release(worker, releases, attempt_s, now)
        )

    async def depart(self, worker: Worker, attendance: Attendance) -> Departures:
        """Give a sign of life; see to the dead and to whoever has to depart."""

        def attend(shelf: SqliteShelf) -> Departures:
            now = self._now()
            if not 0 <= now - self._swept < _SWEPT_EVERY:
                self._swept = now
                shelf.sweep(now)
            return Ledger(shelf, self.crash_grace_s).depart(worker, attendance, now)

        def attended() -> Departures:
            self._file.notice()
            return self._file.run(worker.subscribe_key, attend)

        return await self._do(attended)

    async def departed(
        self, worker: Worker, leaves: Sequence[Departing]
    ) -> Sequence[tuple[Again, ...]]:
        """Note acknowledged leaves."""
        return await self._run(worker, lambda x, now: x.departed(leaves, now))

    async def holders(self, subscribe_key: str, user_id: str) -> UserHolders:
        """Say who holds a user, for people.

        Raises:
            RegisterError: The file is locked, or not to be written.
        """

        def look(shelf: SqliteShelf) -> UserHolders:
            now = self._now()
            return user_holders(user_id, shelf.record(user_id, now), shelf.hub(), now)

        return await self._do(lambda: self._file.run(subscribe_key, look))

    async def _run(self, worker: Worker, act: Callable[[Ledger, int], _T]) -> _T:
        def acted(shelf: SqliteShelf) -> _T:
            return act(Ledger(shelf, self.crash_grace_s), self._now())

        return await self._do(lambda: self._file.run(worker.subscribe_key, acted))

    async def _do(self, act: Callable[[], _T]) -> _T:
        if self._thread is None:
            raise RegisterError("sqlite: the register is not open")
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    def _now(self) -> int:
        return ms(self._clock())
