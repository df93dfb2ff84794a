"""What a client notes of its decisions, for ``explain``; next to nothing in calm.

Of a join only the time is kept, with its lease. All else goes to the ``Witness``, which
is loaded when there is first something to tell.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..presence.changes import Change, HealthChanged, Settled
from ..presence.closing import Departure
from ..presence.engine import PresenceEngine
from ..presence.wire import Outcome, Send
from . import on_demand, wall_clock
from .clock_watch import ClockReport
from .config import PresenceConfig
from .safe_log import SafeLogger

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["Recorder"]

logger: SafeLogger = SafeLogger("presence_async.client")

_ALIVE_EVERY_S = 30.0
_MOMENT_S = 0.5


class Recorder:
    """Notes decisions. Whatever goes wrong here costs a line of the log, once.

    Args:
        config: Says how much is kept, and where.
        engine: Decides.
    """

    def __init__(self, config: PresenceConfig, engine: PresenceEngine) -> None:
        self._config = config
        self._engine = engine
        self._has_file = config.explain_to is not None
        self._moment_s = 0.0
        self._alive_at_s = -math.inf
        self._is_failing = False

    @property
    def is_on(self) -> bool:
        """Whether anything is kept."""
        config = self._config
        return bool(
            self._has_file or (config.explain_decisions and config.explain_bytes)
        )

    @functools.cached_property
    def _witness(self) -> on_demand.Witness:
        return on_demand.Witness(self._config, self._engine)

    def change(self, change: Change) -> None:
        """Note a change that the engine reports."""
        kind = change.__class__
        if kind is Settled:
            return
        if isinstance(change, HealthChanged) and change.previous is None:
            # The same number for all who join at once: one each takes 32 bytes.
            now_s = wall_clock.now_s()
            if not 0 <= now_s - self._moment_s < _MOMENT_S:
                self._moment_s = now_s
            change.claim.owner.joined_at = self._moment_s
            if not self._has_file:
                return
        self._tell("change", change)

    def answered(self, send: Send, outcome: Outcome) -> None:
        """Note the outcome of a request that is no calm heartbeat."""
        self._tell("answered", send, outcome)

    def looked(self, report: ClockReport, now_s: float) -> None:
        """Note time that went by unseen; give a sign of life twice a minute."""
        if report.slept_s:
            self._tell("slept", report.slept_s)
        elif report.blocked_s:
            self._tell("blocked", report.blocked_s)
        if self._has_file and now_s >= self._alive_at_s:
            self._alive_at_s = now_s + _ALIVE_EVERY_S
            self._tell("alive")

    def new_token(self, user_id: str | None, *, is_refresh: bool) -> None:
        """Note that another token is used from now on, for one user or for all."""
        self._tell("new_token", user_id, is_refresh)

    def events(self, events: Sequence[Any]) -> None:
        """Note events about users of this client that it has not caused."""
        self._tell("events", events)

    def close(self, departures: Sequence[Departure]) -> None:
        """Note the end of the client."""
        if departures or "_witness" in vars(self):
            self._tell("close", departures)

    def explain(
        self, user_id: str, at: dt.datetime | float | None
    ) -> on_demand.Explanation:
        """Tell the story of a user."""
        return self._witness.explain(user_id, at)

    def _tell(self, what: str, *facts: Any) -> None:  # noqa: ANN401  # the witness's own
        try:
            tell: Callable[..., None] = getattr(self._witness, what)
            tell(*facts)
        except Exception:
            if not self._is_failing:
                logger.critical("noting a decision failed", exc_info=True)
            self._is_failing = True
