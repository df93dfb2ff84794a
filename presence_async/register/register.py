"""What every register is able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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

__all__ = ["Register"]


class Register(Protocol):
    """What the clients of many processes share: who else holds a user.

    Write your own with these six operations; ``MemoryRegister`` is the reference. Each
    takes many users and answers them in their order. One that cannot be carried out
    within a second or raises is taken as the register being away: every client then
    goes on by itself, and leaves wait. Operations may be carried out late, or twice.

    A register that had better be asked about fewer users at once than 256 says so by an
    attribute ``at_once``.

    Attributes:
        engine: What it is, for statistics and logs.
        hand_over_s: Seconds in which the users of a client that closes may come back,
            to whichever client, before they are left.
        crash_grace_s: Seconds in which the users of a client that died may come back;
            ``math.inf``: nobody leaves them, the service times them out.
    """

    engine: str
    hand_over_s: float
    crash_grace_s: float

    async def open(self) -> None:
        """Get ready; called once by each client that uses it.

        Raises:
            InvalidArgumentError: It cannot work here; it is not closed then.
            RegisterError: It is away; tried again by the operations.

        Cancellation: it counts as open, and is closed or used all the same.
        """
        ...

    async def close(self) -> None:
        """End what ``open`` began; the last of several clients ends all.

        It has 3 s.
        """
        ...

    async def hold(
        self, worker: Worker, holdings: Sequence[Holding]
    ) -> Sequence[tuple[Standing, ...]]:
        """Be a holder of users, and end their linger.

        Returns:
            For each: how the names stand.
        """
        ...

    async def claim(
        self, worker: Worker, claimings: Sequence[Claiming], attempt_s: float
    ) -> Sequence[Claimed]:
        """Ask whose turn it is to send heartbeats for users, and take it.

        Args:
            worker: Who asks.
            claimings: The users.
            attempt_s: How long a heartbeat may take.
        """
        ...

    async def beaten(
        self, worker: Worker, beats: Sequence[Beaten]
    ) -> Sequence[tuple[Name, ...]]:
        """Note acknowledged heartbeats.

        Returns:
            For each: the names for which something else is wanted by now.
        """
        ...

    async def release(
        self, worker: Worker, releases: Sequence[Release], attempt_s: float
    ) -> Sequence[Released]:
        """Hold names no longer.

        Args:
            worker: Who holds them no longer.
            releases: Users and names.
            attempt_s: How long a leave may take.
        """
        ...

    async def depart(self, worker: Worker, attendance: Attendance) -> Departures:
        """Give a sign of life, release the dead, and take departures that are due."""
        ...

    async def departed(
        self, worker: Worker, leaves: Sequence[Departing]
    ) -> Sequence[tuple[Again, ...]]:
        """Note acknowledged leaves.

        Returns:
            For each: names that are held all the same, and have to be announced again.
        """
        ...
