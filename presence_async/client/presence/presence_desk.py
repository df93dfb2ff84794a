"""PresenceDesk: joins, leaves and changes of leases, and the end of all of them.

Where a user's presence begins and ends; ``HeartbeatManager`` keeps what lies between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from ...errors import ClientClosedError, InvalidArgumentError
from ...protocol import names
from ...protocol.heartbeat import HeartbeatOperation
from ...protocol.leave import LeaveOperation
from ...protocol.user_state import SetStateOperation
from ..config import PresenceConfig
from ..heartbeat_manager import HeartbeatManager
from ..lease import Lease, LeaseHealth
from ..pipeline import Budget, RequestPipeline
from ..reports import CloseReport
from ..request.gates import Gate
from ..retry import RetryPolicy
from .announcing import Announcer
from .closing import Closing
from .lanes import Lanes
from .leaves import LeaveDesk, OwedLeave
from .register import PresenceRegister
from .repeats import Repeats
from .sizes import check_fits
from .state_changes import StateChanges

__all__ = ["PresenceDesk"]

logger: logging.Logger = logging.getLogger("presence_async.client")

Names = str | Iterable[str]
Params = tuple[tuple[str, str], ...]


class PresenceDesk:
    """Everything of a client that makes, changes and ends presence."""

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        on_orphaned: Callable[[], Awaitable[object]],
        on_unseen: Callable[[float], None],
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._register = PresenceRegister()
        self._gate = Gate(
            config.max_beats_in_flight, rate_per_s=config.max_requests_per_s
        )
        attempt_s = config.attempt_timeout_s
        self.lanes: Lanes = Lanes(pipeline, attempt_s, self._acknowledged)
        self._leaves = LeaveDesk(
            pipeline,
            self.lanes,
            self._gate,
            workers=config.max_beats_in_flight,
            attempt_timeout_s=attempt_s,
            held=self._register.held,
            on_left=self._left,
        )
        self._repeats = Repeats(pipeline, self.lanes, self._gate, after_s=attempt_s)
        self.states: StateChanges = StateChanges(
            config, pipeline, self.lanes, self._register
        )
        self.heartbeats: HeartbeatManager = HeartbeatManager(
            config,
            pipeline,
            self.lanes,
            self._gate,
            self._register,
            leaving=lambda: len(self._leaves) + len(self._repeats),
            on_orphaned=on_orphaned,
            on_unseen=on_unseen,
        )
        self._announcer = Announcer(
            config,
            pipeline,
            self.lanes,
            self._gate,
            register=self._register,
            heartbeats=self.heartbeats,
            check_open=self._check_open,
        )
        self._closing = Closing(config, self._leaves)
        self._is_closing = False

    # Joining.

    async def join(
        self, lease: Lease, *, timeout_s: float, retry: RetryPolicy
    ) -> Lease:
        """Announce a lease; returns it after its first acknowledged heartbeat.

        Cancellation: what the service may have been told is taken back by a leave
        that the client sends.
        """
        if lease.state is not None and not lease.state_version:
            lease.state_version = self.states.next_version()
        presence = self._register.enter(lease)
        try:
            await self._announcer.announce(
                presence, lease, timeout_s=timeout_s, retry=retry
            )
        except BaseException:
            self._dismiss(lease)
            raise
        # The user is back, whatever was about to be left.
        self._leaves.drop(lease.user_id, lease.channels, lease.channel_groups)
        return lease

    def _dismiss(self, lease: Lease) -> None:
        """Take back a lease that did not come about."""
        if not self._register.holds(lease):
            return
        channels, groups = lease.channels, lease.channel_groups
        self._register.strike(lease)
        if lease.is_announced and not self._is_closing:
            self._owe(lease, channels, groups, self._config.close_timeout_s)

    async def heartbeat(
        self, operation: HeartbeatOperation, budget: Budget, params: Params
    ) -> None:
        """Announce a user once, without a lease."""
        await self._announcer.heartbeat(operation, budget, params)

    # Leaving.

    async def leave(self, lease: Lease) -> None:
        """Release a lease and wait for its leave, unless it lingers."""
        owed = self._release(lease, self._config.call_timeout_s)
        if owed is not None and not lease.linger_s:
            await self._wait(owed)

    async def end_block(self, lease: Lease) -> None:
        """Release a lease at the end of its block, which a failure must not fail."""
        owed = self._release(lease, self._config.close_timeout_s)
        if owed is None or lease.linger_s:
            return
        error = await self._leaves.wait(owed)
        if error is not None:
            logger.warning("%s may stay present: %s", lease.user_id, error)

    async def leave_names(
        self,
        user_id: str,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        *,
        timeout_s: float,
        params: Params,
    ) -> None:
        """Take names out of every lease of a user, then leave them."""
        presence = self._register.get(user_id)
        until_s = self._now_s() + self._config.presence_timeout_s
        if presence is not None:
            until_s = max([until_s, *(x.expires_at_s for x in presence.leases)])
        self._register.narrow(user_id, channels, channel_groups)
        owed = self._leaves.owe(
            OwedLeave(
                user_id=user_id,
                channels=channels,
                channel_groups=channel_groups,
                until_s=until_s,
                timeout_s=timeout_s,
                retry=self._config.retry,
                params=params,
                beats_rest=bool(channel_groups),
            )
        )
        await self._wait(owed)

    async def _wait(self, owed: OwedLeave) -> None:
        error = await self._leaves.wait(owed)
        if error is not None:
            raise error

    def _release(self, lease: Lease, timeout_s: float) -> OwedLeave | None:
        if not self._register.holds(lease):
            return None
        lease.turn(LeaseHealth.RELEASED, "left")
        self._register.strike(lease)
        return self._owe(
            lease,
            lease.channels,
            lease.channel_groups,
            timeout_s,
            linger_s=lease.linger_s,
        )

    def _owe(
        self,
        lease: Lease,
        channels: tuple[str, ...],
        channel_groups: tuple[str, ...],
        timeout_s: float,
        *,
        linger_s: float = 0,
    ) -> OwedLeave:
        held = self._register.held(lease.user_id)
        # A name that another lease holds may now have another timeout or state, and
        # leaving a group may leave channels of other leases unseen by us.
        beats_rest = bool(
            channel_groups
            or not held.channels.isdisjoint(channels)
            or not held.channel_groups.isdisjoint(channel_groups)
        )
        leave = OwedLeave(
            user_id=lease.user_id,
            channels=channels,
            channel_groups=channel_groups,
            until_s=self._now_s() + linger_s + lease.presence_timeout_s,
            timeout_s=timeout_s,
            retry=self._config.retry,
            params=lease.params,
            beats_rest=beats_rest,
        )
        return self._leaves.owe(leave, delay_s=linger_s)

    # Changing a lease.

    async def add_channels(self, lease: Lease, channels: Names) -> None:
        """Announce more channels and make them part of a lease."""
        self._check_held(lease)
        added, _ = names.present_places(channels, None)
        more = tuple(c for c in added if c not in lease.channels)
        if not more:
            return
        check_fits(
            self._pipeline,
            user_id=lease.user_id,
            names=more,
            state=lease.state,
            params=lease.params,
        )
        extra = lease.twin(more)
        await self.join(
            extra, timeout_s=self._config.call_timeout_s, retry=self._config.retry
        )
        self._register.strike(extra)
        if not self._register.holds(lease):
            self._owe(extra, more, (), self._config.close_timeout_s)
            self._check_held(lease)
        lease.channels += tuple(c for c in more if c not in lease.channels)
        lease.expires_at_s = min(lease.expires_at_s, extra.expires_at_s)
        if lease.state_version != extra.state_version:
            # Its state has changed meanwhile, and not on these channels.
            self.heartbeats.beat_by(lease.user_id, self._now_s())

    async def remove_channels(self, lease: Lease, channels: Names) -> None:
        """Take channels out of a lease and leave those that no other lease holds."""
        self._check_held(lease)
        removed = names.channel_names(channels)
        gone = tuple(c for c in lease.channels if c in removed)
        rest = tuple(c for c in lease.channels if c not in removed)
        if not rest and not lease.channel_groups:
            await self.leave(lease)
        elif gone:
            lease.channels = rest
            await self._wait(self._owe(lease, gone, (), self._config.call_timeout_s))

    # Closing.

    async def close(self, timeout_s: float) -> None:
        """Leave everything; returns when nothing is left to do.

        Cancellation: call ``abort`` then; ``report`` tells how far it got.
        """
        self._is_closing = True
        self.heartbeats.stop_beating()
        self._closing.begin(self._register.clear(), timeout_s)
        await self._leaves.finish()
        await self._repeats.finish()

    def abort(self) -> None:
        """Cancel whatever is under way, without waiting."""
        self._is_closing = True
        self.heartbeats.abort()
        self.states.abort()
        self._leaves.abort()
        self._repeats.abort()

    async def finish(self) -> None:
        """Wait until the tasks cancelled by ``abort`` have ended."""
        await self.states.finish()
        await self._leaves.finish()
        await self._repeats.finish()
        await self.heartbeats.finish()

    def report(self) -> CloseReport:
        """Say which presences were left and which were not."""
        return self._closing.report()

    # What lanes and leaves report.

    def _acknowledged(
        self, user_id: str, operation: object, *, is_in_doubt: bool
    ) -> None:
        if not is_in_doubt and not self._repeats:
            return
        if not isinstance(
            operation, (HeartbeatOperation, LeaveOperation, SetStateOperation)
        ):
            return
        self._repeats.supersede(user_id, operation)
        if not is_in_doubt:
            return
        presence = self._register.get(user_id)
        is_kept = presence is not None and presence.joined
        if is_kept and isinstance(operation, HeartbeatOperation):
            after_s = self._config.attempt_timeout_s
            self.heartbeats.beat_by(user_id, self._now_s() + after_s)
        else:
            self._repeats.add(user_id, operation)

    def _left(self, leave: OwedLeave) -> None:
        if leave.beats_rest:
            self.heartbeats.beat_by(leave.user_id, self._now_s())

    def _check_open(self) -> None:
        if self._is_closing:
            raise ClientClosedError("the client was closed while joining")

    def _check_held(self, lease: Lease) -> None:
        if not self._register.holds(lease):
            raise InvalidArgumentError("lease", "was released; join again")

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()
