"""Which workers are alive, and how long the register has remembered. Pure.

Times are whole milliseconds of the register's clock, as in ``record``.
"""

from __future__ import annotations

from typing import Final

from .values import ALIVE_S, Attendance, Worker

__all__ = ["GUARD_S", "Hub", "Seat"]

GUARD_S: Final = 20.0
"""Seconds in which nobody departs after a register has lost its memory."""

_ALIVE: Final = int(ALIVE_S * 1000)
_GUARD: Final = int(GUARD_S * 1000)
_BURIAL: Final = 5_000


class Seat:
    """One worker.

    Attributes:
        until: When it counts as dead; of a dead one: until when ``undertaker`` sees to
            its users.
        life: Which of its lives this is.
        label: Host and process, for people.
        is_closing: Whether it takes no users any more.
        undertaker: The worker that releases its users since it is dead; else empty.
    """

    __slots__ = ("is_closing", "label", "life", "undertaker", "until")

    def __init__(self, until: int, life: int, label: str) -> None:
        self.until: int = until
        self.life: int = life
        self.label: str = label
        self.is_closing: bool = False
        self.undertaker: str = ""


def _is_over(seat: Seat, now: int) -> bool:
    return not now < seat.until <= now + _ALIVE


class Hub:
    """What the workers of one subscribe key know of each other.

    Attributes:
        epoch: Another one whenever the register has lost its memory.
        guard: Nobody departs before that; see ``guard_at``.
        seats: By worker.
    """

    __slots__ = ("epoch", "guard", "seats")

    def __init__(self, epoch: str) -> None:
        self.epoch: str = epoch
        self.guard: int = 0
        self.seats: dict[str, Seat] = {}

    def attend(
        self, worker: Worker, attendance: Attendance, now: int
    ) -> tuple[bool, list[tuple[str, int]]]:
        """Take a sign of life; return if the worker is new, and dead ones to release.

        Each dead worker comes with its life.
        """
        seat = self.seats.get(worker.worker_id)
        was_gone = worker.life > 1
        if seat is not None:
            was_gone = seat.undertaker != "" or _is_over(seat, now)
        if was_gone or attendance.had_epoch not in {"", self.epoch}:
            # Others may not have come back yet to say whom they hold.
            self.guard = now + _GUARD
        is_new = seat is None or seat.undertaker != "" or seat.life != worker.life
        if seat is None or is_new:
            seat = Seat(0, worker.life, worker.label)
            self.seats[worker.worker_id] = seat
        seat.until, seat.is_closing = now + _ALIVE, attendance.is_closing
        return is_new, self._bury(worker.worker_id, now)

    def guard_at(self, now: int) -> int:
        """Return before when nobody departs; one too far ahead is void."""
        return self.guard if self.guard <= now + _GUARD else 0

    def _bury(self, worker_id: str, now: int) -> list[tuple[str, int]]:
        taken = []
        for id_, seat in self.seats.items():
            if _is_over(seat, now) or seat.undertaker == worker_id:
                seat.until, seat.undertaker = now + _BURIAL, worker_id
                taken.append((id_, seat.life))
        return taken

    def remove(self, worker_id: str) -> None:
        """Forget a worker that holds nobody any more."""
        self.seats.pop(worker_id, None)

    @property
    def workers(self) -> int:
        """How many workers are open."""
        return sum(not x.undertaker and not x.is_closing for x in self.seats.values())
