"""Subscription: a listener, its names as polls list them, and what it has had. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ...errors import RequestError
from ...protocol.encoding import encode_name
from ...protocol.events import PresenceEvent
from ...protocol.names import PRESENCE_SUFFIX
from ..safe_log import SafeLogger
from .listener import Listener, StreamHealth, gap

__all__ = ["EventKey", "Listed", "Subscription", "WireName", "as_listed"]

logger: SafeLogger = SafeLogger("presence_async.client")

_REMEMBERED: Final = 4096
_COMMA_BYTES: Final = 3

Listed = tuple[tuple[str, ...], tuple[str, ...]]
"""Channels and groups, as a request lists them."""

EventKey = tuple[str, int, int]
"""Channel, timetoken and hash of the payload, by which an event is known again."""


class WireName(NamedTuple):
    """A name as a poll lists it, with ``-pnpres``."""

    text: str
    is_group: bool

    @property
    def size(self) -> int:
        """Bytes it takes in a request."""
        return len(encode_name(self.text)) + _COMMA_BYTES

    def with_suffix(self) -> WireName:
        """Return the same name with ``-pnpres``, where that is missing."""
        if self.text.endswith(PRESENCE_SUFFIX):
            return self
        return self._replace(text=self.text + PRESENCE_SUFFIX)


def wire_names(listener: Listener) -> tuple[WireName, ...]:
    """Return the names that a poll has to list for a listener."""
    return (
        *(WireName(f"{x}{PRESENCE_SUFFIX}", is_group=False) for x in listener.channels),
        *(
            WireName(f"{x}{PRESENCE_SUFFIX}", is_group=True)
            for x in listener.channel_groups
        ),
    )


def as_listed(names: Iterable[WireName]) -> Listed:
    """Divide names into channels and groups, as a request lists them."""
    channels: list[str] = []
    groups: list[str] = []
    for name in names:
        (groups if name.is_group else channels).append(name.text)
    return tuple(channels), tuple(groups)


class Subscription:
    """One listener with its names, which may be spread over several polls.

    Remembers the events it has delivered, since polls are repeated: at least the last
    4,096, by channel, timetoken and payload.

    Attributes:
        listener: Receives the events.
        names: Its names, as polls list them.
        health: The health that the listener knows.
    """

    __slots__ = (
        "_has_missed",
        "_seen",
        "_seen_before",
        "health",
        "listener",
        "names",
    )

    def __init__(self, listener: Listener) -> None:
        self.listener: Listener = listener
        self.names: tuple[WireName, ...] = wire_names(listener)
        self.health: StreamHealth | None = None
        self._seen: set[EventKey] = set()
        self._seen_before: set[EventKey] = set()
        # Events were lost when the listener crashed.
        self._has_missed = False

    def is_new(self, key: EventKey) -> bool:
        """Return True the first time that an event comes."""
        if key in self._seen or key in self._seen_before:
            return False
        if len(self._seen) >= _REMEMBERED:
            self._seen, self._seen_before = set(), self._seen
        self._seen.add(key)
        return True

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Hand events to the listener, whose crash does not harm other listeners.

        After a crash the events are lost to it; a gap precedes the next ones.
        """
        if self._has_missed:
            events = (gap("reconnect", events[0].timetoken), *events)
        try:
            self.listener.deliver(events)
        except Exception:
            logger.critical("a listener to presence events crashed", exc_info=True)
            self._has_missed = True
        else:
            self._has_missed = False

    def set_health(self, health: StreamHealth, error: RequestError | None) -> None:
        """Tell the listener a new health."""
        if health is self.health:
            return
        self.health = health
        try:
            self.listener.set_health(health, error)
        except Exception:
            logger.critical("a listener to presence events crashed", exc_info=True)
