"""What callers want of presence: each call states a wish and waits until it is true."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from ..presence.claims import Claim, Order, OrderKind, Params, Patience, State
from ..protocol.heartbeat import HeartbeatOperation
from ..protocol.user_state import SetStateOperation
from .config import PresenceConfig
from .heartbeat_loop import HeartbeatLoop
from .join_times import Moment
from .limits import check_fits
from .pipeline import RequestPipeline
from .presence_log import log_unlisted

__all__ = ["PresenceCalls"]


class PresenceCalls:
    """The calls of leases and of the client that change presence.

    Args:
        config: Time limits and the retry policy.
        pipeline: Knows what fits into a request.
        loop: Has the engine, and wakes callers.

    Attributes:
        moment: That of leases that have not joined yet.
    """

    def __init__(
        self, config: PresenceConfig, pipeline: RequestPipeline, loop: HeartbeatLoop
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self.loop: HeartbeatLoop = loop
        self.moment: Moment = Moment(self)

    async def join(self, claim: Claim, timeout_s: float | None = None) -> None:
        """Join a claim; returns after its first acknowledged heartbeat.

        Cancellation: what the service may have been told is taken back by a leave.
        """
        now_s, patience = self._patience(timeout_s)
        ticket = self.loop.engine.join(claim, patience, now_s)
        try:
            await self.loop.settled(claim.user_id, ticket)
        except BaseException:
            # Cancelled just when it was acknowledged, it would be kept for nobody.
            self.loop.engine.take_back(claim, self.loop.now_s())
            self.loop.pump()
            raise

    async def release(self, claim: Claim, *, is_end_of_block: bool = False) -> None:
        """End a claim and wait for its leave, unless it lingers.

        Args:
            claim: The claim; nothing happens if it has ended before.
            is_end_of_block: Wait for ``close_timeout_s`` at most.

        Cancellation: ends the waiting, not the leave.
        """
        self.loop.check_loop()
        limit_s = self._config.close_timeout_s if is_end_of_block else None
        now_s, patience = self._patience(limit_s)
        ticket = self.loop.engine.release(claim, patience, now_s)
        if ticket is None:
            self.loop.pump()
        else:
            await self.loop.settled(claim.user_id, ticket)

    async def narrow(self, claim: Claim, channels: tuple[str, ...]) -> None:
        """Take channels out of a claim and wait for their leave.

        Cancellation: ends the waiting, not the leave.
        """
        now_s, patience = self._patience()
        ticket = self.loop.engine.narrow(claim, channels, patience, now_s)
        await self.loop.settled(claim.user_id, ticket)

    async def leave(
        self,
        user_id: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        *,
        params: Params,
        timeout_s: float | None,
    ) -> None:
        """Take names out of every claim of a user and leave them.

        Cancellation: ends the waiting, not the leave.
        """
        now_s, patience = self._patience(timeout_s)
        names = (channels, channel_groups)
        ticket = self.loop.engine.leave(
            user_id, *names, params=params, patience=patience, now_s=now_s
        )
        await self.loop.settled(user_id, ticket)

    async def set_claim_state(
        self, claim: Claim, state: State, *, gather_s: float | None = None
    ) -> None:
        """Give a claim another state and wait until the service has it."""
        names = (*claim.channels, *claim.channel_groups)
        self.check_fits(claim.user_id, names, state=state, params=claim.params)
        now_s, patience = self._patience()
        ticket = self.loop.engine.set_claim_state(
            claim, state, patience, now_s, gather_s=gather_s
        )
        await self.loop.settled(claim.user_id, ticket)

    def say(
        self,
        operation: HeartbeatOperation | SetStateOperation,
        params: Params,
        timeout_s: float | None,
    ) -> Coroutine[Any, Any, Any]:
        """Say something once, in sequence with the user's other requests.

        Returns:
            What waits for the reply and returns it; to be awaited at once.
        """
        is_state = isinstance(operation, SetStateOperation)
        now_s, patience = self._patience(timeout_s)
        order = Order(
            kind=OrderKind.STATE if is_state else OrderKind.HEARTBEAT,
            user_id=operation.user_id,
            patience=patience,
            operation=operation,
            params=params,
        )
        ticket = self.loop.engine.say(order, now_s)
        return self.loop.settled(operation.user_id, ticket)

    def check_fits(
        self,
        user_id: str,
        names: tuple[str, ...],
        *,
        state: State | None,
        params: Params,
    ) -> None:
        """Reject what no heartbeat, and no change of state, could carry."""
        check_fits(
            self._pipeline, user_id=user_id, names=names, state=state, params=params
        )

    @property
    def keeps_users(self) -> bool:
        """Whether there is anybody to keep present, or to say something about."""
        return self.loop.engine.has_users

    def note_occupancy(self, channel: str, occupancy: int, *, shown_s: float) -> None:
        """Warn, once, if nobody is on a channel where a user is kept present.

        Args:
            channel: The channel.
            occupancy: How many are there, by here now.
            shown_s: Loop time when that was asked, less the age of the answer.
        """
        engine, now_s = self.loop.engine, self.loop.now_s()
        user_id = engine.tracking.unlisted(
            channel, occupancy, shown_s=shown_s, now_s=now_s
        )
        if user_id is not None:
            log_unlisted(user_id, channel)

    def _patience(self, timeout_s: float | None = None) -> tuple[float, Patience]:
        """Return the time now and the patience of a call that begins now."""
        now_s = self.loop.now_s()
        limit_s = self._config.call_timeout_s if timeout_s is None else timeout_s
        return now_s, Patience(now_s, now_s + limit_s, self._config.retry)
