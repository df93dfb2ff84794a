"""Audience: which listeners hear what a poll brings. Pure, no clock and no task."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from ...errors import RequestError
from ...protocol.encoding import encode_name
from ...protocol.events import GapEvent, PresenceEvent
from ...protocol.messages import Message, read_event
from ...protocol.names import PRESENCE_SUFFIX
from .listener import Listener, StreamHealth, gap

__all__ = ["Audience", "Seat", "WireName", "listed", "names_of"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_REMEMBERED: Final = 4096
_COMMA_BYTES: Final = 3

_Mark = tuple[str, int, int]


class WireName(NamedTuple):
    """A name as a poll lists it, with ``-pnpres``."""

    text: str
    is_group: bool

    @property
    def size(self) -> int:
        """Bytes it takes in a request."""
        return len(encode_name(self.text)) + _COMMA_BYTES


def names_of(listener: Listener) -> tuple[WireName, ...]:
    """Return what has to be listed for a listener."""
    return (
        *(WireName(f"{x}{PRESENCE_SUFFIX}", is_group=False) for x in listener.channels),
        *(
            WireName(f"{x}{PRESENCE_SUFFIX}", is_group=True)
            for x in listener.channel_groups
        ),
    )


def listed(names: Iterable[WireName]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Divide names into channels and groups, as a poll lists them."""
    channels: list[str] = []
    groups: list[str] = []
    for name in names:
        (groups if name.is_group else channels).append(name.text)
    return tuple(channels), tuple(groups)


class Seat:
    """One listener in the audience of one poll or several.

    Remembers what it has heard, since polls are repeated: at least the last 4,096
    events, by channel, timetoken and payload.
    """

    __slots__ = (
        "_has_missed",
        "_heard",
        "_heard_before",
        "health",
        "listener",
        "names",
    )

    def __init__(self, listener: Listener) -> None:
        self.listener: Listener = listener
        self.names: tuple[WireName, ...] = names_of(listener)
        self.health: StreamHealth | None = None
        self._heard: set[_Mark] = set()
        self._heard_before: set[_Mark] = set()
        self._has_missed = False

    def is_new(self, mark: _Mark) -> bool:
        """Tell whether it has not heard an event yet; it has from now on."""
        if mark in self._heard or mark in self._heard_before:
            return False
        if len(self._heard) >= _REMEMBERED:
            self._heard, self._heard_before = set(), self._heard
        self._heard.add(mark)
        return True

    def deliver(self, events: Sequence[PresenceEvent]) -> None:
        """Hand events on; a listener that crashes does not harm the others.

        What it was given then is lost to it, which a gap tells it before the next
        events.
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

    def turn(self, health: StreamHealth, error: RequestError | None) -> None:
        """Tell the listener how it stands, if that has changed."""
        if health is self.health:
            return
        self.health = health
        try:
            self.listener.turn(health, error)
        except Exception:
            logger.critical("a listener to presence events crashed", exc_info=True)


class Audience:
    """The names of one poll, and for each who hears it and since when.

    Attributes:
        seats: Each with how many of its names are here.
        size: Bytes that the names take in a request.
    """

    def __init__(self) -> None:
        self._since: dict[WireName, dict[Seat, int]] = {}
        self.seats: dict[Seat, int] = {}
        self.size: int = 0
        self._listed: tuple[tuple[str, ...], tuple[str, ...]] | None = None

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, name: object) -> bool:
        return name in self._since

    def __iter__(self) -> Iterator[WireName]:
        return iter(self._since)

    # Who is here.

    def add(self, name: WireName, seat: Seat, since: int) -> None:
        """Let a seat hear what was published on a name after a timetoken."""
        hearers = self._since.get(name)
        if hearers is None:
            hearers = self._since[name] = {}
            self.size += name.size
            self._listed = None
        if seat not in hearers:
            self.seats[seat] = self.seats.get(seat, 0) + 1
        hearers[seat] = since

    def remove(self, seat: Seat) -> bool:
        """Take a seat out; tells whether names are gone with it."""
        before = len(self._since)
        for name in seat.names:
            self._take(name, seat)
        return len(self._since) < before

    def move(self, names: Iterable[WireName], to: Audience) -> None:
        """Move names with all who hear them."""
        for name in list(names):
            for seat, since in list(self._since[name].items()):
                to.add(name, seat, since)
                self._take(name, seat)

    def clear(self) -> None:
        """Take everybody out."""
        self._since.clear()
        self.seats.clear()
        self.size = 0
        self._listed = None

    def start_over(self) -> None:
        """Forget since when: the timetokens that come are of another time."""
        for hearers in self._since.values():
            for seat in hearers:
                hearers[seat] = 0

    def _take(self, name: WireName, seat: Seat) -> None:
        hearers = self._since.get(name, {})
        if hearers.pop(seat, None) is None:
            return
        self.seats[seat] -= 1
        if not self.seats[seat]:
            del self.seats[seat]
        if not hearers:
            del self._since[name]
            self.size -= name.size
            self._listed = None

    # What is listed.

    def listed(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return channels and groups as a poll lists them."""
        if self._listed is None:
            self._listed = listed(self._since)
        return self._listed

    def among(
        self, channels: Iterable[str], channel_groups: Iterable[str]
    ) -> list[WireName]:
        """Return which of some names are here; also said without ``-pnpres``."""
        said = [WireName(x, is_group=False) for x in channels]
        said += [WireName(x, is_group=True) for x in channel_groups]
        meant = [_with_suffix(name) for name in said]
        return [name for name in dict.fromkeys(meant) if name in self._since]

    # What is heard.

    def deliver(self, messages: Iterable[Message]) -> bool:
        """Hand each message to those who are to hear it; tells whether any was new."""
        # All are read before any counts as heard, or a failure would lose them.
        heard = [
            (read_event(message), _mark(message), hearers)
            for message in messages
            if (hearers := self._hearers(message))
        ]
        batches: dict[Seat, list[PresenceEvent]] = {}
        for event, mark, hearers in heard:
            for seat, since in hearers.items():
                is_old = 0 < event.timetoken <= since
                if not is_old and seat.is_new(mark):
                    batches.setdefault(seat, []).append(event)
        for seat, events in batches.items():
            seat.deliver(events)
        return bool(batches)

    def tell(self, event: GapEvent, *, before: int | None = None) -> None:
        """Tell of a gap.

        Args:
            event: What to tell.
            before: Only to those who are to hear what was published before this
                timetoken; ``None``: to all.
        """
        for seat in list(self.seats):
            if before is None or self._since_when(seat) < before:
                seat.deliver((event,))

    def _since_when(self, seat: Seat) -> int:
        return min(
            self._since[name][seat]
            for name in seat.names
            if seat in self._since.get(name, ())
        )

    def _hearers(self, message: Message) -> Mapping[Seat, int]:
        channel, match = message.channel, message.subscription
        if not channel:
            # Unreadable, so it may have been for anybody.
            return dict.fromkeys(self.seats, 0)
        if match is None or match == channel:
            return self._since.get(WireName(channel, is_group=False), {})
        # A group, or a wildcard, which recordings show without the suffix.
        group = _with_suffix(WireName(match, is_group=True))
        wildcard = _with_suffix(WireName(match, is_group=False))
        through_group = self._since.get(group, {})
        through_wildcard = self._since.get(wildcard, {})
        if through_group and through_wildcard:
            return {**through_group, **through_wildcard}
        return through_group or through_wildcard


def _mark(message: Message) -> _Mark:
    return message.channel, message.published.t, hash(bytes(message.payload))


def _with_suffix(name: WireName) -> WireName:
    if name.text.endswith(PRESENCE_SUFFIX):
        return name
    return name._replace(text=name.text + PRESENCE_SUFFIX)
