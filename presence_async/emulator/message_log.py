"""What was published and may still be asked for: timetokens and queues. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import attrs

from ..protocol.messages import Message
from ..protocol.timetoken import TIMETOKENS_PER_S

__all__ = ["MESSAGES_KEPT", "MessageLog", "Posted", "Timetokens"]

MESSAGES_KEPT = 100
"""Undelivered messages that the service documents to keep."""

_KEPT_FOR_S = 20 * 60


class Timetokens:
    """Unix time in units of 100 ns, never the same twice."""

    def __init__(self) -> None:
        self._last = 0
        self._shift = 0

    def next(self, unix_s: float) -> int:
        """Return the one of a moment, or the next one free."""
        wished = int(unix_s * TIMETOKENS_PER_S) + self._shift
        self._last = max(wished, self._last + 1)
        return self._last

    def restart(self, shift_s: float) -> None:
        """Begin anew, so many seconds off the clock."""
        self._shift = int(shift_s * TIMETOKENS_PER_S)
        self._last = 0


@attrs.frozen
class Posted:
    """A message in a queue.

    Attributes:
        position: Comes after every cursor below it. Usually the timetoken of the
            message; another one where a fault sends it late or twice.
        channel: Where it is published, with ``-pnpres`` for presence.
        at_s: When it was queued.
        message: Gives what is sent, still without a subscription. It is put into words
            when the first poll fetches it: most messages nobody asks for.
    """

    position: int
    channel: str
    at_s: float
    message: Callable[[], Message]


class MessageLog:
    """A queue for each channel: 100 messages, 20 minutes."""

    def __init__(self) -> None:
        # The channel that was written to last is the last one.
        self._queues: dict[str, deque[Posted]] = {}

    def add(self, posted: Posted) -> None:
        """Queue a message."""
        channel = posted.channel
        queue = self._queues.pop(channel, None) or deque(maxlen=MESSAGES_KEPT)
        queue.append(posted)
        self._queues[channel] = queue
        self._drop_old(posted.at_s)

    def after(self, channel: str, cursor: int, *, now_s: float) -> list[Posted]:
        """Return what a channel's queue holds after a cursor, oldest first."""
        found: list[Posted] = []
        for posted in reversed(self._queues.get(channel, ())):
            if posted.position <= cursor or posted.at_s < now_s - _KEPT_FOR_S:
                break
            found.append(posted)
        found.reverse()
        return found

    def channels(self) -> Iterable[str]:
        """Return every channel with messages."""
        return self._queues.keys()

    def clear(self) -> None:
        """Lose everything."""
        self._queues.clear()

    def _drop_old(self, now_s: float) -> None:
        for channel in list(self._forgotten(now_s)):
            del self._queues[channel]

    def _forgotten(self, now_s: float) -> Iterator[str]:
        for channel, queue in self._queues.items():
            if queue[-1].at_s >= now_s - _KEPT_FOR_S:
                return
            yield channel
