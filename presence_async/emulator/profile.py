"""EmulatorProfile: the options by which two keysets of PubNub differ.

Source: https://www.pubnub.com/docs/presence/overview, ``presence-events`` beside it and
https://www.pubnub.com/docs/bizops-workspace/presence-management (read 2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, TypedDict

import attrs

from ..checks import flag, known_fields, name_tuple, number, validator, whole_number
from ..errors import InvalidArgumentError

__all__ = ["EmulatorProfile", "ProfileOptions"]

_flag = validator(flag)
_seconds = validator(number, least=0)
_positive = validator(number, above=0)
_count = validator(whole_number, least=0)
# Many shorter ones would fill the time of a jump or of a loop that is late.
_interval = validator(number, least=0.1)


def _patterns(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if names is None else name_tuple(names, "tracked_channels")


class ProfileOptions(TypedDict, total=False):
    """The fields of ``EmulatorProfile`` as keyword arguments, each optional."""

    presence: bool
    tracked_channels: Iterable[str] | None
    implicit_heartbeats: bool
    announce_max: int
    interval_s: float
    presence_deltas: bool
    leave_on_disconnect: bool
    debounce_s: float
    min_presence_timeout_s: float
    max_presence_timeout_s: float | None
    global_here_now: bool
    stream_filtering: bool
    access_manager: bool
    leave_needs_read: bool
    here_now_cache_s: float
    heartbeat_cache_s: float


@attrs.frozen(kw_only=True)
class EmulatorProfile:
    """What differs between two keysets of PubNub; the defaults are the emulator's.

    Attributes:
        presence: Whether the keyset has Presence. Without it, presence requests are
            refused with 402 "not turned on", as an SDK's tests show, and subscribing
            makes nobody present; messages are delivered.
        tracked_channels: The channels on which presence is tracked, as names and
            patterns that end in ``*``, such as ``a.*``, which covers any depth
            (unverified); ``None``: every channel; ``()``: none, as a new keyset has it.
            Elsewhere requests are acknowledged and nobody is present, as documented for
            "selected channels only"; state is neither kept nor announced there
            (unverified).
        implicit_heartbeats: Whether subscribing extends the presence: a legacy setting,
            documented as off on new keysets, and off in two recordings of 2025.
        announce_max: The largest occupancy at which each change is an event of its
            own; above there are interval events. 0 to 100 on real keysets.
        interval_s: Seconds between interval events, 0.1 at least; 10 as recorded.
        presence_deltas: Whether interval events list the users who came and went.
        leave_on_disconnect: Whether the end of a connection (FIN or RST) leaves the
            channels of the users whose last subscribe came over it. Documented as an
            option; whom it leaves, and that heartbeats do not count, is unverified.
        debounce_s: Seconds for which a leave is held back: until then the user is still
            present, and a join undoes it, so that neither is seen. 2 s on new keysets,
            as documented; unverified in traffic, also that here now shows it alike and
            that timeouts are not held back.
        min_presence_timeout_s: Raise shorter presence timeouts to this; real keysets
            show no minimum.
        max_presence_timeout_s: Lower longer ones to this; ``None``: no maximum.
        global_here_now: Whether a here now that names no channel is answered; off on
            new keysets, as documented. The refusal, 402, is from SDK tests.
        stream_filtering: Whether ``filter-expr`` of a subscribe is honoured, for
            messages as documented and for presence events (unverified); if not, it is
            refused by name (unverified).
        access_manager: Whether every request needs a token, even if none was granted.
        leave_needs_read: Whether access control refuses a leave without read right,
            as recorded; the documentation says that a leave needs none.
        here_now_cache_s: Seconds for which the same here now is answered from a cache,
            as the real edge does for about 3 s; URLs that differ only in ``requestid``,
            ``timestamp`` and ``signature`` are the same. What the real edge compares
            is unverified; this is the harsher choice.
        heartbeat_cache_s: The same for heartbeats, as recorded (``Age: 3``), but only
            for the very same URL.

    Raises:
        InvalidArgumentError: A field is out of its range.
    """

    presence: bool = attrs.field(default=True, validator=_flag)
    tracked_channels: tuple[str, ...] | None = attrs.field(
        default=None, converter=_patterns
    )
    implicit_heartbeats: bool = attrs.field(default=False, validator=_flag)
    announce_max: int = attrs.field(default=20, validator=_count)
    interval_s: float = attrs.field(default=10, validator=_interval)
    presence_deltas: bool = attrs.field(default=False, validator=_flag)
    leave_on_disconnect: bool = attrs.field(default=False, validator=_flag)
    debounce_s: float = attrs.field(default=0, validator=_seconds)
    min_presence_timeout_s: float = attrs.field(default=0, validator=_seconds)
    max_presence_timeout_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_positive)
    )
    global_here_now: bool = attrs.field(default=True, validator=_flag)
    stream_filtering: bool = attrs.field(default=True, validator=_flag)
    access_manager: bool = attrs.field(default=False, validator=_flag)
    leave_needs_read: bool = attrs.field(default=True, validator=_flag)
    here_now_cache_s: float = attrs.field(default=0, validator=_seconds)
    heartbeat_cache_s: float = attrs.field(default=0, validator=_seconds)

    def __attrs_post_init__(self) -> None:
        """Reject a maximum below the minimum."""
        most_s = self.max_presence_timeout_s
        if most_s is not None and most_s < self.min_presence_timeout_s:
            raise InvalidArgumentError(
                "max_presence_timeout_s", "must not be below min_presence_timeout_s"
            )

    def tracks(self, channel: str) -> bool:
        """Return True if presence is tracked on a channel."""
        if self.tracked_channels is None:
            return self.presence
        return self.presence and any(
            channel.startswith(pattern[:-1])
            if pattern[-1:] == "*"
            else channel == pattern
            for pattern in self.tracked_channels
        )

    def granted_s(self, timeout_s: float) -> float:
        """Return the presence timeout that a client gets if it asks for this one."""
        most_s = self.max_presence_timeout_s
        raised_s = max(timeout_s, self.min_presence_timeout_s)
        return raised_s if most_s is None else min(raised_s, most_s)

    # As JSON.

    def to_dict(self) -> dict[str, Any]:
        """Return every field by its name, ready for JSON."""
        fields = attrs.asdict(self)
        if self.tracked_channels is not None:
            fields["tracked_channels"] = list(self.tracked_channels)
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the profile that JSON describes; fields not given have defaults.

        Raises:
            InvalidArgumentError: A field is unknown or out of its range.
        """
        if not isinstance(fields, Mapping):
            raise InvalidArgumentError("profile", "must be a JSON object")
        known_fields(fields, cls, "profile")
        return cls(**fields)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a profile from a JSON file.

        Raises:
            OSError: The file cannot be read.
            InvalidArgumentError: It is not a JSON object, or a field is unknown or out
                of its range.
        """
        try:
            fields = json.loads(Path(path).read_bytes())
        except (ValueError, RecursionError):
            raise InvalidArgumentError("profile", f"{path} is not JSON") from None
        return cls.from_dict(fields)

    def save(self, path: str | Path) -> None:
        """Write the profile to a JSON file.

        Raises:
            OSError: The file cannot be written.
        """
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        Path(path).write_text(text, encoding="utf-8")
