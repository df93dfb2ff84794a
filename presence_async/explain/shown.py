"""How a user was shown on one name: online, offline, or one does not know which.

A presence runs out a timeout after the service received the last heartbeat. When that
was is known but for the time that the answer took; and a request without an answer may
have arrived or not. So an end has two times: it may have come from the first one on,
and has come by the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .facts import Fact, Failed, GaveUp, HandedOver, StillHeld

__all__ = ["Shown", "Spell", "is_unknown"]

_USUAL_TIMEOUT_S = 300
_SAME_S = 1.0


class Spell(NamedTuple):
    """A time in which a user was shown online on a name, or was not.

    Attributes:
        name: The name.
        begins: When it began.
        ends: When it ended; ``None``: not yet.
        cause: The fact that made the user go offline; ``None``: was shown online.
        is_sure: Whether that is certain.
    """

    name: str
    begins: float
    ends: float | None
    cause: Fact | None
    is_sure: bool = True


class _Change(NamedTuple):
    at: float
    cause: Fact | None
    is_sure: bool = True


class Shown:
    """What was shown of a user on one name, and what will be if nothing comes.

    Args:
        since: From when on no facts were dropped; whoever was online before was then.

    Attributes:
        timeout_s: The longest presence timeout that anybody wanted.
        keepers: The runs that hold it, each with whether its heartbeats are in time.
    """

    def __init__(self, since: float) -> None:
        self._since = since
        self._changes: list[_Change] = []
        self._coming: list[_Change] = []
        # When the last acknowledged heartbeat runs out: at the earliest, by when.
        self._ends = (0.0, 0.0)
        # Until when, by run, a presence may last of which the other runs know nothing.
        self._reach: dict[str, float] = {}
        # By when a request may still arrive that was given up.
        self._stray_beat: tuple[float, Failed | GaveUp | None] = (0.0, None)
        self._stray_leave: tuple[float, Failed | None] = (0.0, None)
        self.timeout_s: int = 0
        self.keepers: dict[str, bool] = {}

    def spells(self, name: str) -> Iterator[Spell]:
        """Return every spell in order."""
        for i, (at, cause, is_sure) in enumerate(self._changes):
            later = self._changes[i + 1 :]
            yield Spell(name, at, later[0].at if later else None, cause, is_sure)

    @property
    def cause(self) -> Fact | None:
        """Why the user is offline, or may be; ``None``: online, or nothing is known."""
        return self._changes[-1].cause if self._changes else None

    @property
    def is_heard_of(self) -> bool:
        """Whether anything was shown so far."""
        return bool(self._changes)

    @property
    def may_be_online(self) -> bool:
        """Whether the user may be online, as far as is known."""
        if not self._changes:
            return False
        _, cause, is_sure = self._changes[-1]
        return cause is None or not is_sure or is_unknown(cause)

    @property
    def changed_at(self) -> float:
        """When what is shown now began."""
        return self._changes[-1].at if self._changes else 0.0

    @property
    def lasts_s(self) -> int:
        """How long a presence lasts after a heartbeat, at most."""
        return self.timeout_s or _USUAL_TIMEOUT_S

    @property
    def is_kept(self) -> bool:
        """Whether a run keeps the user here whose heartbeats are in time."""
        return any(self.keepers.values())

    @property
    def is_expected(self) -> bool:
        """Whether the user goes offline by itself before long."""
        return self.expected_cause is not None

    @property
    def expected_cause(self) -> Fact | None:
        """Why the user is expected to go offline before long."""
        return self._coming[-1].cause if self._coming else None

    def is_kept_but_by(self, run: str) -> bool:
        """Return True if another run than one keeps the user here."""
        return any(fine for other, fine in self.keepers.items() if other != run)

    # What happened.

    def online(self, at: float, late_s: float = 0.0) -> None:
        """Be online from a time on, and perhaps some seconds earlier."""
        self._coming, self._ends = [], (0.0, 0.0)
        if self._changes and self._changes[-1][1:] == (None, True):
            return
        if late_s and self._changes and self._changes[-1].is_sure:
            self.perhaps(at - late_s, self._changes[-1].cause)
        by, leave = self._stray_leave
        if by > at and leave is not None:
            # If it arrives after all, the next heartbeat makes up for it.
            self._change(_Change(max(at, self._since), leave, is_sure=False))
            self.expect_back(by + self.lasts_s)
        else:
            self._change(_Change(max(at, self._since), None))

    def offline(self, at: float, cause: Fact, late_s: float = 0.0) -> None:
        """Be offline from a time on, and perhaps some seconds earlier."""
        if at <= self._since:
            self.unassume()
        self._coming = []
        if not self.may_be_online and self._changes:
            return
        if late_s and self.may_be_online:
            self.perhaps(at - late_s, cause)
        by, beat = self._stray_beat
        if by > at and beat is not None:
            # If it arrives after all, the user is there until it runs out.
            self._change(_Change(at, cause, is_sure=False))
            self._coming = [_Change(by + beat.timeout_s, cause)]
        else:
            self._change(_Change(at, cause))

    def perhaps(self, at: float, cause: Fact | None) -> None:
        """Be offline from a time on or not, nobody knows."""
        if self.may_be_online and not self._changes[-1].is_sure:
            return
        at = max(at, self._since, self.changed_at)
        self._change(_Change(at, cause, is_sure=False))

    def unknown(self, at: float, cause: Fact) -> None:
        """Be known to others alone."""
        self._coming = []
        self._changes.append(_Change(at, cause))

    def unassume(self) -> None:
        """Drop what was assumed, as it turns out to have been otherwise."""
        if self._since and self._changes == [_Change(self._since, None)]:
            self._changes = []

    def _change(self, change: _Change) -> None:
        change = change._replace(at=max(change.at, self.changed_at))
        if self._changes and self._changes[-1].at == change.at:
            self._changes.pop()
        self._changes.append(change)

    # What comes if nothing else does.

    def heard_by(self, run: str, at: float) -> None:
        """Take in that a run may have sent a heartbeat at a time."""
        self._reach[run] = at + self.lasts_s

    def known_until(self, run: str, until: float, late_s: float) -> tuple[float, float]:
        """Take in when the presence runs out; return from when on, and by when.

        A time before the one that was known is due to a request that may have arrived
        or not: the one before may still hold. Of heartbeats of other runs, the one that
        tells knows nothing.
        """
        earliest, latest = self._ends
        if until > earliest + _SAME_S:
            latest = 0.0
        others = [end for other, end in self._reach.items() if other != run]
        self._ends = until, max(latest, until + late_s, *others)
        return self._ends

    def expect(self, at: float, by: float, cause: Fact) -> None:
        """Go offline within two times, unless something happens before."""
        if not self.may_be_online:
            return
        perhaps = [_Change(at, cause, is_sure=False)] if by > at + _SAME_S else []
        self._coming = [*perhaps, _Change(by, cause)]

    def expect_back(self, by: float) -> None:
        """Be online again by a time."""
        self._coming = [_Change(by, None)]

    # Requests without an answer.

    def may_be_kept(self, sent: float, by: float, fact: Failed | GaveUp) -> None:
        """Take in a heartbeat that may have arrived, or may do so by a time."""
        until = by + fact.timeout_s
        earliest, latest = self._ends
        self._ends = earliest, max(latest, until)
        self._stray_beat = by, fact
        if not self.may_be_online:
            self.perhaps(sent, self.cause or fact)
            self._coming = [_Change(until, self.cause or fact)]
        elif self._coming and self._coming[-1].cause is not None:
            at, why, _ = self._coming[-1]
            self.expect(self._coming[0].at, max(at, until), why or fact)

    def go_on_perhaps(self, by: float) -> None:
        """Take in that more of the same may have followed what failed last."""
        before, beat = self._stray_beat
        if beat is not None and self._changes[-1].cause is not None:
            self.may_be_kept(before, by, beat)

    def may_be_left(self, sent: float, by: float, fact: Failed) -> None:
        """Take in a leave that may have arrived, or may do so by a time."""
        self._stray_leave = by, fact
        if self.may_be_online:
            self.perhaps(sent, fact)

    def run_to(self, now: float) -> None:
        """Let come what was expected until now."""
        while self._coming and self._coming[0].at <= now:
            coming, *self._coming = self._coming
            if not coming.is_sure:
                self.perhaps(coming.at, coming.cause)
            elif coming.cause is None:
                self.online(coming.at)
            else:
                self.offline(coming.at, coming.cause)


def is_unknown(cause: Fact | None) -> bool:
    """Return True if other processes decide about a name since, unknown to us."""
    return isinstance(cause, StillHeld) or (
        isinstance(cause, HandedOver) and not cause.timeout_s
    )
