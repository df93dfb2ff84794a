"""Users whom somebody else has left: when they are announced again. Pure.

The service knows users, not clients: the leave of another process or device, or of an
operator, ends the whole presence, and only an event tells of it. The next regular
heartbeat would bring the user back; here it is sent at once.

With a register every client that hears of it sends one, whoever has the turn: one too
many does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from ..protocol.leave import LeaveOperation
from . import health
from .dispatch import Dispatcher
from .lately import Lately
from .merging import Beat
from .names import Name, names_of
from .records import Told
from .settings import Shared
from .user import UserTable
from .wire import Outcome, Refused, Send

__all__ = ["LEFT", "TIMED_OUT", "Returning"]

LEFT: Final = "left by another process or device with the same user ID"
TIMED_OUT: Final = "the service timed the user out, whatever it had acknowledged"

_GATHER_S: Final = 0.1
"""One leave of several channels is an event each; one heartbeat answers all of them."""

_PAUSE_S: Final = 10.0
"""About the shortest interval between regular heartbeats."""

_OWN_S: Final = 10.0
"""How long after a leave of ours its event may come: the service may hold it back."""

_ROUGH_S: Final = 1.0
"""By so much may the clocks of two servers of the service differ."""

_GROUPS: Final = ""
"""Stands for the channels of a group, which are not known."""


class _Answer(NamedTuple):
    """What was last done for a user.

    Attributes:
        due_s: When the heartbeat is due.
        happened_s: When the newest of what it answers happened.
    """

    due_s: float
    happened_s: float


class Returning:
    """Decides which events are about a leave that was not ours, and what follows.

    Two clients may fight, one leaving whenever the other joins. So a user is sent one
    such heartbeat in ten seconds at most, which is as often as the most frequent
    regular ones: a leave that comes sooner is answered when the ten seconds are over.

    Args:
        shared: What all users share.
        dispatch: Knows the users, and tells of leaves from now on.
    """

    def __init__(self, shared: Shared, dispatch: Dispatcher) -> None:
        self._shared = shared
        self._dispatch = dispatch
        attempt_s = shared.settings.attempt_timeout_s
        self._own: Lately[tuple[str, Name], float] = Lately(_OWN_S + attempt_s)
        self._answers: Lately[str, _Answer] = Lately(2 * _PAUSE_S)
        dispatch.on_leave = self._left

    def gone(
        self,
        user_id: str,
        names: Iterable[Name],
        *,
        is_timeout: bool,
        happened_s: float,
        now_s: float,
    ) -> bool:
        """Take in that the service has announced the end of a user's presence.

        Args:
            user_id: The user.
            names: The channel, and the group through which the event came.
            is_timeout: Whether it is no leave.
            happened_s: Loop time of the announcement; rather too late than too early.
            now_s: Loop time.

        Returns:
            Whether a user who is held is offline by that. Where it is in doubt if a
            heartbeat came later, one more is sent and nothing else is said.
        """
        user = self._dispatch.user(user_id)
        if user is None or self._is_seen_to(user):
            return False
        happened_s = min(happened_s, now_s)
        table = user.told
        held = [table[name] for name in names if name in table]
        told = [each for each in held if _is_undone(each, user, happened_s, now_s)]
        if not told or self._is_own(user, names, now_s):
            return False
        before = self._answers.get(user_id)
        if before is not None and happened_s <= before.happened_s:
            # Heard before, or answered together with what was.
            return False
        due_s = _due_s(before, now_s)
        self._answers.put(user_id, _Answer(due_s, happened_s), now_s)
        is_over = _end(told, TIMED_OUT if is_timeout else LEFT, happened_s)
        health.update(user, now_s, is_shared=True)
        user.hasten(due_s)
        self._dispatch.plan(user, now_s)
        return is_over

    def _is_seen_to(self, user: UserTable) -> bool:
        """Return True if there is nothing to keep, or retries are on their way."""
        if self._shared.is_down or self._dispatch.is_closing:
            return True
        return not user.has_joined or user.is_held or user.failures > 0

    # Leaves of ours come back as events, too.

    def _left(self, send: Send, outcome: Outcome, now_s: float) -> None:
        """Note a leave of ours; one without a reply may take effect later."""
        until_s = now_s + _OWN_S
        if not isinstance(outcome, Refused) and outcome.is_in_doubt:
            until_s += self._shared.settings.attempt_timeout_s
        operation = send.operation
        names = names_of(operation.channels, operation.channel_groups)
        for name in (*names, _GROUPS) if operation.channel_groups else names:
            self._own.put((send.user_id, name), until_s, now_s)

    def _is_own(self, user: UserTable, names: Iterable[Name], now_s: float) -> bool:
        out = user.out
        if isinstance(out, Send) and isinstance(out.operation, LeaveOperation):
            return True
        return any(
            (self._own.get((user.user_id, name)) or 0.0) > now_s
            for name in (*names, _GROUPS)
        )


def _is_undone(told: Told, user: UserTable, happened_s: float, now_s: float) -> bool:
    """Return True if no heartbeat for a name has followed, nor is on its way."""
    if told.is_refused or told.until_s <= now_s:
        return False
    beat = _beat_since(user, happened_s)
    if beat is not None and told.name in beat.names:
        return False
    return told.until_s - told.timeout_s <= happened_s + _ROUGH_S


def _beat_since(user: UserTable, happened_s: float) -> Beat | None:
    """Return the heartbeat under way, if it was sent after something happened."""
    out = user.out
    return out.beat if isinstance(out, Send) and out.taken_s > happened_s else None


def _due_s(before: _Answer | None, now_s: float) -> float:
    due_s = now_s + _GATHER_S
    if before is None:
        return due_s
    if before.due_s > now_s:
        return before.due_s
    return max(due_s, before.due_s + _PAUSE_S)


def _end(told: Iterable[Told], trouble: str, happened_s: float) -> bool:
    """Note what is over, unless a heartbeat may have followed; return if any is."""
    over = [each for each in told if each.until_s - each.timeout_s <= happened_s]
    for each in over:
        each.until_s, each.trouble = happened_s, trouble
    return bool(over)
