"""HeartbeatManager: how the presence of a client's users stands."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from ..presence import overview
from ..presence.claims import LeaseHealth
from .heartbeat_loop import HeartbeatLoop
from .lease import Lease

__all__ = ["HeartbeatManager", "HeartbeatStats", "RegisterStats"]


@attrs.frozen(kw_only=True)
class RegisterStats:
    """How a client stands with the register it shares with others.

    Attributes:
        engine: What the register is: ``"memory"``, ``"sqlite"``, ``"valkey"``.
        is_up: Whether it answers. While it does not, heartbeats are sent without
            asking whose turn it is, and leaves wait.
        leading: Users this client sends heartbeats for.
        following: Users held here for whom another client sends them at present.
        lingering: Users, of whichever client, who wait for their departure.
        unasked: Heartbeats sent since the start while the register was away.
    """

    engine: str
    is_up: bool
    leading: int
    following: int
    lingering: int
    unasked: int

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return attrs.asdict(self)


@attrs.frozen(kw_only=True)
class HeartbeatStats:
    """The heartbeats of a client at one moment.

    Attributes:
        leases: Leases held.
        fresh: Of these, how many are ``FRESH``; the next three likewise.
        at_risk: ``AT_RISK``.
        lost: ``LOST``.
        refused: ``REFUSED``.
        leaving: Leaves that are owed and not acknowledged yet.
        beats_sent: Heartbeats sent since the start.
        beats_failed: Of these, how many were not acknowledged.
        lateness_p50_s: Seconds between due and sent, median of the newest 1,024.
        lateness_p99_s: The same, 99th percentile.
        lateness_max_s: The same, maximum.
        next_due_s: Seconds until the next heartbeat; ``None``: none is due.
        register: How it stands with the register; ``None``: there is none.
    """

    leases: int
    fresh: int
    at_risk: int
    lost: int
    refused: int
    leaving: int
    beats_sent: int
    beats_failed: int
    lateness_p50_s: float
    lateness_p99_s: float
    lateness_max_s: float
    next_due_s: float | None
    register: RegisterStats | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return attrs.asdict(self)


class HeartbeatManager:
    """Keeps every lease of a client present; ``client.heartbeats``.

    One long-lived task sends the heartbeats that are due, a bounded number at once.
    There is no state in which it gives up: a failed heartbeat is tried again for as
    long as its lease is held.
    """

    def __init__(
        self, loop: HeartbeatLoop, register_stats: Callable[[], RegisterStats | None]
    ) -> None:
        self._loop = loop
        self._register_stats = register_stats

    @property
    def leases(self) -> tuple[Lease, ...]:
        """Every lease held; those still joining are not among them."""
        return tuple(claim.owner for claim in overview.claims(self._loop.engine))

    def stats(self) -> HeartbeatStats:
        """Return the figures of this moment."""
        engine = self._loop.engine
        healths = [claim.health for claim in overview.claims(engine)]
        late_s = sorted(self._loop.lateness_s) or [0.0]
        next_s = overview.next_heartbeat_s(engine) - self._loop.now_s()
        return HeartbeatStats(
            leases=len(healths),
            fresh=healths.count(LeaseHealth.FRESH),
            at_risk=healths.count(LeaseHealth.AT_RISK),
            lost=healths.count(LeaseHealth.LOST),
            refused=healths.count(LeaseHealth.REFUSED),
            leaving=overview.leaving(engine),
            beats_sent=engine.heartbeats_sent,
            beats_failed=engine.heartbeats_failed,
            lateness_p50_s=late_s[len(late_s) // 2],
            lateness_p99_s=late_s[len(late_s) * 99 // 100],
            lateness_max_s=late_s[-1],
            next_due_s=max(0.0, next_s) if next_s < math.inf else None,
            register=self._register_stats(),
        )

    def register_stats(self) -> RegisterStats | None:
        """Return how it stands with the register; ``None``: there is none."""
        return self._register_stats()
