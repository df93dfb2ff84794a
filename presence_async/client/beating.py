"""One visit to one user: send the heartbeats due, tell the leases how it went."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter

import attrs

from ..errors import (
    AccessDeniedError,
    PresenceError,
    RateLimitedError,
    RequestError,
    ServiceError,
)
from ..protocol.heartbeat import HeartbeatOperation
from .config import PresenceConfig
from .gates import Gate
from .lanes import Lane, Lanes
from .lease import Lease, LeaseHealth
from .pipeline import Answer, RequestPipeline
from .retry import NoRetry, is_retryable
from .schedule import attempt_limit_s
from .user_presence import Beat, UserPresence, plan_beats

__all__ = ["Beater"]

logger = logging.getLogger("presence_async.client")

_LOG_LEVELS = {
    LeaseHealth.FRESH: logging.INFO,
    LeaseHealth.AT_RISK: logging.WARNING,
    LeaseHealth.LOST: logging.ERROR,
    LeaseHealth.REFUSED: logging.ERROR,
    LeaseHealth.RELEASED: logging.DEBUG,
}


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

    async def visit(self, presence: UserPresence) -> float | None:
        """Send every heartbeat of a user and settle the health of the leases.

        Returns:
            Seconds the service asked to wait before the next try, or ``None``.
        """
        budget = self._pipeline.budget(self._attempt_s(presence))
        outcome = _Outcome()
        try:
            async with self._lanes.turn(presence.user_id, budget, "heartbeat") as lane:
                for beat in plan_beats(presence, self._pipeline.subscribe_key):
                    await self._send(lane, beat, presence, outcome)
        except RequestError as error:
            outcome.fail(presence.joined, error)
        self._settle(presence, outcome)
        return outcome.retry_after_s

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

    def _attempt_s(self, presence: UserPresence) -> float:
        full_s = self._config.attempt_timeout_s
        if not presence.failures:
            return full_s
        now_s = asyncio.get_running_loop().time()
        return attempt_limit_s(presence.expires_at_s - now_s, full_s)

    async def _send(
        self, lane: Lane, beat: Beat, presence: UserPresence, outcome: _Outcome
    ) -> None:
        """Send one heartbeat; a refused one again without what was refused."""
        remaining: list[Beat] = [beat]
        while remaining:
            beat = remaining.pop()
            try:
                answer = await self._send_once(lane, beat, presence)
            except RequestError as error:
                self.counts["failed"] += 1
                outcome.fail(_touched(beat, error), error)
                remaining += self._without_refused(beat, presence, error)
            else:
                outcome.succeed(beat, answer)

    async def _send_once(
        self, lane: Lane, beat: Beat, presence: UserPresence
    ) -> Answer[None]:
        self.counts["sent"] += 1
        attempt_s = self._attempt_s(presence)
        return await lane.send(
            beat.operation,
            budget=self._pipeline.budget(2 * self._config.attempt_timeout_s),
            gate=self._gate,
            retry=NoRetry(),
            attempt_timeout_s=attempt_s,
            params=beat.params,
        )

    def _without_refused(
        self, beat: Beat, presence: UserPresence, error: RequestError
    ) -> list[Beat]:
        """Say what can still be said after a refusal, so no lease suffers another's."""
        if not isinstance(error, ServiceError) or is_retryable(error):
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

    @property
    def is_pressing(self) -> bool:
        """Whether something failed that may fare better soon."""
        return any(not _is_refusal(error) for error in self.failures.values())

    def succeed(self, beat: Beat, answer: Answer[None]) -> None:
        """Note an acknowledged heartbeat; the earliest expiry of a lease counts."""
        timeout_s = beat.operation.presence_timeout_s
        expires_at_s = answer.sent_at_s + timeout_s - answer.age_s
        for lease in beat.leases:
            self.expiries[lease] = min(
                expires_at_s, self.expiries.get(lease, expires_at_s)
            )
            refusal = self.failures.get(lease)
            if refusal is not None and not _holds_refused(lease, refusal):
                del self.failures[lease]

    def fail(self, leases: list[Lease], error: RequestError) -> None:
        """Note a failed heartbeat."""
        for lease in leases:
            self.failures[lease] = error
        if isinstance(error, ServiceError) and error.retry_after_s is not None:
            self.retry_after_s = max(self.retry_after_s or 0.0, error.retry_after_s)


def _is_refusal(error: PresenceError) -> bool:
    return (
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


def _touched(beat: Beat, error: RequestError) -> list[Lease]:
    """Return the leases a failure is about: those that hold a refused name."""
    if isinstance(error, AccessDeniedError) and (
        error.channels or error.channel_groups
    ):
        return [lease for lease in beat.leases if _holds_refused(lease, error)]
    return list(beat.leases)


def _holds_refused(lease: Lease, error: PresenceError) -> bool:
    if not isinstance(error, AccessDeniedError):
        return False
    return not (
        set(error.channels).isdisjoint(lease.channels)
        and set(error.channel_groups).isdisjoint(lease.channel_groups)
    )
