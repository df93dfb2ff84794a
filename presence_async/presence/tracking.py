"""Tracking: whether the service lists users whose heartbeats it acknowledges. Pure.

A key set may track selected channels only. On any other channel heartbeats are
acknowledged all the same, and here now answers as if nobody were there. So a channel on
which nobody is listed, though a user of this client has been announced there for long,
is probably not tracked.

Source: https://www.pubnub.com/docs/general/presence/overview (read 2026-11) has
"selected channels only" as the mode of new key sets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Final, NamedTuple

from .dispatch import Dispatcher
from .records import Told
from .user import UserTable

__all__ = ["Tracking"]

_PATIENCE_S: Final = 10.0
"""Seconds from a heartbeat to an answer that must show it.

The service documents a cache of 3 s and a debounce of 2 s; the rest is for replicas
that lag and for heartbeats that take long.
"""

_MOST_CHANNELS: Final = 1000
_MOST_USERS: Final = 10_000
"""So many of each are looked at: the remedy is the same for all."""


class _Missed(NamedTuple):
    """An answer to here now that did not show a user who had been told of lately.

    Attributes:
        shown_s: When it was asked, less its age.
        failed: How many heartbeats had failed by then.
        told: What was told of the channel, the same for as long as the user is held.
    """

    shown_s: float
    failed: int
    told: Told


class Tracking:
    """Compares answers to here now with whom the client keeps present.

    A channel is looked at until somebody is listed there, or until it was found to be
    empty for long. Users are looked through at most every ten seconds, and only if an
    answer is about a channel without a verdict.

    Args:
        users: All users, by ID.
        dispatch: Counts failed heartbeats.
    """

    def __init__(self, users: Mapping[str, UserTable], dispatch: Dispatcher) -> None:
        self._users = users
        self._dispatch = dispatch
        # Channels with a verdict.
        self._settled: set[str] = set()
        # A user for each channel that fresh claims hold, as of the last look.
        self._holders: dict[str, str] = {}
        self._looked_s = -math.inf
        # When a channel was first seen empty, for users whose heartbeats are frequent.
        self._missed: dict[str, _Missed] = {}

    def unlisted(
        self, channel: str, occupancy: int, *, shown_s: float, now_s: float
    ) -> str | None:
        """Return a user who should be listed on a channel where nobody is; once.

        Args:
            channel: The channel.
            occupancy: How many are there, by here now.
            shown_s: Loop time when that was asked, less the age of the answer.
            now_s: Loop time.
        """
        if channel in self._settled or len(self._settled) >= _MOST_CHANNELS:
            return None
        user_id = self._holder(channel, now_s)
        if user_id is None:
            return None
        if not occupancy and not self._is_overdue(user_id, channel, shown_s, now_s):
            return None
        self._settled.add(channel)
        self._missed.pop(channel, None)
        return None if occupancy else user_id

    def _holder(self, channel: str, now_s: float) -> str | None:
        # A claim that is newer than the last look is not overdue before the next one.
        if now_s - self._looked_s >= _PATIENCE_S:
            self._looked_s = now_s
            self._holders = self._look()
            missed = self._missed.items()
            self._missed = {c: x for c, x in missed if c in self._holders}
        return self._holders.get(channel)

    def _look(self) -> dict[str, str]:
        """Return who holds each channel, of the users who have been here longest."""
        holders: dict[str, str] = {}
        for user in islice(self._users.values(), _MOST_USERS):
            if user.is_calm:
                for claim in user.claims:
                    for channel in claim.channels:
                        holders.setdefault(channel, user.user_id)
        return holders

    def _is_overdue(
        self, user_id: str, channel: str, shown_s: float, now_s: float
    ) -> bool:
        told = self._told(user_id, channel, now_s)
        if told is None:
            return False
        told_s = told.until_s - told.timeout_s
        if told_s > shown_s:
            return False
        if told_s <= shown_s - _PATIENCE_S:
            return True
        # Perhaps it has just joined, perhaps its heartbeats are less than that apart.
        failed = self._dispatch.heartbeats_failed
        before = self._missed.get(channel)
        if before is None or before.failed != failed or before.told is not told:
            self._missed[channel] = _Missed(shown_s, failed, told)
            return False
        return before.shown_s <= shown_s - _PATIENCE_S

    def _told(self, user_id: str, channel: str, now_s: float) -> Told | None:
        """Return what was told of a channel with the last acknowledged heartbeat.

        ``None`` unless a fresh claim holds the channel and nothing is under way.
        """
        user = self._users.get(user_id)
        if user is None or not user.is_calm or user.orders or user.out is not None:
            return None
        told = user.told.get(channel)
        if told is None or told.until_s <= now_s:
            return None
        return told
