"""What an answer leaves open: when the service acted on a request, or whether."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

from ..explain.causes import status_of
from ..explain.facts import Names
from ..presence.engine import PresenceEngine
from ..presence.names import names_of
from ..presence.wire import Acknowledged, Failed, Outcome, Send
from ..protocol.heartbeat import HeartbeatOperation
from .fact_keeper import rounded, unix_now_s
from .recorder import LATE_S
from .standing import told, unix_s

__all__ = ["Unclear", "names_in"]

_MOST_LATE = 10_000
_SAME_S = 0.5
_NOT_DONE = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
"""Who answers so has not acted on it; whoever answers otherwise may have.

Source: RFC 9110, sections 15.5 and 15.6, and RFC 6585, section 4 (read 2026-11).
"""


class Unclear:
    """Knows, of the latest request that was not calm, what its outcome leaves open.

    Args:
        engine: Knows who is held.
        attempt_timeout_s: How long an attempt without an answer may still be applied
            after it was given up.

    Attributes:
        told: Of its names, before the engine took the outcome in: when they were last
            acknowledged, until when that lasts, what is past it.
        late_s: How late its answer was; 0: it was not, or there was none.
        open: ``sent``, ``acted_by`` and ``timeout_s`` of the fact that it failed; empty
            if the service has certainly not acted on it.
    """

    def __init__(self, engine: PresenceEngine, attempt_timeout_s: float) -> None:
        self._engine = engine
        self._attempt_timeout_s = attempt_timeout_s
        self.told: tuple[float, float, Names] = (0.0, 0.0, ())
        self.late_s: float = 0.0
        self.open: dict[str, Any] = {}
        # Heartbeats that were acknowledged late: when they run out, and how late.
        self._late: dict[tuple[str, str], tuple[float, float]] = {}
        # When the loop last found that the machine had slept, and for how long.
        self._slept: tuple[float, float] = (0.0, 0.0)

    def slept(self, seconds: float) -> None:
        """Note time that loop time has not seen; of requests under way, too."""
        self._slept = asyncio.get_running_loop().time(), seconds

    def _unseen_s(self, since_s: float) -> float:
        found_s, seconds = self._slept
        return seconds if since_s < found_s else 0.0

    def hears(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Take in an outcome; before the engine does, which forgets by it."""
        user = self._engine.dispatch.user(send.user_id)
        self.told, self.late_s, self.open = told(user, names_in(send)), 0.0, {}
        if isinstance(outcome, Acknowledged):
            sent_s = outcome.sent_at_s
            took_s = rounded(now_s - sent_s + self._unseen_s(sent_s))
            if took_s >= LATE_S:
                self.late_s = took_s
                self._note_late(send, outcome)
        elif isinstance(outcome, Failed) and _may_have_effect(outcome):
            still_s = self._attempt_timeout_s if outcome.is_in_doubt else 0.0
            self.open = {
                "sent": rounded(unix_s(send.taken_s) - self._unseen_s(send.taken_s)),
                "acted_by": rounded(unix_now_s() + still_s),
                "timeout_s": _timeout_s(send),
            }

    def _note_late(self, send: Send, answer: Acknowledged) -> None:
        timeout_s = _timeout_s(send)
        if not timeout_s:
            return
        until = unix_s(answer.sent_at_s + timeout_s - answer.age_s)
        for name in names_in(send):
            self._late.pop((send.user_id, name), None)
            self._late[send.user_id, name] = until, self.late_s
        while len(self._late) > _MOST_LATE:
            del self._late[next(iter(self._late))]

    def later_s(self, user_id: str, names: Names, until: float) -> float:
        """Return by how much the presence may last longer than until some time.

        That counts from when a heartbeat was sent, and the service may have received it
        at any time before its answer.
        """
        known = [self._late.get((user_id, name), (0.0, 0.0)) for name in names]
        return max(
            (late_s for end, late_s in known if abs(end - until) < _SAME_S), default=0.0
        )


def names_in(send: Send) -> Names:
    """Return the names that a request is about."""
    if send.beat is not None:
        return send.beat.names
    operation = send.operation
    return names_of(operation.channels, operation.channel_groups)


def _may_have_effect(outcome: Failed) -> bool:
    is_clear = status_of(outcome.error) in _NOT_DONE and not outcome.is_in_doubt
    return outcome.has_effect and not is_clear


def _timeout_s(send: Send) -> int:
    """Return the presence timeout that a request carries; 0: it is no heartbeat."""
    operation = send.operation
    if isinstance(operation, HeartbeatOperation):
        return operation.presence_timeout_s
    return 0
