"""Timetokens, and the queues of messages that clients may still fetch. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import attrs

from ..protocol.rendered_message import RenderedMessage
from ..protocol.timetoken import TIMETOKENS_PER_S

__all__ = ["MESSAGES_KEPT", "MessageLog", "QueuedMessage", "Timetokens"]

MESSAGES_KEPT = 100
"""Undelivered messages that the service keeps for a channel, as documented."""

_KEPT_FOR_S = 20 * 60


class Timetokens:
    """Unix time in units of 100 ns, never the same twice."""

    def __init__(self) -> None:
        self._last = 0
        self._shift = 0

    def next(self, unix_s: float) -> int:
        """Return the timetoken of a moment, or the next free one."""
        exact = int(unix_s * TIMETOKENS_PER_S) + self._shift
        self._last = max(exact, self._last + 1)
        return self._last

    def restart(self, shift_s: float) -> None:
        """Start again, ``shift_s`` seconds off the clock."""
        self._shift = int(shift_s * TIMETOKENS_PER_S)
        self._last = 0


@attrs.frozen
class QueuedMessage:
    """A message in a queue.

    Attributes:
        position: Its place in the order of cursors: usually the timetoken of the
            message, a later one if a fault delays or repeats it.
        channel: The channel, with ``-pnpres`` for presence.
        at_s: When it was queued.
        message: Returns the message, without a subscription. It is encoded when the
            first poll fetches it, since nobody fetches most messages.
    """

    position: int
    channel: str
    at_s: float
    message: Callable[[], RenderedMessage]


class MessageLog:
    """A queue for each channel: 100 messages, 20 minutes."""

    def __init__(self) -> None:
        # In the order of their newest messages, so that expired queues come first.
        self._queues: dict[str, deque[QueuedMessage]] = {}

    def add(self, queued: QueuedMessage) -> None:
        """Queue a message."""
        channel = queued.channel
        queue = self._queues.pop(channel, None) or deque(maxlen=MESSAGES_KEPT)
        queue.append(queued)
        self._queues[channel] = queue
        self._drop_old(queued.at_s)

    def after(self, channel: str, cursor: int, *, now_s: float) -> list[QueuedMessage]:
        """Return the messages of a channel after a cursor, oldest first."""
        found: list[QueuedMessage] = []
        for queued in reversed(self._queues.get(channel, ())):
            if queued.position <= cursor or queued.at_s < now_s - _KEPT_FOR_S:
                break
            found.append(queued)
        found.reverse()
        return found

    def channels(self) -> Iterable[str]:
        """Return every channel with messages."""
        return self._queues.keys()

    def clear(self) -> None:
        """Lose every message."""
        self._queues.clear()

    def _drop_old(self, now_s: float) -> None:
        for channel in list(self._expired(now_s)):
            del self._queues[channel]

    def _expired(self, now_s: float) -> Iterator[str]:
        for channel, queue in self._queues.items():
            if queue[-1].at_s >= now_s - _KEPT_FOR_S:
                return
            yield channel
