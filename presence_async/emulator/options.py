"""Every option of the emulator, and its range. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..errors import InvalidArgumentError
from . import checks
from .access import Grant, access_table

__all__ = ["Options"]


def _keys(keys: Iterable[str] | None) -> frozenset[str] | None:
    return None if keys is None else frozenset(checks.names("subscribe_keys", keys))


@attrs.frozen(kw_only=True)
class Options:
    """How the service behaves; ``PresenceEmulator`` says what each option means."""

    publish_key: str = "demo"
    secret_key: str | None = attrs.field(default=None, repr=False)
    subscribe_keys: frozenset[str] | None = attrs.field(default=None, converter=_keys)
    access: Mapping[str, tuple[Grant, ...]] | None = attrs.field(
        default=None, converter=access_table, repr=False
    )
    leave_needs_read: bool = True
    min_presence_timeout_s: float = 0
    announce_max: int = 20
    interval_s: float = 10
    presence_deltas: bool = False
    implicit_heartbeats: bool = True
    idle_poll_s: float = 280
    here_now_cache_s: float = 0
    heartbeat_cache_s: float = 0
    max_requests_per_s: float | None = None
    journal_size: int = 100_000

    def __attrs_post_init__(self) -> None:
        """Refuse what is out of range, and a secret that would verify nothing."""
        if self.secret_key is not None and not self.secret_key:
            raise InvalidArgumentError("secret_key", "must not be empty; write None")
        checks.seconds("min_presence_timeout_s", self.min_presence_timeout_s)
        checks.seconds("here_now_cache_s", self.here_now_cache_s)
        checks.seconds("heartbeat_cache_s", self.heartbeat_cache_s)
        checks.positive("max_requests_per_s", self.max_requests_per_s)
        checks.whole("journal_size", self.journal_size, 0)
        checks.flag("leave_needs_read", self.leave_needs_read)
        checks.whole("announce_max", self.announce_max, 0)
        checks.positive("interval_s", self.interval_s)
        checks.flag("presence_deltas", self.presence_deltas)
        checks.flag("implicit_heartbeats", self.implicit_heartbeats)
        checks.positive("idle_poll_s", self.idle_poll_s)
