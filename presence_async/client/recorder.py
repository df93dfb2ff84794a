"""What a client notes of its decisions, for ``explain``; next to nothing in calm.

Of a join only the time is kept, with its lease. All else goes to the ``Witness``, which
is loaded when there is first something to tell.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from ..presence.changes import Change, HealthChanged, Settled, UserForgotten
from ..presence.claims import Order, OrderKind
from ..presence.closing import Departure
from ..presence.wire import Acknowledged, Outcome, Send
from . import wall_clock
from .clock_watch import ClockReport
from .config import PresenceConfig
from .join_times import JoinTimes
from .safe_log import SafeLogger

__all__ = ["Recorder"]

logger: SafeLogger = SafeLogger("presence_async.client")

_ALIVE_EVERY_S = 30.0


class Recorder:
    """Notes decisions. Whatever goes wrong here costs a line of the log, once.

    Args:
        config: Says how much is kept, and where.
        make_witness: Returns the ``Witness``, which says the rest.
    """

    def __init__(self, config: PresenceConfig, make_witness: Callable[[], Any]) -> None:
        self._make_witness = make_witness
        self._has_file = config.explain_to is not None
        self._join_times = JoinTimes()
        self._alive_at_s = -math.inf
        self._is_failing = False

    @functools.cached_property
    def witness(self) -> Any:  # noqa: ANN401  # its module is loaded when it is made
        """The ``Witness``."""
        return self._make_witness()

    def change(self, change: Change) -> None:
        """Note a change that the engine reports."""
        if isinstance(change, (Settled, UserForgotten)):
            return
        if isinstance(change, HealthChanged) and change.previous is None:
            if change.claim.owner is not None:
                self._join_times.note(change.claim.owner, wall_clock.now_s())
            if not self._has_file:
                return
        self._tell("change", change)

    def answered(self, send: Send, outcome: Outcome) -> None:
        """Note the outcome of a request, unless it is what is expected of it."""
        if not isinstance(outcome, Acknowledged) or _is_telling(send.order):
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
        if departures or "witness" in vars(self):
            self._tell("close", departures)

    def _tell(self, what: str, *facts: Any) -> None:  # noqa: ANN401  # the witness's own
        try:
            tell: Callable[..., None] = getattr(self.witness, what)
            tell(*facts)
        except Exception:
            if not self._is_failing:
                logger.critical("noting a decision failed", exc_info=True)
            self._is_failing = True


def _is_telling(order: Order | None) -> bool:
    """Return True if the success of an order is told: joins have a change for that."""
    if order is None:
        return False
    if order.kind is OrderKind.JOIN:
        return order.its_claim.extends is not None
    return order.kind is OrderKind.LEAVE or order.kind is OrderKind.HAND_OVER
