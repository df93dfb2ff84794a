"""Whose heartbeat goes out next, and when: schedule, outage and ``Retry-After``.

Starts nothing and reads no clock; ``HeartbeatManager`` does what is planned here.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from typing import Protocol

from ..config import PresenceConfig
from ..schedule import (
    Schedule,
    attempt_limit_s,
    hold_s,
    next_beat_s,
    phase,
    retry_gap_s,
)
from .outage import Outage
from .register import PresenceRegister
from .user_presence import UserPresence

__all__ = ["BeatPlan"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_REST = 1 / 16

_SLOT_S = 0.01
"""Users with places so close are beaten together, at one wake-up of the loop."""


class Overtaken(Protocol):
    """Turns leases ``LOST`` whose time is over; returns when the next one's is."""

    def __call__(
        self, presence: UserPresence, now_s: float, *, at_risk: str | None = None
    ) -> float:
        """Do it; ``at_risk`` says why the others are at risk, ``None``: not."""
        ...


class BeatPlan:
    """The order of all heartbeats of a client.

    Args:
        config: Intervals and bounds.
        register: The leases.
        overtaken: Called where a presence runs out while it has to wait.
        on_sooner: Called when something is due before all that was due so far.
    """

    def __init__(
        self,
        config: PresenceConfig,
        register: PresenceRegister,
        *,
        overtaken: Overtaken,
        on_sooner: Callable[[], None],
    ) -> None:
        self._config = config
        self._register = register
        self._overtaken = overtaken
        self._on_sooner = on_sooner
        self._schedule: Schedule[UserPresence] = Schedule()
        self._outage = Outage()
        self._random = random.Random()  # noqa: S311  # spreads load, guards nothing
        self._places = 0
        self._held_until_s = 0.0
        self._prober: UserPresence | None = None

    # When.

    def put(self, presence: UserPresence, due_s: float) -> None:
        """Make a user due at a loop time."""
        is_sooner = due_s < self._schedule.next_due_s()
        self._schedule.put(presence, due_s)
        if is_sooner:
            self._on_sooner()

    def hasten(self, presence: UserPresence, due_s: float) -> None:
        """Make a user due no later than at a loop time, whatever failed before."""
        presence.not_before_s = 0.0
        self.put(presence, min(due_s, presence.due_s))

    def place(
        self, presence: UserPresence, now_s: float, *, rest: float = 0.0
    ) -> float:
        """Give a user a place in the interval; returns the loop time of its next one.

        Every place is another, so that users who came together do not beat together
        for ever.

        Args:
            presence: Who.
            now_s: Loop time.
            rest: The share of the interval that it waits in any case.
        """
        self._places += 1
        share = rest + (1 - rest) * (1 - phase(self._places))
        place_s = now_s + self.interval_s(presence) * share
        presence.place_s = max(now_s, place_s // _SLOT_S * _SLOT_S)
        return presence.place_s

    def interval_s(self, presence: UserPresence) -> float:
        """Return the seconds between two heartbeats of a user."""
        return min(
            (self._config.interval_s(x.presence_timeout_s) for x in presence.joined),
            default=math.inf,
        )

    def next_due_s(self) -> float:
        """Return when the next heartbeat is due, ``math.inf`` when none is."""
        return self._schedule.next_due_s()

    def next_look_s(self, in_flight: int) -> float:
        """Return when ``take`` has to be asked again."""
        due_s = self._schedule.next_due_s()
        if self._outage.is_down:
            return due_s if self._is_probing else min(due_s, self._probe_s())
        return due_s if in_flight < self._config.max_beats_in_flight else math.inf

    def waits_for_ends(self, in_flight: int) -> bool:
        """Whether somebody may have to wait until a heartbeat under way has ended."""
        return self._outage.is_down or in_flight >= self._config.max_beats_in_flight

    # Who.

    def take(self, now_s: float, in_flight: int) -> tuple[UserPresence, float] | None:
        """Return whom to beat now and since when that is due, if anybody."""
        if self._outage.is_down:
            self._hold_due(now_s)
            return None if self._is_probing else self._probe(now_s)
        if in_flight >= self._config.max_beats_in_flight:
            return None
        while True:
            due_s = self._schedule.next_due_s()
            presence = self._schedule.pop_due(now_s)
            if presence is None:
                return None
            if presence.joined and not self._has_to_wait(presence, now_s):
                return presence, due_s

    def attempt_s(self, presence: UserPresence, now_s: float) -> float:
        """Return how long a heartbeat of a user may be on the wire."""
        full_s = self._config.attempt_timeout_s
        if not presence.failures and not self._outage.is_down:
            return full_s
        limit_s = attempt_limit_s(presence.end_s(now_s) - now_s, full_s)
        if not self._outage.is_down:
            return limit_s
        # One user's probe must not take the time that is left to others.
        return min(limit_s, attempt_limit_s(self._hurry_s(now_s), full_s))

    def succeeded(self, presence: UserPresence, now_s: float) -> float:
        """Return when a user is due again after a heartbeat that came through."""
        interval_s = self.interval_s(presence)
        if interval_s == math.inf:
            return math.inf
        next_s = next_beat_s(presence.place_s, interval_s, now_s)
        if next_s - now_s < _REST * interval_s:
            return self.place(presence, now_s, rest=_REST)
        presence.place_s = next_s
        return next_s

    def failed(
        self,
        presence: UserPresence,
        now_s: float,
        *,
        is_answered: bool,
        retry_after_s: float | None,
    ) -> float:
        """Return when a user is due again after a heartbeat that failed.

        Args:
            presence: Whose.
            now_s: Loop time.
            is_answered: Whether another heartbeat of that user came through.
            retry_after_s: What the service asked for.
        """
        end_s = presence.end_s(now_s)
        if not is_answered and self._outage.failed(presence.user_id):
            self._go_down(now_s)
        hurry_s = self._hurry_s(now_s) if self._outage.is_down else end_s - now_s
        gap_s = retry_gap_s(hurry_s, self._random)
        self._outage.probe_at_s = now_s + gap_s
        if retry_after_s is not None:
            self._hold_back(retry_after_s, now_s)
            attempt_s = self._config.attempt_timeout_s
            gap_s = max(gap_s, hold_s(retry_after_s, end_s - now_s, attempt_s))
        presence.not_before_s = now_s + gap_s
        if self._outage.is_down:
            return self._held(presence, now_s)
        # At its end at the latest, so that it is told when it is over.
        return min(presence.not_before_s, end_s) if end_s > now_s else now_s + gap_s

    def restored(self) -> bool:
        """Note that the service answers; true when an outage is over by it."""
        was_down = self._outage.end()
        if was_down:
            self._held_until_s = 0.0
        return was_down

    def start_over(self) -> None:
        """Forget outages and what the service asked for, after time unseen."""
        self._outage.end()
        self._held_until_s = 0.0

    # While the service asks to wait, or cannot be reached.

    def _has_to_wait(self, presence: UserPresence, now_s: float) -> bool:
        """Put a user back who is due but has to wait."""
        until_s = presence.not_before_s if presence.failures else self._held_until_s
        wait_s = until_s - now_s
        if wait_s <= 0:
            return False
        if not presence.failures:
            remaining_s = presence.end_s(now_s) - now_s
            if hold_s(wait_s, remaining_s, self._config.attempt_timeout_s) < wait_s:
                return False
        self._schedule.put(presence, min(until_s, self._overtaken(presence, now_s)))
        return True

    def _hurry_s(self, now_s: float) -> float:
        """Return the time left to whoever is nearest the end and can be saved.

        Who has less than a quarter of an attempt left does not count: of very many
        users there is always one.
        """
        attempt_s = self._config.attempt_timeout_s
        return self._outage.nearest_end_s(now_s + attempt_s / 4) - now_s

    def _hold_back(self, retry_after_s: float, now_s: float) -> None:
        """Hold everybody back; those who cannot wait are sorted out when due."""
        attempt_s = self._config.attempt_timeout_s
        room_s = 0.0
        if self._outage.is_down:
            room_s = self._outage.nearest_end_s(now_s + attempt_s) - now_s
        self._held_until_s = now_s + hold_s(retry_after_s, room_s, attempt_s)

    def _go_down(self, now_s: float) -> None:
        users = [user for user in self._register if user.joined]
        self._outage.begin(users, now_s)
        self._hold_back(self._held_until_s - now_s, now_s)
        logger.warning(
            "the service cannot be reached: one of %d users at a time tries", len(users)
        )

    def _hold_due(self, now_s: float) -> None:
        """Keep back what is due; looked at again when its presence runs out."""
        while (presence := self._schedule.pop_due(now_s)) is not None:
            if presence.joined:
                self._schedule.put(presence, self._held(presence, now_s))

    def _held(self, presence: UserPresence, now_s: float) -> float:
        presence.is_held = True
        reason = "the service cannot be reached"
        return self._overtaken(presence, now_s, at_risk=reason)

    @property
    def _is_probing(self) -> bool:
        """Whether a probe is under way; what went out before is none."""
        return self._prober is not None and self._prober.is_beating

    def _probe_s(self) -> float:
        return max(self._outage.probe_at_s, self._held_until_s)

    def _probe(self, now_s: float) -> tuple[UserPresence, float] | None:
        if self._probe_s() > now_s:
            return None
        presence = self._prober = self._outage.next_probe(now_s)
        if presence is not None:
            self._schedule.put(presence, math.inf)
            return presence, now_s
        if self._outage.is_forsaken:
            self._outage.end()
        else:
            self._outage.probe_at_s = now_s + retry_gap_s(0.0, self._random)
        return None
