"""Second sendings: what was acknowledged while an earlier request was in doubt.

A request given up without a reply may reach the service after a later one and undo
it. So the later one is sent once more, after the time an attempt may take; without the
names that still later requests were about.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TypeAlias

import attrs

from ...errors import RequestError
from ...protocol.heartbeat import HeartbeatOperation
from ...protocol.leave import LeaveOperation
from ...protocol.user_state import SetStateOperation
from ..pipeline import RequestPipeline
from ..request.gates import Gate
from ..task_owner import TaskOwner
from .lanes import Lanes

__all__ = ["Repeats"]

logger: logging.Logger = logging.getLogger("presence_async.client")

Repeatable: TypeAlias = HeartbeatOperation | LeaveOperation | SetStateOperation


@attrs.define(eq=False)
class _Repeat:
    operation: Repeatable | None


class Repeats:
    """Sends operations a second time, each in its user's lane.

    Args:
        pipeline: For budgets.
        lanes: The users' lanes.
        gate: The gate of heartbeats and leaves.
        after_s: How long after its acknowledgement an operation is repeated.
    """

    def __init__(
        self, pipeline: RequestPipeline, lanes: Lanes, gate: Gate, *, after_s: float
    ) -> None:
        self._pipeline = pipeline
        self._lanes = lanes
        self._gate = gate
        self._after_s = after_s
        self._pending: dict[str, list[_Repeat]] = {}
        self._tasks = TaskOwner()

    def __len__(self) -> int:
        return len(self._tasks)

    def add(self, user_id: str, operation: Repeatable) -> None:
        """Send an operation again after a while."""
        repeat = _Repeat(operation)
        self._pending.setdefault(user_id, []).append(repeat)
        self._tasks.start(self._send(user_id, repeat), name="presence repeat")

    def supersede(self, user_id: str, newer: Repeatable) -> None:
        """Take out of what is pending what a newer operation is about."""
        for repeat in self._pending.get(user_id, ()):
            if repeat.operation is not None:
                repeat.operation = _still_valid(repeat.operation, newer)

    async def finish(self) -> None:
        """Wait until everything pending has been sent."""
        await self._tasks.finish()

    def abort(self) -> None:
        """Send nothing more."""
        self._tasks.abort()

    async def _send(self, user_id: str, repeat: _Repeat) -> None:
        try:
            await asyncio.sleep(self._after_s)
            await self._send_again(user_id, repeat)
        except RequestError as error:
            logger.info("repeating for %s: %s", user_id, error)
        finally:
            self._drop(user_id, repeat)

    async def _send_again(self, user_id: str, repeat: _Repeat) -> None:
        budget = self._pipeline.budget(2 * self._after_s)
        async with self._lanes.turn(user_id, budget, "repeat") as lane:
            if repeat.operation is not None:
                await lane.send_repeated(
                    repeat.operation, budget=budget, gate=self._gate
                )

    def _drop(self, user_id: str, repeat: _Repeat) -> None:
        pending = self._pending[user_id]
        pending.remove(repeat)
        if not pending:
            del self._pending[user_id]


def _still_valid(old: Repeatable, newer: Repeatable) -> Repeatable | None:
    """Return what of an older operation still holds after a newer one."""
    if isinstance(newer, SetStateOperation) and isinstance(old, HeartbeatOperation):
        return attrs.evolve(old, state=None)
    if isinstance(newer, SetStateOperation) and isinstance(old, LeaveOperation):
        return old
    if isinstance(newer, HeartbeatOperation) and isinstance(old, SetStateOperation):
        return None if newer.state else old
    channels = tuple(c for c in old.channels if c not in newer.channels)
    groups = tuple(g for g in old.channel_groups if g not in newer.channel_groups)
    if not channels and not groups:
        return None
    return attrs.evolve(old, channels=channels, channel_groups=groups)
