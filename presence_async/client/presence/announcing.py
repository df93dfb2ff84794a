"""Announcing: the first heartbeat of a lease, and heartbeats without a lease."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections.abc import Callable

from ...errors import InvalidArgumentError, RequestError, ServiceError
from ...protocol.heartbeat import HeartbeatOperation
from ..config import PresenceConfig
from ..heartbeat_manager import HeartbeatManager
from ..lease import Lease
from ..pipeline import Budget, RequestPipeline
from ..request.gates import Gate
from ..retry import NoRetry, RetryPolicy, is_retryable
from ..schedule import hold_s, retry_gap_s
from .lanes import Lanes
from .register import PresenceRegister
from .user_presence import UserPresence, plan_beats

__all__ = ["Announcer"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_ALREADY_LOST = 0.0


class Announcer:
    """Tells the service of leases that nobody knows of yet.

    Args:
        config: Time limits and the key set.
        pipeline: For budgets.
        lanes: The users' lanes.
        gate: The gate of heartbeats and leaves.
        register: The leases.
        heartbeats: Keeps a lease once it is announced.
        check_open: Raises when the client is being closed.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        lanes: Lanes,
        gate: Gate,
        *,
        register: PresenceRegister,
        heartbeats: HeartbeatManager,
        check_open: Callable[[], None],
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._lanes = lanes
        self._gate = gate
        self._register = register
        self._heartbeats = heartbeats
        self._check_open = check_open
        self._random = random.Random()  # noqa: S311  # spreads load, guards nothing

    async def announce(
        self,
        presence: UserPresence,
        lease: Lease,
        *,
        timeout_s: float,
        retry: RetryPolicy,
    ) -> None:
        """Send the first heartbeat of a lease and hand it over to be kept.

        With ``math.inf`` seconds it is tried at the pace of other heartbeats for as
        long as it takes, and the user's lane is free in between.
        """
        if timeout_s < math.inf:
            budget = self._pipeline.budget(timeout_s)
            await self._announce(presence, lease, budget, retry)
            return
        budget = self._pipeline.budget(math.inf)
        while True:
            try:
                await self._announce(presence, lease, budget, NoRetry())
            except RequestError as error:
                failure = error
            else:
                return
            if not is_retryable(failure):
                raise failure
            pause_s = self._pause_s(failure)
            logger.info("%s; trying again in %.1f s", failure, pause_s)
            limit = self._pipeline.limit(budget)
            # Closing ends the pause, and then the next try.
            with contextlib.suppress(TimeoutError), limit:
                await asyncio.sleep(pause_s)

    async def heartbeat(
        self,
        operation: HeartbeatOperation,
        budget: Budget,
        params: tuple[tuple[str, str], ...],
    ) -> None:
        """Announce a user once; leases on the same names still tell the truth."""
        user_id = operation.user_id
        answer = await self._lanes.send(
            operation, user_id=user_id, budget=budget, params=params
        )
        presence = self._register.get(user_id)
        expires_at_s = answer.sent_at_s + operation.presence_timeout_s - answer.age_s
        if presence is not None and presence.shorten(operation, expires_at_s):
            # With its own timeout again, or it would run out before it is due.
            self._heartbeats.beat_by(user_id, asyncio.get_running_loop().time())

    async def _announce(
        self,
        presence: UserPresence,
        lease: Lease,
        budget: Budget,
        retry: RetryPolicy,
    ) -> None:
        was_heard = is_heard = lease.is_announced

        def note_heard(*, is_pending: bool) -> None:  # noqa: ARG001  # either way
            nonlocal is_heard
            is_heard = True

        expiries: list[float] = []
        async with self._lanes.turn(lease.user_id, budget, "join") as lane:
            self._check_open()
            lease.is_announced = True
            try:
                # The first heartbeat travels alone, so that a refusal is about this
                # lease and nothing else.
                for beat in plan_beats(presence, self._config.subscribe_key, [lease]):
                    answer = await lane.send(
                        beat.operation,
                        budget=budget,
                        gate=self._gate,
                        retry=retry,
                        params=lease.params,
                        on_unclear=note_heard,
                    )
                    is_heard = True
                    timeout_s = beat.operation.presence_timeout_s
                    expires_at_s = answer.sent_at_s + timeout_s - answer.age_s
                    expiries.append(expires_at_s)
                    presence.shorten(beat.operation, expires_at_s)
            except (RequestError, InvalidArgumentError):
                lease.is_announced = was_heard or is_heard
                raise
        self._check_open()
        # Otherwise it was left meanwhile, and is over.
        if self._register.holds(lease):
            self._heartbeats.joined(lease, presence, min(expiries))

    def _pause_s(self, failure: RequestError) -> float:
        pause_s = retry_gap_s(_ALREADY_LOST, self._random)
        if isinstance(failure, ServiceError) and failure.retry_after_s is not None:
            attempt_s = self._config.attempt_timeout_s
            asked_s = hold_s(failure.retry_after_s, _ALREADY_LOST, attempt_s)
            pause_s = max(pause_s, asked_s)
        return pause_s
