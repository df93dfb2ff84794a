"""PollProgress: where a long poll goes on, and whether events before that are lost.

Pure: no IO, and every method that needs a clock takes loop time.

The service keeps what is published for a poller for ``QUEUE_S``, up to
``QUEUE_MESSAGES``, and answers a poll at once if there is anything after its cursor. So
a cursor loses nothing as long as polls are answered or held often enough, by a service
whose timetokens go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Self

from ...protocol.events import GapEvent, GapReason
from ...protocol.messages import Message
from ...protocol.timetoken import TIMETOKENS_PER_S
from .listener import gap

__all__ = ["Cursor", "Loss", "PollProgress"]

QUEUE_MESSAGES: Final = 100
"""How many messages the service keeps for a poller, as documented."""

QUEUE_S: Final = 20 * 60
"""For how long it keeps them, as documented."""

_CLOCK_SKEW: Final = 5 * TIMETOKENS_PER_S
_RESTART: Final = 60 * TIMETOKENS_PER_S
"""A cursor that goes back further than this is of a service that was restarted."""


class Cursor(NamedTuple):
    """Where a poll goes on: timetoken and region."""

    timetoken: int
    region: int


class Loss(NamedTuple):
    """What a reply shows about lost events.

    Attributes:
        is_restart: The service was restarted, and its timetokens begin again.
        gap: The gap for listeners, or ``None`` if nothing is known to be lost, or if
            they have had one already.
        before: The gap concerns those who listen since before this timetoken;
            ``None``: everybody.
    """

    is_restart: bool = False
    gap: GapEvent | None = None
    before: int | None = None


class PollProgress:
    """The cursor of one poll, and up to when it is known to be complete.

    Args:
        cursor: Where the poll begins.
        complete_until_s: Nothing that was published up to this loop time can be lost.
        service_ahead: The service's time minus loop time, at the least, in timetokens.

    Attributes:
        cursor: Where the next poll goes on.
    """

    def __init__(
        self, cursor: Cursor, *, complete_until_s: float, service_ahead: int
    ) -> None:
        self.cursor: Cursor = cursor
        self._complete_until_s = complete_until_s
        self._service_ahead = service_ahead
        # Listeners have had a gap, and no poll has gone well since.
        self._has_reported_gap = False
        # Polls in a row that were refused while handshakes were not.
        self._refusals = 0

    @classmethod
    def begin(cls, cursor: Cursor, *, now_s: float) -> Self:
        """Begin at a cursor that was the service's present time at a loop time."""
        ahead = cursor.timetoken - _timetokens(now_s)
        return cls(cursor, complete_until_s=now_s, service_ahead=ahead)

    def branch(self) -> PollProgress:
        """Return the progress of another poll that begins where this one stands."""
        return PollProgress(
            self.cursor,
            complete_until_s=self._complete_until_s,
            service_ahead=self._service_ahead,
        )

    def rewind(self, cursor: Cursor) -> bool:
        """Go back to a cursor if it is earlier; return True if it is."""
        is_earlier = cursor.timetoken < self.cursor.timetoken
        if is_earlier:
            self.cursor = cursor
        return is_earlier

    def loop_s(self, timetoken: int) -> float:
        """Return the loop time of a publication; rather too late than too early."""
        return (timetoken - self._service_ahead) / TIMETOKENS_PER_S

    def slept(self, seconds: float) -> None:
        """Count time that loop time did not see."""
        self._complete_until_s -= seconds

    # Handshakes.

    def checked(self, cursor: Cursor, *, sent_at_s: float, now_s: float) -> Loss:
        """Take in the reply to a handshake that follows trouble.

        The poll goes on from where it was, or from now if that is gone.
        """
        ahead = cursor.timetoken - _timetokens(sent_at_s)
        is_restart = ahead < self._service_ahead - _CLOCK_SKEW
        self._service_ahead = cursor.timetoken - _timetokens(now_s)
        self.rewind(cursor)
        is_expired = sent_at_s - self._complete_until_s > QUEUE_S
        is_refused = self._refusals > 1
        if is_refused or (is_expired and self._has_reported_gap):
            # Handshakes are answered and polls from this cursor are not: give it up.
            self.cursor = cursor
        if not (is_restart or is_expired or is_refused):
            return Loss()
        loss = Loss(is_restart, self._gap("reconnect"))
        self._complete_until_s = sent_at_s
        return loss

    # Polls.

    def find_loss(self, cursor: Cursor, messages: Sequence[Message]) -> Loss:
        """Return what the reply to a poll shows about events before its messages."""
        if cursor.timetoken < self.cursor.timetoken - _RESTART:
            return Loss(is_restart=True, gap=self._gap("reconnect"))
        if len(messages) >= QUEUE_MESSAGES:
            # What is lost is older than the median, even if some messages came late.
            times = sorted(message.published.t for message in messages)
            median = times[len(messages) // 2]
            return Loss(gap=self._gap("service_queue"), before=median)
        return Loss()

    def advance(self, cursor: Cursor, *, now_s: float) -> None:
        """Go on after a reply whose messages have been delivered."""
        self.cursor = cursor
        self._has_reported_gap = False
        self._refusals = 0
        self._complete_until_s = now_s

    def was_held(self, *, sent_at_s: float) -> None:
        """Record that the service held a poll, which then ended without a reply.

        It answers at once what it has after a cursor, so there was nothing when the
        poll was sent: up to then the poll is complete.
        """
        self._has_reported_gap = False
        self._refusals = 0
        self._complete_until_s = max(self._complete_until_s, sent_at_s)

    def refused(self) -> None:
        """Record a poll that was refused for no name or token; maybe for its cursor."""
        self._refusals += 1

    def _gap(self, reason: GapReason) -> GapEvent | None:
        """Return a gap at the cursor, once until a poll goes well again."""
        if self._has_reported_gap:
            return None
        self._has_reported_gap = True
        return gap(reason, self.cursor.timetoken)


def _timetokens(seconds: float) -> int:
    return int(seconds * TIMETOKENS_PER_S)
