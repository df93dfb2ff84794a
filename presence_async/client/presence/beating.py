"""One visit to one user: send the heartbeats due, tell the leases how it went."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import attrs

from ...errors import (
    AccessDeniedError,
    InvalidArgumentError,
    PresenceError,
    RateLimitedError,
    RequestError,
    ServiceError,
    TransportError,
)
from ...protocol.heartbeat import HeartbeatOperation
from ..config import PresenceConfig
from ..lease import Lease, LeaseHealth
from ..pipeline import Answer, RequestPipeline
from ..request.gates import Gate
from ..retry import NoRetry, is_retryable
from .lanes import Lane, Lanes
from .user_presence import Beat, UserPresence, plan_beats

__all__ = ["Beater"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_LOG_LEVELS = {
    LeaseHealth.FRESH: logging.INFO,
    LeaseHealth.AT_RISK: logging.WARNING,
    LeaseHealth.LOST: logging.ERROR,
    LeaseHealth.REFUSED: logging.ERROR,
    LeaseHealth.RELEASED: logging.DEBUG,
}


class Visit(NamedTuple):
    """What a visit found out about the service.

    Attributes:
        is_answered: Whether it acknowledged or refused a heartbeat.
        retry_after_s: Seconds it asked to wait before the next try, or ``None``.
    """

    is_answered: bool
    retry_after_s: float | None


class Beater:
    """Sends the heartbeats of users, one user at a time each.

    Args:
        config: Time limits.
        pipeline: For budgets and the key set.
        lanes: The users' lanes.
        gate: The gate of heartbeats and leaves.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        lanes: Lanes,
        gate: Gate,
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._lanes = lanes
        self._gate = gate
        self.counts: Counter[str] = Counter()

    async def visit(self, presence: UserPresence, attempt_s: float) -> Visit:
        """Send every heartbeat of a user and settle the health of the leases.

        The first one without an answer ends the visit, since waiting for each of
        several in turn could outlast what is left to the last.

        Args:
            presence: Whom to visit.
            attempt_s: How long each heartbeat may be on the wire.
        """
        budget = self._pipeline.budget(attempt_s)
        outcome = _Outcome()
        try:
            async with self._lanes.turn(presence.user_id, budget, "heartbeat") as lane:
                beats = plan_beats(presence, self._pipeline.subscribe_key)
                beats = _in_turn(beats, presence.failures)
                for number, beat in enumerate(beats, 1):
                    if not await self._send(lane, presence, attempt_s, outcome, beat):
                        outcome.leave_out(beats[number:])
                        break
        except RequestError as error:
            outcome.fail(presence.joined, error)
        self._settle(presence, outcome)
        return Visit(outcome.is_answered, outcome.retry_after_s)

    def crashed(self, presence: UserPresence, error: Exception) -> None:
        """Count a fault of our own as a failed heartbeat of every lease."""
        outcome = _Outcome()
        outcome.fail(presence.joined, RequestError(f"{type(error).__name__} inside"))
        self._settle(presence, outcome)

    def overtaken(
        self, presence: UserPresence, now_s: float, *, at_risk: str | None = None
    ) -> float:
        """Turn leases ``LOST`` whose time is over.

        Args:
            presence: Whose.
            now_s: Loop time.
            at_risk: Why the others are at risk; ``None``: they are not.

        Returns:
            When the next of them runs out.
        """
        next_s = math.inf
        for lease in presence.joined:
            if lease.health is LeaseHealth.REFUSED:
                continue
            if lease.expires_at_s <= now_s:
                self.note(lease, LeaseHealth.LOST, "the presence timeout has passed")
                continue
            next_s = min(next_s, lease.expires_at_s)
            if at_risk is not None:
                self.note(lease, LeaseHealth.AT_RISK, at_risk)
        return next_s

    def overslept(self, presence: UserPresence, now_s: float) -> None:
        """Put leases at risk after time unseen; one log line told of all of them."""
        for lease in presence.joined:
            if lease.health is not LeaseHealth.REFUSED:
                is_over = lease.expires_at_s <= now_s
                health = LeaseHealth.LOST if is_over else LeaseHealth.AT_RISK
                lease.turn(health, "time went by unseen")

    def note(self, lease: Lease, health: LeaseHealth, reason: str) -> None:
        """Change a lease's health, with one log line for a change."""
        was_joined = lease.is_joined
        change = lease.turn(health, reason)
        if change is not None:
            level = _LOG_LEVELS[health] if was_joined else logging.DEBUG
            # As it stands now, should a handler write it later.
            logger.log(level, "%s: %s", repr(lease), reason)

    async def _send(
        self,
        lane: Lane,
        presence: UserPresence,
        attempt_s: float,
        outcome: _Outcome,
        beat: Beat,
    ) -> bool:
        """Send one heartbeat; a refused one again without what was refused.

        Returns:
            Whether everything was answered.
        """
        remaining: list[Beat] = [beat]
        while remaining:
            beat = remaining.pop()
            try:
                answer = await self._send_once(lane, beat, attempt_s)
            except (RequestError, InvalidArgumentError) as error:
                self.counts["failed"] += 1
                if isinstance(error, TransportError):
                    outcome.fail(beat.leases, error)
                    return False
                rest = self._without_refused(beat, presence, error)
                outcome.fail(_touched(beat, error, rest), error)
                remaining += rest
            else:
                outcome.succeed(beat, answer)
        return True

    async def _send_once(
        self, lane: Lane, beat: Beat, attempt_s: float
    ) -> Answer[None]:
        self.counts["sent"] += 1
        return await lane.send(
            beat.operation,
            budget=self._pipeline.budget(2 * self._config.attempt_timeout_s),
            gate=self._gate,
            retry=NoRetry(),
            attempt_timeout_s=attempt_s,
            params=beat.params,
        )

    def _without_refused(
        self, beat: Beat, presence: UserPresence, error: PresenceError
    ) -> list[Beat]:
        """Say what can still be said after a refusal, so no lease suffers another's."""
        if not _is_refusal(error):
            return []
        if isinstance(error, AccessDeniedError):
            rest = _narrowed(beat.operation, error)
            if rest is not None and rest != beat.operation:
                return [attrs.evolve(beat, operation=rest)]
        if len(beat.leases) == 1:
            return []
        key = self._pipeline.subscribe_key
        return [b for lease in beat.leases for b in plan_beats(presence, key, [lease])]

    def _settle(self, presence: UserPresence, outcome: _Outcome) -> None:
        now_s = asyncio.get_running_loop().time()
        presence.failures = presence.failures + 1 if outcome.is_pressing else 0
        for lease in presence.joined:
            expires_at_s = outcome.expiries.get(lease)
            error = outcome.failures.get(lease)
            if error is None and expires_at_s is not None:
                lease.expires_at_s = expires_at_s
                self.note(lease, LeaseHealth.FRESH, "heartbeat acknowledged")
            elif error is not None and _is_refusal(error):
                self.note(lease, LeaseHealth.REFUSED, str(error))
            elif error is not None and lease.expires_at_s > now_s:
                self.note(lease, LeaseHealth.AT_RISK, str(error))
            elif error is not None:
                self.note(lease, LeaseHealth.LOST, str(error))


class _Outcome:
    """What one visit came to, lease by lease."""

    def __init__(self) -> None:
        self.expiries: dict[Lease, float] = {}
        self.failures: dict[Lease, PresenceError] = {}
        self.retry_after_s: float | None = None
        self.is_answered = False

    @property
    def is_pressing(self) -> bool:
        """Whether something failed that may fare better soon."""
        return any(not _is_refusal(error) for error in self.failures.values())

    def succeed(self, beat: Beat, answer: Answer[None]) -> None:
        """Note an acknowledged heartbeat; the earliest expiry of a lease counts."""
        timeout_s = beat.operation.presence_timeout_s
        expires_at_s = answer.sent_at_s + timeout_s - answer.age_s
        self.is_answered = True
        for lease in beat.leases:
            self.expiries[lease] = min(
                expires_at_s, self.expiries.get(lease, expires_at_s)
            )

    def fail(self, leases: Iterable[Lease], error: PresenceError) -> None:
        """Note a failed heartbeat."""
        self.failures |= dict.fromkeys(leases, error)
        self.is_answered |= _is_refusal(error)
        if isinstance(error, ServiceError) and error.retry_after_s is not None:
            self.retry_after_s = max(self.retry_after_s or 0.0, error.retry_after_s)

    def leave_out(self, beats: Iterable[Beat]) -> None:
        """Note heartbeats not sent: what they are about stays as it was."""
        for beat in beats:
            for lease in beat.leases:
                self.expiries.pop(lease, None)


def _in_turn(beats: list[Beat], failures: int) -> list[Beat]:
    """Order beats by the nearest end; after each failure another one is the first.

    Otherwise one that is never answered would keep the rest from being sent.
    """
    if len(beats) == 1:
        return beats
    beats.sort(key=lambda beat: min(x.expires_at_s for x in beat.leases))
    first = failures % len(beats) if beats else 0
    return beats[first:] + beats[:first]


def _is_refusal(error: PresenceError) -> bool:
    """Whether it is about what was asked, and will not change by itself."""
    # Our own refusal of a request that is too long says the same as the service's.
    return isinstance(error, InvalidArgumentError) or (
        isinstance(error, ServiceError)
        and not isinstance(error, RateLimitedError)
        and not is_retryable(error)
    )


def _narrowed(
    operation: HeartbeatOperation, error: AccessDeniedError
) -> HeartbeatOperation | None:
    channels = tuple(c for c in operation.channels if c not in error.channels)
    groups = tuple(g for g in operation.channel_groups if g not in error.channel_groups)
    if not channels and not groups:
        return None
    return attrs.evolve(operation, channels=channels, channel_groups=groups)


def _touched(
    beat: Beat, error: PresenceError, rest: list[Beat]
) -> tuple[Lease, ...] | list[Lease]:
    """Return the leases a refusal is about, which are not asked about once more."""
    if isinstance(error, AccessDeniedError) and (
        error.channels or error.channel_groups
    ):
        return [lease for lease in beat.leases if _holds_refused(lease, error)]
    return () if rest else beat.leases


def _holds_refused(lease: Lease, error: AccessDeniedError) -> bool:
    return not (
        set(error.channels).isdisjoint(lease.channels)
        and set(error.channel_groups).isdisjoint(lease.channel_groups)
    )
