"""Situation: what somebody knows about the users and watchers of their service."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from ..checks import (
    Field,
    checked_presence_timeout_s,
    either,
    number,
    positive_count,
    positive_finite,
    validator,
    whole_number,
)
from ..errors import InvalidArgumentError
from ..presence.pace import default_interval_s

__all__ = ["RELOAD_S", "Situation", "View"]

View: TypeAlias = Literal["roster", "count", "stream"]
"""How an observer watches: ``client.roster``, ``live_count`` or ``events``."""

RELOAD_S = 3.0
"""Seconds that a page takes to reload; a leave that lingers longer hides it."""

_HOUR_S = 3600.0
_LARGEST_ANNOUNCE_MAX = 100

_count = validator(whole_number, least=0)
_share = validator(number, least=0, most=1)
_hours = validator(number, above=0, most=24)
_once_or_more = validator(number, least=1)
_not_negative = validator(number, least=0)
_presence_timeout = validator(checked_presence_timeout_s)


def _view(_: object, field: Field, value: object) -> None:
    if value not in {"roster", "count", "stream"}:
        raise InvalidArgumentError(field.name, "must be roster, count or stream")


@attrs.frozen(kw_only=True)
class Situation:
    """How many users are online, for how long, and who watches them.

    Users come at random times of their part of the day and are spread evenly over the
    rooms. Each is kept present by one process, or by several that share a register.

    Attributes:
        users: How many come on a day; the same ones every day.
        hours: How long each is online on a day, in all its sessions together.
        sessions: How often each comes on a day, 1 or more.
        day_hours: The hours of the day within which users come and go; 24 if they come
            from all over the world.
        channels: On how many channels each user is present.
        rooms: How many channels there are in all; by default those of one user.
        presence_timeout_s: That of the config.
        heartbeat_interval_s: That of the config; ``None``: timeout / 2 - 1.
        state_changes: How often a user's state is set, in an hour online.
        crashes: The share of sessions that end without a leave, by a timeout.
        reloads: How often a user's page is reloaded, on a day; each takes ``RELOAD_S``.
        linger_s: That of ``join``: seconds for which a leave is held back.
        observers: How many clients watch; each has one poll for all it watches.
        view: How they watch.
        watched: How many rooms each of them watches.
        observer_hours: How long each watches on a day, while users come first.
        announce_max: Of the key set: up to how many users on a channel changes are
            announced one by one; 0 to 100.
        interval_s: Of the key set: seconds between the interval events of larger
            channels; 10 to 30 as documented.
        presence_deltas: Of the key set: whether interval events list users.
        idle_poll_s: Seconds after which the service ends a poll without events. That of
            PubNub is unverified.

    Raises:
        InvalidArgumentError: A value is out of range, or two contradict each other.
    """

    users: int = attrs.field(default=1000, validator=positive_count)
    hours: float = attrs.field(default=8, validator=_hours)
    sessions: float = attrs.field(default=1, validator=_once_or_more)
    day_hours: float = attrs.field(default=24, validator=_hours)
    channels: int = attrs.field(default=1, validator=positive_count)
    rooms: int = attrs.field(
        default=attrs.Factory(lambda self: self.channels, takes_self=True),
        validator=positive_count,
    )
    presence_timeout_s: int = attrs.field(default=300, validator=_presence_timeout)
    heartbeat_interval_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(positive_finite)
    )
    state_changes: float = attrs.field(default=0, validator=_not_negative)
    crashes: float = attrs.field(default=0, validator=_share)
    reloads: float = attrs.field(default=0, validator=_not_negative)
    linger_s: float = attrs.field(default=0, validator=_not_negative)
    observers: int = attrs.field(default=0, validator=_count)
    view: View = attrs.field(default="roster", validator=_view)
    watched: int = attrs.field(default=1, validator=positive_count)
    observer_hours: float = attrs.field(default=24, validator=_hours)
    announce_max: int = attrs.field(
        default=20,
        validator=validator(whole_number, least=0, most=_LARGEST_ANNOUNCE_MAX),
    )
    interval_s: float = attrs.field(default=10, validator=positive_finite)
    presence_deltas: bool = attrs.field(default=False, validator=either)
    idle_poll_s: float = attrs.field(default=280, validator=positive_finite)

    def __attrs_post_init__(self) -> None:
        """Check the rules that involve more than one field."""
        if self.hours > self.day_hours:
            raise InvalidArgumentError("hours", "must not be above day_hours")
        for name in ("channels", "watched"):
            if getattr(self, name) > self.rooms:
                raise InvalidArgumentError(name, "must not be above rooms")
        if self.beat_s >= self.presence_timeout_s:
            raise InvalidArgumentError(
                "heartbeat_interval_s", "must be below presence_timeout_s"
            )

    def to_dict(self) -> dict[str, object]:
        """Return every field by its name, ready for JSON."""
        return attrs.asdict(self)

    @property
    def beat_s(self) -> float:
        """Seconds between two heartbeats of a user."""
        if self.heartbeat_interval_s is not None:
            return self.heartbeat_interval_s
        return default_interval_s(self.presence_timeout_s)

    @property
    def window_s(self) -> float:
        """Seconds of a day in which users come and go."""
        return self.day_hours * _HOUR_S

    @property
    def session_s(self) -> float:
        """Seconds of a session."""
        return self.hours * _HOUR_S / self.sessions

    @property
    def hides_reloads(self) -> bool:
        """Whether a reload is over before the leave is sent."""
        return self.linger_s >= RELOAD_S

    @property
    def present_s(self) -> float:
        """Seconds for which a session is seen, on average.

        A leave may linger. After a crash the timeout runs from the last heartbeat, half
        an interval before.
        """
        after_crash_s = self.presence_timeout_s - self.beat_s / 2
        lasting_s = self.linger_s * (1 - self.crashes) + after_crash_s * self.crashes
        return min(self.session_s + lasting_s, self.window_s / self.sessions)
