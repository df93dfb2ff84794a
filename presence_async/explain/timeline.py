"""From facts to spells: when a user was shown online on each name, and why not.

Facts of several processes go together: a presence lasts as long as the heartbeats of
one of them are in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .circumstances import Closed, Ended
from .concluded import told_at
from .facts import (
    Back,
    Fact,
    Failed,
    GaveUp,
    HandedOver,
    Joined,
    Kept,
    Left,
    Lost,
    Names,
    Released,
    Seen,
    StillHeld,
    What,
)
from .shown import Shown, Spell

__all__ = ["Timeline"]

_LIFE_AFTER_S = 35.0
"""A process that ended did so before its next sign of life, which is due in 30 s."""


class Timeline:
    """When a user was online and when not, name by name.

    Args:
        facts: In order; those about everybody among them.
        now: Up to when.
        since: From when on no facts were dropped.

    Attributes:
        since: Likewise.
        spells: Every spell, by name and time.
    """

    def __init__(self, facts: Iterable[Fact], now: float, since: float = 0.0) -> None:
        self.since: float = since
        self._names: dict[str, Shown] = {}
        takes: Mapping[type[Fact], Callable[[Any], None]] = {
            Back: self._back,
            Closed: self._closed,
            Ended: self._ended,
            Failed: self._failed,
            GaveUp: self._gave_up,
            HandedOver: self._handed_over,
            Joined: self._joined,
            Kept: self._kept,
            Left: self._left,
            Lost: self._lost,
            Released: self._released,
            Seen: self._seen,
            StillHeld: self._left_to_others,
        }
        for fact in facts:
            self._run_to(told_at(fact))
            if take := takes.get(type(fact)):
                take(fact)
        self._run_to(now)
        self.spells: list[Spell] = [
            spell for name, shown in self._names.items() for spell in shown.spells(name)
        ]

    def spells_at(self, at: float) -> list[Spell]:
        """Return the spell of each name that was under way at a time."""
        return [
            spell
            for spell in self.spells
            if spell.begins <= at and (spell.ends is None or at < spell.ends)
        ]

    @property
    def doubtful(self) -> set[Fact]:
        """The facts of which it is not certain what followed."""
        return {s.cause for s in self.spells if s.cause and not s.is_sure}

    @property
    def keepers(self) -> set[str]:
        """The runs that hold a name at the end."""
        return {run for shown in self._names.values() for run in shown.keepers}

    def _run_to(self, now: float) -> None:
        for shown in self._names.values():
            shown.run_to(now)

    def _of(self, names: Names) -> Iterator[Shown]:
        for name in names:
            if name not in self._names:
                self._names[name] = Shown(self.since)
            yield self._names[name]

    # Kept.

    def _joined(self, fact: Joined) -> None:
        for shown in self._of(fact.names):
            shown.timeout_s = max(shown.timeout_s, fact.timeout_s)
            shown.keepers[fact.run] = True
            shown.heard_by(fact.run, fact.at)
            if not shown.is_heard_of and fact.late_s:
                shown.perhaps(fact.at - fact.late_s, fact)
            shown.online(fact.at, fact.late_s)

    def _back(self, fact: Back) -> None:
        for shown in self._of(fact.names):
            if fact.was != "at_risk":
                shown.unassume()
            shown.keepers[fact.run] = True
            shown.online(fact.at, fact.late_s)

    def _kept(self, fact: Kept) -> None:
        """A heartbeat brings a name back, not that somebody asks."""
        for shown in self._of(fact.names):
            shown.keepers[fact.run] = True
            if shown.cause is None or fact.acked > shown.changed_at:
                shown.online(fact.acked if shown.cause else fact.at)

    # No heartbeat in time.

    def _lost(self, fact: Lost) -> None:
        self._ran_out(fact, fact.names)

    def _ran_out(self, fact: Lost | Failed, names: Names) -> None:
        for shown in self._of(names):
            shown.keepers[fact.run] = False
            at, by = shown.known_until(fact.run, fact.until, fact.late_s)
            if shown.is_kept:
                # Whose heartbeat was the last, and what timeout it had, is not known.
                shown.perhaps(at, fact)
                shown.expect_back(at + shown.lasts_s)
                continue
            if fact.until <= self.since:
                shown.unassume()
            if not shown.is_heard_of:
                shown.offline(at, fact)
            elif not shown.is_expected:
                shown.expect(at, by, fact)

    def _failed(self, fact: Failed) -> None:
        if fact.what == What.LEAVE:
            self._leave_failed(fact)
            return
        if fact.until:
            self._ran_out(fact, fact.gone)
            for shown in self._of(fact.names):
                at, by = shown.known_until(fact.run, fact.until, fact.late_s)
                is_kept = shown.is_expected or shown.is_kept_but_by(fact.run)
                if fact.is_refused and fact.what == What.HEARTBEAT and not is_kept:
                    shown.expect(at, by, fact)
        self._may_have_arrived(fact)

    def _may_have_arrived(self, fact: Failed | GaveUp) -> None:
        if fact.acted_by and fact.what != What.LEAVE:
            for shown in self._of(fact.names):
                shown.may_be_kept(fact.sent, fact.acted_by, fact)

    # Left.

    def _left(self, fact: Left) -> None:
        for shown in self._of(fact.names):
            shown.keepers.pop(fact.run, None)
            if shown.is_kept:
                # Without a register it is not known to the others, and undone.
                shown.perhaps(fact.at - fact.late_s, fact)
                shown.expect_back(fact.at + shown.lasts_s)
            elif fact.why != "undone" or shown.may_be_online:
                # Of a join that failed nobody knows whether it was ever seen.
                shown.offline(fact.at, fact, fact.late_s)

    def _leave_failed(self, fact: Failed) -> None:
        for shown in self._of(fact.names):
            if fact.acted_by:
                shown.may_be_left(fact.sent, fact.acted_by, fact)

    def _seen(self, fact: Seen) -> None:
        (shown,) = self._of((fact.name,))
        if fact.action == "join":
            shown.online(fact.at)
        elif shown.may_be_online or not shown.is_heard_of:
            cause = shown.expected_cause if fact.action == "timeout" else None
            shown.offline(fact.at, cause or fact)

    # Let go.

    def _released(self, fact: Released) -> None:
        """Expect the user to time out, until a leave is acknowledged after all."""
        for shown in self._of(tuple(n for n in fact.names if n not in fact.still)):
            at, by = fact.at, fact.at + shown.lasts_s
            if fact.until:
                at, by = shown.known_until(fact.run, fact.until, fact.late_s)
            self._let_go(shown, fact, max(fact.at, at), max(fact.at, by))

    def _gave_up(self, fact: GaveUp) -> None:
        if fact.what == What.JOIN:
            self._may_have_arrived(fact)
            return
        for shown in self._of(fact.names or tuple(self._names)):
            self._let_go(shown, fact, fact.at, fact.at + shown.lasts_s)

    def _closed(self, fact: Closed) -> None:
        for shown in self._names.values():
            if fact.run in shown.keepers:
                self._let_go(shown, fact, fact.at, fact.at + shown.lasts_s)

    def _ended(self, fact: Ended) -> None:
        for shown in self._names.values():
            if fact.run in shown.keepers:
                by = fact.at + _LIFE_AFTER_S + shown.lasts_s
                self._let_go(shown, fact, fact.at, by)
                shown.go_on_perhaps(fact.at + _LIFE_AFTER_S)

    def _let_go(self, shown: Shown, fact: Fact, at: float, by: float) -> None:
        """Expect a name to run out, if nobody else holds it."""
        shown.keepers.pop(fact.run, None)
        if not shown.keepers and not shown.is_expected:
            shown.expect(at, by, fact)

    def _handed_over(self, fact: HandedOver) -> None:
        if not fact.timeout_s:
            self._left_to_others(fact)
            return
        for shown in self._of(fact.names):
            shown.keepers.pop(fact.run, None)
            by = fact.at + fact.timeout_s
            shown.expect(by - fact.late_s, by, fact)

    def _left_to_others(self, fact: StillHeld | HandedOver) -> None:
        """Say that it is not known any more, if no other process tells of a name."""
        for shown in self._of(fact.names):
            shown.keepers.pop(fact.run, None)
            shown.heard_by(fact.run, fact.at)
            if not shown.keepers and shown.is_heard_of:
                shown.unknown(fact.at, fact)
