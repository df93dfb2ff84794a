"""One user's record, and a clock."""

from __future__ import annotations

from presence_async.register import holding, leaving
from presence_async.register.record import Record
from presence_async.register.values import (
    Again,
    Beaten,
    Claimed,
    Claiming,
    Holding,
    Release,
    Released,
    Standing,
    Wish,
)

NOW = 1_000_000
INTERVAL_S = 140
ATTEMPT_S = 10.0


class User:
    """Alice's record, and a clock."""

    def __init__(self) -> None:
        self.record = Record()
        self.now = NOW

    def hold(
        self, worker: str, *wishes: Wish | str, life: int = 1
    ) -> tuple[Standing, ...]:
        wanted = tuple(Wish(x, 300) if isinstance(x, str) else x for x in wishes)
        return holding.hold(
            self.record, worker, life, Holding("alice", wanted), self.now
        )

    def claim(
        self, worker: str, *, life: int = 1, interval_s: float = INTERVAL_S
    ) -> Claimed:
        claiming = Claiming("alice", interval_s)
        return holding.claim(
            self.record, worker, life, claiming, attempt_s=ATTEMPT_S, now=self.now
        )

    def beaten(
        self,
        worker: str,
        *names: str,
        timeout_s: int = 300,
        age_s: float = 0.0,
        versions: tuple[int, ...] = (),
    ) -> tuple[str, ...]:
        beaten = Beaten("alice", names, timeout_s, age_s, versions)
        return holding.beaten(self.record, worker, beaten, self.now)

    def release(
        self,
        worker: str,
        *names: str,
        linger_s: float = 0,
        doubt_s: float = 0,
        not_before: int = 0,
    ) -> tuple[Released, int | None]:
        return leaving.release(
            self.record,
            worker,
            Release("alice", names, linger_s, doubt_s),
            attempt_s=ATTEMPT_S,
            not_before=not_before,
            now=self.now,
        )

    def depart(
        self, worker: str, *, is_last: bool = False
    ) -> tuple[Released, int | None]:
        return leaving.depart(self.record, worker, ATTEMPT_S, self.now, is_last=is_last)

    def departed(self, *names: str) -> tuple[tuple[Again, ...], int | None]:
        return leaving.departed(self.record, names, self.now)

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * 1000)
