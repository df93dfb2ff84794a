"""Presence events: the values that streams and rosters deliver.

Source: https://www.pubnub.com/docs/general/presence/presence-events (read 2026-11).

They are msgspec structs, not attrs classes like the other values: thousands arrive in a
second, and a frozen attrs object of so many fields takes more time than all the rest of
decoding an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Literal

import msgspec

from .json_codec import Json
from .occupancy import Occupant

__all__ = [
    "GapEvent",
    "IntervalEvent",
    "JoinEvent",
    "LeaveEvent",
    "PresenceEvent",
    "SnapshotEvent",
    "StateChangeEvent",
    "TimeoutEvent",
    "UnknownEvent",
    "UserEvent",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

GapReason = Literal["slow_consumer", "service_queue", "reconnect"]


class PresenceEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item of a stream of presence events.

    Attributes:
        channel: The channel; ``None`` if it concerns the whole stream.
        subscription: The channel group or wildcard through which it came; ``None``
            if the channel itself was watched.
        occupancy: The number of users on the channel afterwards; ``None`` if unknown.
        timetoken: Its publication, in units of 100 ns since 1970 UTC.
        timestamp_ms: When it happened, in milliseconds since 1970 UTC.
        synthesized: Whether a roster concluded it; the service sent the others.
    """

    _action: ClassVar[str] = ""

    channel: str | None
    subscription: str | None = None
    occupancy: int | None
    timetoken: int
    timestamp_ms: int
    synthesized: bool = False

    @property
    def action(self) -> str:
        """What happened, such as ``"join"``."""
        return self._action

    @property
    def timestamp(self) -> datetime:
        """When it happened, in UTC."""
        return _EPOCH + timedelta(milliseconds=self.timestamp_ms)

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        fields = {name: _plain(getattr(self, name)) for name in self.__struct_fields__}
        del fields["timestamp_ms"]
        return {
            "action": self.action,
            **fields,
            "timestamp": self.timestamp.isoformat(),
        }


class UserEvent(PresenceEvent, frozen=True, kw_only=True):
    """An event about one user.

    Attributes:
        user_id: The user.
        state: The user's state; ``None`` if the event does not carry it.
        state_error: Why the state could not be decoded, or ``None``.
    """

    channel: str
    occupancy: int
    user_id: str
    state: Mapping[str, Json] | None = None
    state_error: str | None = None


class JoinEvent(UserEvent, frozen=True, kw_only=True):
    """A user has become present."""

    _action: ClassVar[str] = "join"


class LeaveEvent(UserEvent, frozen=True, kw_only=True):
    """A user has left."""

    _action: ClassVar[str] = "leave"


class TimeoutEvent(UserEvent, frozen=True, kw_only=True):
    """A user has timed out, because no heartbeat came in time."""

    _action: ClassVar[str] = "timeout"


class StateChangeEvent(UserEvent, frozen=True, kw_only=True):
    """A user's state was set; ``occupancy`` may be 0, since the user may be absent."""

    _action: ClassVar[str] = "state-change"


class IntervalEvent(PresenceEvent, frozen=True, kw_only=True):
    """The occupancy of a channel with too many users for single events.

    Attributes:
        joined: Users who have joined since the last one, if the key set lists them.
        left: Users who have left.
        timed_out: Users who have timed out.
        here_now_refresh: Whether the lists were too long, so that a here now is needed.
    """

    _action: ClassVar[str] = "interval"
    channel: str
    occupancy: int
    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    timed_out: tuple[str, ...] = ()
    here_now_refresh: bool = False


class UnknownEvent(PresenceEvent, frozen=True, kw_only=True):
    """A message that is not a known event, such as an event of a newer kind.

    Attributes:
        kind: Its ``action``; ``"unknown"`` if it has none.
        raw: Its payload, or the whole message if that could not be read, as JSON text.
    """

    kind: str = "unknown"
    raw: bytes

    @property
    def action(self) -> str:
        """Its own name for what happened."""
        return self.kind


class GapEvent(PresenceEvent, frozen=True, kw_only=True):
    """Events are missing here; later ones are in order again.

    ``channel`` is ``None``: any channel of the stream may be concerned. ``timetoken``
    is that of the last dropped event, or the one after which events are missing.

    Attributes:
        reason: ``"slow_consumer"``: the buffer was full and its oldest events were
            dropped; ``"service_queue"``: the service keeps 100 messages and more
            were published meanwhile; ``"reconnect"``: the stream could not go on
            from where it was.
        dropped: The number of missing events, or ``None`` if it is unknown.
    """

    _action: ClassVar[str] = "gap"
    channel: None = None
    occupancy: None = None
    reason: GapReason
    dropped: int | None = None


class SnapshotEvent(PresenceEvent, frozen=True, kw_only=True):
    """The users on a channel: the first item of each reader of a roster.

    Attributes:
        occupants: The users on the channel, with their states if known.
    """

    _action: ClassVar[str] = "snapshot"
    channel: str
    occupancy: int
    occupants: tuple[Occupant, ...]
    synthesized: bool = True


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.decode(errors="replace")
        case tuple():
            return [x.to_dict() if isinstance(x, Occupant) else x for x in value]
        case Mapping():
            return dict(value)
        case _:
            return value
