"""Every option of the emulator: what it means, in which range, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..errors import InvalidArgumentError
from . import checks
from .access import Grant, access_table

__all__ = ["Options"]


def _keys(keys: Iterable[str] | None) -> frozenset[str] | None:
    if keys is None:
        return None
    return frozenset([keys] if isinstance(keys, str) else keys)


@attrs.frozen(kw_only=True)
class Options:
    """How the service behaves; ``PresenceEmulator`` takes the same by keyword.

    Attributes:
        publish_key: Part of signatures.
        secret_key: Verify signatures made with it; ``None``: take every request.
        subscribe_keys: The only keys that are valid; ``None``: every key is.
        access: What each token may do; ``None``: nobody needs one.
        leave_needs_read: Whether access control refuses a leave without read right,
            as recorded; the documentation says that a leave needs none.
        min_presence_timeout_s: Raise shorter presence timeouts to this; real keys
            show no minimum.
        announce_max: How many users a channel may have to tell of each change; above
            there are interval events. 20 by default, 0 to 100 on real keys.
        interval_s: Seconds between interval events; 10 as recorded.
        presence_deltas: Whether interval events list who has come and gone.
        implicit_heartbeats: Whether subscribing puts the timeout off, as documented;
            in two recordings of 2025 it does not.
        idle_poll_s: For how long a poll without news is held; clients allow 310 s, the
            real service's own time is unverified.
        here_now_cache_s: Answer the same here now from a cache for so long, as the
            real edge does for about 3 s; URLs that differ only in ``requestid``,
            ``timestamp`` and ``signature`` are the same. What the real edge compares
            is unverified; this is the harsher choice.
        heartbeat_cache_s: The same for heartbeats, as recorded (``Age: 3``), but only
            for the very same URL.
        max_requests_per_s: Answer 429 to what comes faster, all keys together;
            ``None``: no limit.
        journal_size: How many requests are kept.
    """

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
