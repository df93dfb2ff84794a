"""Changes of state: kept by the leases first, then told to the service.

Only the set-state operation tells observers; the heartbeats that follow carry the same
state, so that it is back after a timeout.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping

import attrs

from ...errors import ClientClosedError, InvalidArgumentError, PresenceError
from ...protocol.json_codec import Json
from ...protocol.user_state import SetStateOperation
from ..config import PresenceConfig
from ..lease import Lease
from ..pipeline import Budget, RequestPipeline
from ...protocol.splitting import split
from ..task_owner import TaskOwner
from .lanes import Lanes
from .register import PresenceRegister
from .sizes import check_fits

__all__ = ["StateChanges"]

_BURST_S = 0.05


@attrs.define(eq=False)
class _Burst:
    """Patches of one lease that go out together."""

    is_done: asyncio.Event = attrs.field(factory=asyncio.Event)
    error: PresenceError | None = None


class StateChanges:
    """Sets states, one request at a time for each user.

    Args:
        config: Time limits.
        pipeline: For budgets and the key set.
        lanes: The users' lanes.
        register: Where leases are looked up.
    """

    def __init__(
        self,
        config: PresenceConfig,
        pipeline: RequestPipeline,
        lanes: Lanes,
        register: PresenceRegister,
    ) -> None:
        self._config = config
        self._pipeline = pipeline
        self._lanes = lanes
        self._register = register
        self._version = 0
        self._bursts: dict[Lease, _Burst] = {}
        self._tasks = TaskOwner()

    def next_version(self) -> int:
        """Return a number that is higher for each later state."""
        self._version += 1
        return self._version

    async def send(
        self,
        operation: SetStateOperation,
        budget: Budget,
        params: tuple[tuple[str, str], ...] = (),
    ) -> Mapping[str, Json]:
        """Set a state; leases that hold the names keep it."""
        presence = self._register.get(operation.user_id)
        if presence is not None:
            presence.note_state(
                (*operation.channels, *operation.channel_groups),
                operation.state,
                self.next_version(),
            )
        return await self._send(operation, budget, params)

    async def set_for(self, lease: Lease, state: Mapping[str, Json]) -> None:
        """Replace the state of a lease."""
        self._check(lease, state)
        lease.keep_state(state, self.next_version())
        await self._tell(lease)

    async def patch_for(self, lease: Lease, state: Mapping[str, Json]) -> None:
        """Replace the state of a lease, together with what follows within 50 ms."""
        self._check(lease, state)
        lease.keep_state(state, self.next_version())
        burst = self._bursts.get(lease)
        if burst is None:
            burst = self._bursts[lease] = _Burst()
            self._tasks.start(self._send_burst(lease, burst), name="presence state")
        await burst.is_done.wait()
        if burst.error is not None:
            raise copy.copy(burst.error)

    def abort(self) -> None:
        """Cancel what is under way, without waiting."""
        self._tasks.abort()

    async def finish(self) -> None:
        """Wait until what was cancelled has ended."""
        await self._tasks.finish()

    async def _send_burst(self, lease: Lease, burst: _Burst) -> None:
        burst.error = ClientClosedError("closed before the state was acknowledged")
        try:
            await asyncio.sleep(_BURST_S)
            del self._bursts[lease]
            await self._tell(lease)
            burst.error = None
        except PresenceError as error:
            burst.error = error
        finally:
            self._bursts.pop(lease, None)
            burst.is_done.set()

    async def _tell(self, lease: Lease) -> None:
        """Say the state as it is when the user's turn comes."""
        user_id = lease.user_id
        budget = self._pipeline.budget(self._config.call_timeout_s)
        async with self._lanes.turn(user_id, budget, "set state") as lane:
            self._check_held(lease)
            operation = SetStateOperation(
                subscribe_key=self._config.subscribe_key,
                user_id=user_id,
                channels=lease.channels,
                channel_groups=lease.channel_groups,
                state=lease.state or {},
                acting_user_id=user_id,
            )
            for part in split(operation):
                await lane.send(part, budget=budget, params=lease.params)

    async def _send(
        self,
        operation: SetStateOperation,
        budget: Budget,
        params: tuple[tuple[str, str], ...],
    ) -> Mapping[str, Json]:
        answers = [
            await self._lanes.send(
                part, user_id=operation.user_id, budget=budget, params=params
            )
            for part in split(operation)
        ]
        return operation.merged([answer.value for answer in answers])

    def _check(self, lease: Lease, state: Mapping[str, Json]) -> None:
        """Refuse what the lease could not keep, before it keeps it."""
        self._check_held(lease)
        check_fits(
            self._pipeline,
            user_id=lease.user_id,
            names=(*lease.channels, *lease.channel_groups),
            state=state,
            params=lease.params,
        )

    def _check_held(self, lease: Lease) -> None:
        if not self._register.holds(lease):
            raise InvalidArgumentError("lease", "was released; join again")
