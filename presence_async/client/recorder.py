"""What a client notes of its decisions, for ``explain``; next to nothing in calm.

Of a join only the time is kept, with its lease. All else goes to the ``Witness``, which
is loaded when there is first something to tell.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..presence.changes import Change, HealthChanged, Settled, UserForgotten
from ..presence.claims import Order, OrderKind
from ..presence.closing import Departure
from ..presence.wire import Acknowledged, Outcome, Send
from . import wall_clock
from .clock_watch import ClockReport
from .config import PresenceConfig
from .join_times import JoinTimes
from .safe_log import SafeLogger

__all__ = ["LATE_S", "Recorder"]

logger: SafeLogger = SafeLogger("presence_async.client")

_ALIVE_EVERY_S = 30.0
LATE_S: Final = 1.0
"""An answer that takes longer leaves open when the service acted on the request."""


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
            self._joined(change)
            if not self._has_file:
                return
        self._tell("change", change)

    def _joined(self, change: HealthChanged) -> None:
        if change.claim.owner is not None:
            late_s = 0.0
            if "witness" in vars(self):
                late_s = self._tell("late_s", change) or 0.0
            self._join_times.note(change.claim.owner, wall_clock.now_s(), late_s)

    def hears(self, send: Send, outcome: Outcome, now_s: float) -> bool:
        """Return True if ``answered`` is to be told of an outcome as well.

        Asked before the engine takes it in: what was known until then matters. What is
        expected of a request, in the time that is, is not told.
        """
        order = send.order
        if (
            isinstance(outcome, Acknowledged)
            and now_s - outcome.sent_at_s < LATE_S
            and (order is None or not _is_telling(order))
        ):
            return False
        self._tell("hears", send, outcome, now_s)
        return True

    def answered(self, send: Send, outcome: Outcome) -> None:
        """Note the outcome of a request, after the engine has taken it in."""
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

    def _tell(self, what: str, *facts: Any) -> Any:  # noqa: ANN401  # the witness's own
        try:
            return getattr(self.witness, what)(*facts)
        except Exception:
            if not self._is_failing:
                logger.critical("noting a decision failed", exc_info=True)
            self._is_failing = True
            return None


def _is_telling(order: Order) -> bool:
    """Return True if the success of an order is told: joins have a change for that."""
    if order.kind is OrderKind.JOIN:
        return order.its_claim.extends is not None
    return order.kind is OrderKind.LEAVE or order.kind is OrderKind.HAND_OVER
