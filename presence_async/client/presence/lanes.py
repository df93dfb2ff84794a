"""One lane per user: heartbeat, leave and set state of a user never overtake.

The service applies requests in the order they reach it, and a request whose reply was
given up may still be applied later. So the next request of a user waits for the reply
of the one before, and what was acknowledged while an earlier request was in doubt is
repeated once, after the time an attempt may take.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

from ...protocol.exchange import Operation
from ..pipeline import Answer, Budget, RequestPipeline, Unclear
from ..request.gates import Gate
from ..retry import NoRetry, RetryPolicy

__all__ = ["Lane", "Lanes"]

ReplyT = TypeVar("ReplyT")

_MOST_DOUBTS = 3


class Acknowledged(Protocol):
    """Hears of each request that changed a user's presence."""

    def __call__(self, user_id: str, operation: object, *, is_in_doubt: bool) -> None:
        """Note an acknowledged operation.

        Args:
            user_id: Whose lane it was.
            operation: What was acknowledged.
            is_in_doubt: Whether an earlier, other request of that user may still be
                applied after it.
        """
        ...


class Lane:
    """The turn of one user; send only while holding it."""

    __slots__ = ("_doubts", "_lanes", "turn", "user_id", "visitors")

    def __init__(self, lanes: Lanes, user_id: str) -> None:
        self._lanes = lanes
        self._doubts: list[tuple[object, float]] = []
        self.user_id: str = user_id
        self.turn: Gate = Gate(1)
        self.visitors: int = 0

    async def send(
        self,
        operation: Operation[ReplyT],
        *,
        budget: Budget,
        gate: Gate | None = None,
        retry: RetryPolicy | None = None,
        attempt_timeout_s: float | None = None,
        params: tuple[tuple[str, str], ...] = (),
        on_unclear: Unclear | None = None,
    ) -> Answer[ReplyT]:
        """Send an operation that changes this user's presence.

        An answer out of a cache acknowledges nothing and is asked for once more.
        """
        note = functools.partial(self._note_unclear, operation, on_unclear)
        send = self._lanes.pipeline.send
        answer = await send(
            operation,
            budget=budget,
            gate=gate,
            retry=retry,
            attempt_timeout_s=attempt_timeout_s,
            params=params,
            on_unclear=note,
        )
        if answer.age_s > 0:
            answer = await send(
                operation,
                budget=budget,
                gate=gate,
                retry=retry,
                attempt_timeout_s=attempt_timeout_s,
                params=params,
                on_unclear=note,
            )
        self._lanes.on_acknowledged(
            self.user_id,
            operation,
            is_in_doubt=bool(self._doubts) and self._may_be_undone(operation),
        )
        return answer

    async def send_repeated(
        self, operation: Operation[Any], *, budget: Budget, gate: Gate
    ) -> None:
        """Send what was acknowledged before once more; doubts nothing and one try."""
        await self._lanes.pipeline.send(
            operation, budget=budget, retry=NoRetry(), gate=gate
        )

    @property
    def is_in_doubt(self) -> bool:
        """Whether a request given up may still be applied."""
        if not self._doubts:
            return False
        now_s = asyncio.get_running_loop().time()
        return any(until_s > now_s for _, until_s in self._doubts)

    def _note_unclear(
        self, operation: object, on_unclear: Unclear | None, *, is_pending: bool
    ) -> None:
        if is_pending:
            now_s = asyncio.get_running_loop().time()
            until_s = now_s + self._lanes.attempt_timeout_s
            self._doubts = [d for d in self._doubts if d[1] > now_s][-_MOST_DOUBTS:]
            self._doubts.append((operation, until_s))
        if on_unclear is not None:
            on_unclear(is_pending=is_pending)

    def _may_be_undone(self, operation: object) -> bool:
        now_s = asyncio.get_running_loop().time()
        return any(
            until_s > now_s and abandoned != operation
            for abandoned, until_s in self._doubts
        )


class Lanes:
    """The lanes of all users; one exists only while it is used or in doubt.

    Args:
        pipeline: Sends.
        attempt_timeout_s: How long a request given up may still be applied.
        on_acknowledged: Hears of each acknowledged request.
    """

    def __init__(
        self,
        pipeline: RequestPipeline,
        attempt_timeout_s: float,
        on_acknowledged: Acknowledged,
    ) -> None:
        self.pipeline = pipeline
        self.attempt_timeout_s = attempt_timeout_s
        self.on_acknowledged = on_acknowledged
        self._lanes: dict[str, Lane] = {}
        self._empty_in_doubt: deque[Lane] = deque()

    async def send(
        self,
        operation: Operation[ReplyT],
        *,
        user_id: str,
        budget: Budget,
        params: tuple[tuple[str, str], ...] = (),
    ) -> Answer[ReplyT]:
        """Wait for the turn of a user and send one operation.

        Raises:
            DeadlineError: The budget was over before the turn came.
        """
        lane = self._visit(user_id)
        try:
            if not lane.turn.try_enter():
                await self._wait(lane, budget, operation.name)
            try:
                return await lane.send(operation, budget=budget, params=params)
            finally:
                lane.turn.leave()
        finally:
            self._part(lane)

    @contextlib.asynccontextmanager
    async def turn(
        self, user_id: str, budget: Budget, name: str
    ) -> AsyncIterator[Lane]:
        """Hold the turn of a user: ``async with lanes.turn(…) as lane``.

        Raises:
            DeadlineError: The budget was over before the turn came.
        """
        lane = self._visit(user_id)
        try:
            if not lane.turn.try_enter():
                await self._wait(lane, budget, name)
            try:
                yield lane
            finally:
                lane.turn.leave()
        finally:
            self._part(lane)

    async def _wait(self, lane: Lane, budget: Budget, name: str) -> None:
        limit = self.pipeline.limit(budget)
        try:
            with limit:
                await lane.turn.enter()
        except TimeoutError:
            if not limit.is_up:
                raise
        else:
            return
        raise self.pipeline.out_of_turn(name, budget)

    def _visit(self, user_id: str) -> Lane:
        if self._empty_in_doubt:
            self._clear_up()
        lane = self._lanes.get(user_id)
        if lane is None:
            lane = self._lanes[user_id] = Lane(self, user_id)
        lane.visitors += 1
        return lane

    def _part(self, lane: Lane) -> None:
        lane.visitors -= 1
        if lane.visitors:
            return
        if lane.is_in_doubt:
            self._empty_in_doubt.append(lane)
        else:
            self._lanes.pop(lane.user_id, None)

    def _clear_up(self) -> None:
        waiting = self._empty_in_doubt
        while waiting and (waiting[0].visitors or not waiting[0].is_in_doubt):
            lane = waiting.popleft()
            if not lane.visitors and self._lanes.get(lane.user_id) is lane:
                del self._lanes[lane.user_id]
