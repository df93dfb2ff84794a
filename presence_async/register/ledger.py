"""The six operations on whatever keeps the records: memory or a file.

Everything of one operation happens in one step, so nothing here needs an order; the
Valkey register, which cannot, has one.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Protocol

from . import holding as holding_rules
from . import leaving as leaving_rules
from .hub import Hub
from .record import Due, Record
from .values import (
    NOTHING_OWED,
    UNKNOWN,
    Again,
    Attendance,
    Beaten,
    Claimed,
    Claiming,
    Departing,
    Departures,
    Holding,
    Leaving,
    Name,
    Release,
    Released,
    Standing,
    Worker,
)

__all__ = ["Ledger", "Shelf"]

_RELEASED_AT_ONCE = 500
_DEPARTING_AT_ONCE = 200


class Shelf(Protocol):
    """Where the records of one subscribe key are kept; times are milliseconds."""

    def hub(self) -> Hub | None:
        """Return the hub, if there is one yet."""
        ...

    def put_hub(self, hub: Hub) -> None:
        """Keep the hub."""
        ...

    def record(self, user_id: str, now: int) -> Record | None:
        """Return a record that has not expired."""
        ...

    def put_record(self, user_id: str, record: Record) -> None:
        """Keep a record, or forget it if it is empty."""
        ...

    def hold(self, worker_id: str, user_ids: Sequence[str]) -> None:
        """Note whom a worker holds."""
        ...

    def drop(self, worker_id: str, user_id: str) -> None:
        """Note that a worker holds a user no longer."""
        ...

    def held(self, worker_id: str, limit: int) -> list[str]:
        """Return some of the users whom a worker holds."""
        ...

    def set_due(self, user_id: str, due: Due) -> None:
        """Note when a user's departure has to be looked at."""
        ...

    def advance_due(self, user_id: str, due: int) -> None:
        """Note that a user's departure has to be looked at then, or earlier."""
        ...

    def due(self, now: int | None, limit: int) -> list[str]:
        """Return users whose time has come; ``None``: whose time may still come."""
        ...

    def lingering(self) -> int:
        """Return how many users wait for their departure."""
        ...


class Ledger:
    """The records of one subscribe key.

    Args:
        shelf: Where they are.
        crash_grace_s: Seconds in which the users of a dead worker may come back.
    """

    def __init__(self, shelf: Shelf, crash_grace_s: float) -> None:
        self._shelf = shelf
        self._crash_grace_s = crash_grace_s

    def hold(
        self, worker: Worker, holdings: Sequence[Holding], now: int
    ) -> list[tuple[Standing, ...]]:
        """Hold users; their linger ends."""
        holders = [h.user_id for h in holdings if any(w.timeout_s for w in h.wishes)]
        self._shelf.hold(worker.worker_id, holders)
        answers = []
        for holding in holdings:
            record = self._shelf.record(holding.user_id, now) or Record()
            answers.append(
                holding_rules.hold(record, worker.worker_id, worker.life, holding, now)
            )
            self._shelf.put_record(holding.user_id, record)
        return answers

    def claim(
        self,
        worker: Worker,
        claimings: Sequence[Claiming],
        attempt_s: float,
        now: int,
    ) -> list[Claimed]:
        """Claim users who are due."""
        answers = []
        for claiming in claimings:
            record = self._shelf.record(claiming.user_id, now)
            if record is None:
                answers.append(UNKNOWN)
                continue
            worker_id, life = worker.worker_id, worker.life
            answers.append(
                holding_rules.claim(
                    record, worker_id, life, claiming, attempt_s=attempt_s, now=now
                )
            )
            self._shelf.put_record(claiming.user_id, record)
        return answers

    def beaten(
        self, worker: Worker, beats: Sequence[Beaten], now: int
    ) -> list[tuple[Name, ...]]:
        """Note acknowledged heartbeats."""
        answers: list[tuple[Name, ...]] = []
        for beaten in beats:
            record = self._shelf.record(beaten.user_id, now)
            if record is None:
                answers.append(())
                continue
            answers.append(holding_rules.beaten(record, worker.worker_id, beaten, now))
            self._shelf.put_record(beaten.user_id, record)
        return answers

    def release(
        self, worker: Worker, releases: Sequence[Release], attempt_s: float, now: int
    ) -> list[Released]:
        """Hold users no longer."""
        return [
            self._release(worker.worker_id, worker.life, release, attempt_s, now)
            for release in releases
        ]

    def _release(
        self, worker_id: str, life: int, release: Release, attempt_s: float, now: int
    ) -> Released:
        shelf, hub = self._shelf, self._shelf.hub()
        record = shelf.record(release.user_id, now) or Record()
        holder = record.holders.get(worker_id)
        if holder is not None and holder.life > life:
            return NOTHING_OWED
        released, due = leaving_rules.release(
            record,
            worker_id,
            release,
            attempt_s=attempt_s,
            not_before=0 if hub is None else hub.guard_at(now),
            now=now,
        )
        shelf.put_record(release.user_id, record)
        if due is not None:
            shelf.advance_due(release.user_id, due)
        if worker_id not in record.holders:
            shelf.drop(worker_id, release.user_id)
        return released

    def depart(self, worker: Worker, attendance: Attendance, now: int) -> Departures:
        """Take a sign of life; see to the dead and to whoever has to depart."""
        shelf = self._shelf
        hub = shelf.hub() or Hub(secrets.token_hex(4))
        is_new, dead = hub.attend(worker, attendance, now)
        shelf.put_hub(hub)
        again: list[tuple[str, tuple[Again, ...]]] = []
        has_more = False
        for dead_id, life in dead:
            user_ids = shelf.held(dead_id, _RELEASED_AT_ONCE)
            for user_id in user_ids:
                release = Release(user_id, (), self._crash_grace_s)
                freed = self._release(dead_id, life, release, attendance.attempt_s, now)
                shelf.drop(dead_id, user_id)
                if freed.again:
                    again.append((user_id, freed.again))
            if len(user_ids) < _RELEASED_AT_ONCE:
                hub.remove(dead_id)
            else:
                has_more = True
        shelf.put_hub(hub)
        leaves: list[Leaving] = []
        if now >= hub.guard_at(now):
            leaves, owed, is_full = self._departures(worker, attendance, now)
            again += owed
            has_more = has_more or is_full
        return Departures(
            hub.epoch,
            is_new,
            hub.workers,
            shelf.lingering(),
            tuple(leaves),
            tuple(again),
            has_more,
        )

    def _departures(
        self, worker: Worker, attendance: Attendance, now: int
    ) -> tuple[list[Leaving], list[tuple[str, tuple[Again, ...]]], bool]:
        """Look at users whose time has come; return who is to be left or announced.

        And whether there may be more of them.
        """
        shelf, leaves, again = self._shelf, [], []
        is_last = attendance.is_last
        user_ids = shelf.due(None if is_last else now, _DEPARTING_AT_ONCE)
        for user_id in user_ids:
            record = shelf.record(user_id, now)
            if record is None:
                shelf.set_due(user_id, None)
                continue
            owed, due = leaving_rules.depart(
                record, worker.worker_id, attendance.attempt_s, now, is_last=is_last
            )
            shelf.put_record(user_id, record)
            shelf.set_due(user_id, due)
            if owed.leave:
                leaves.append(Leaving(user_id, owed.leave))
            if owed.again:
                again.append((user_id, owed.again))
        return leaves, again, len(user_ids) == _DEPARTING_AT_ONCE and not is_last

    def departed(
        self, leaves: Sequence[Departing], now: int
    ) -> list[tuple[Again, ...]]:
        """Note acknowledged leaves."""
        answers: list[tuple[Again, ...]] = []
        for user_id, names in leaves:
            record = self._shelf.record(user_id, now)
            if record is None:
                self._shelf.set_due(user_id, None)
                answers.append(())
                continue
            again, due = leaving_rules.departed(record, names, now)
            self._shelf.put_record(user_id, record)
            self._shelf.set_due(user_id, due)
            answers.append(again)
        return answers
