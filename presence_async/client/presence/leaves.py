"""Leaves that are owed: sent by the client whatever became of who asked for them.

A cancelled ``join``, the end of a block and ``close`` all hand their leave over here.
It goes out in the user's lane, without the names that are held again by then, and is
tried until it is acknowledged, refused, or the service has timed the user out anyway.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import attrs

from ...errors import (
    ClientClosedError,
    PresenceError,
    ReplyFormatError,
    RequestError,
)
from ...protocol.leave import LeaveOperation
from ..pipeline import Budget, RequestPipeline
from ..request.gates import Gate
from ...protocol.splitting import split
from ..retry import NoRetry, RetryPolicy, is_retryable
from ..task_owner import TaskOwner
from .lanes import Lanes

__all__ = ["HeldNames", "LeaveDesk", "OwedLeave"]

logger: logging.Logger = logging.getLogger("presence_async.client")

_RETRY_PACE_S = 5.0


@attrs.frozen(kw_only=True)
class HeldNames:
    """The channels and channel groups that leases of one user hold."""

    channels: frozenset[str] = frozenset()
    channel_groups: frozenset[str] = frozenset()


@attrs.define(eq=False, kw_only=True)
class OwedLeave:
    """One leave on its way.

    Attributes:
        user_id: Who leaves.
        channels: The channels to leave.
        channel_groups: The channel groups to leave.
        until_s: Loop time when the service will have timed the user out.
        timeout_s: For the first round of attempts; later rounds have their own.
        retry: For the first round.
        params: Sent beside the config's query parameters.
        beats_rest: Whether the user's other leases have to be beaten afterwards.
        error: What the last round ran into.
        is_last: Whether this round is the last one, since the client closes.
        has_listener: Whether somebody waits for it and tells of its failure.
    """

    user_id: str
    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    until_s: float
    timeout_s: float
    retry: RetryPolicy
    params: tuple[tuple[str, str], ...] = ()
    beats_rest: bool = False
    error: PresenceError | None = None
    is_last: bool = False
    has_listener: bool = False
    first_round: asyncio.Event = attrs.field(factory=asyncio.Event, repr=False)
    timer: asyncio.TimerHandle | None = attrs.field(default=None, repr=False)


class LeaveDesk:
    """Sends owed leaves, a bounded number at once.

    Args:
        pipeline: For budgets.
        lanes: The users' lanes.
        gate: The gate of heartbeats and leaves.
        workers: How many leaves are under way at once.
        attempt_timeout_s: The budget of each later round.
        held: Tells what a user's leases hold now.
        on_left: Called after each leave that is over.
    """

    def __init__(
        self,
        pipeline: RequestPipeline,
        lanes: Lanes,
        gate: Gate,
        *,
        workers: int,
        attempt_timeout_s: float,
        held: Callable[[str], HeldNames],
        on_left: Callable[[OwedLeave], None],
    ) -> None:
        self._pipeline = pipeline
        self._lanes = lanes
        self._gate = gate
        self._max_workers = workers
        self._attempt_timeout_s = attempt_timeout_s
        self._held = held
        self._on_left = on_left
        self._owed: dict[str, list[OwedLeave]] = {}
        self._ready: deque[tuple[OwedLeave, Budget]] = deque()
        self._workers = TaskOwner()
        self._close_by_s = math.inf

    def __len__(self) -> int:
        return sum(map(len, self._owed.values()))

    def __iter__(self) -> Iterator[OwedLeave]:
        return iter([leave for owed in self._owed.values() for leave in owed])

    def owe(self, leave: OwedLeave, *, delay_s: float = 0) -> OwedLeave:
        """Take a leave over; it goes out ``delay_s`` from now."""
        self._owed.setdefault(leave.user_id, []).append(leave)
        if delay_s > 0:
            self._later(leave, delay_s)
        else:
            self._hand_out(leave)
        return leave

    async def wait(self, leave: OwedLeave) -> PresenceError | None:
        """Wait for the first round of a leave; returns what it ran into.

        After a failure the leave is still owed, unless it was refused.

        Cancellation: ends the waiting, not the leave.
        """
        leave.has_listener = True
        await leave.first_round.wait()
        return leave.error

    def drop(
        self, user_id: str, channels: Iterable[str], channel_groups: Iterable[str]
    ) -> None:
        """Take names to which a user is back out of the leaves that wait."""
        gone_channels, gone_groups = set(channels), set(channel_groups)
        for leave in list(self._owed.get(user_id, ())):
            if leave.timer is None:
                continue
            leave.channels = tuple(c for c in leave.channels if c not in gone_channels)
            leave.channel_groups = tuple(
                g for g in leave.channel_groups if g not in gone_groups
            )
            if not leave.channels and not leave.channel_groups:
                leave.timer.cancel()
                self._end(leave)

    def hasten(self, timeout_s: float) -> None:
        """Give every leave its last round, with so many seconds left.

        What is under way gets it if it fails.
        """
        self._close_by_s = asyncio.get_running_loop().time() + timeout_s
        for leave in self:
            if leave.timer is not None:
                leave.timer.cancel()
                self._hand_out_last(leave)

    async def finish(self) -> None:
        """Wait until nothing is under way; what failed stays owed."""
        await self._workers.finish()

    def abort(self) -> None:
        """Send nothing more; whoever waits is told that the client is closed."""
        self._ready.clear()
        self._workers.abort()
        for leave in self:
            if leave.timer is not None:
                leave.timer.cancel()
            if not leave.first_round.is_set():
                leave.error = leave.error or ClientClosedError(
                    "closed before the leave was acknowledged"
                )
                leave.first_round.set()
        self._owed.clear()

    def _later(self, leave: OwedLeave, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        leave.timer = loop.call_later(delay_s, self._hand_out, leave)

    def _hand_out_last(self, leave: OwedLeave) -> None:
        leave.is_last = True
        leave.timeout_s = self._close_by_s - asyncio.get_running_loop().time()
        self._hand_out(leave)

    def _hand_out(self, leave: OwedLeave) -> None:
        leave.timer = None
        self._ready.append((leave, self._pipeline.budget(leave.timeout_s)))
        if len(self._workers) < self._max_workers:
            self._add_worker()

    def _add_worker(self) -> None:
        self._workers.start(self._work(), name="presence leave")

    async def _work(self) -> None:
        while self._ready:
            leave, budget = self._ready.popleft()
            try:
                await self._deliver(leave, budget)
            except PresenceError as error:
                self._failed(leave, error)
            except asyncio.CancelledError:
                # Unless by abort, it is the last cancel of asyncio.run, after which
                # the client still closes: it waits for another worker.
                if leave in self._owed.get(leave.user_id, ()):
                    self._ready.appendleft((leave, budget))
                    self._add_worker()
                raise
            except Exception as error:
                # Whoever waits must be told of a fault of our own, too.
                logger.critical("a leave crashed", exc_info=error)
                crash = f"{type(error).__name__} inside"
                self._failed(leave, RequestError(crash, operation="leave"))
            else:
                leave.error = None
                self._settle(leave)

    async def _deliver(self, leave: OwedLeave, budget: Budget) -> None:
        async with self._lanes.turn(leave.user_id, budget, "leave") as lane:
            operation = self._operation(leave)
            if operation is None:
                return
            for part in split(operation):
                await lane.send(
                    part,
                    budget=budget,
                    retry=leave.retry,
                    gate=self._gate,
                    params=leave.params,
                )

    def _operation(self, leave: OwedLeave) -> LeaveOperation | None:
        """Say what is left to leave: not what a lease holds again by now."""
        held = self._held(leave.user_id)
        channels = tuple(c for c in leave.channels if c not in held.channels)
        groups = tuple(g for g in leave.channel_groups if g not in held.channel_groups)
        if not channels and not groups:
            return None
        return LeaveOperation(
            subscribe_key=self._pipeline.subscribe_key,
            user_id=leave.user_id,
            channels=channels,
            channel_groups=groups,
        )

    def _failed(self, leave: OwedLeave, error: PresenceError) -> None:
        now_s = asyncio.get_running_loop().time()
        leave.error = error
        leave.first_round.set()
        is_hopeless = now_s + _RETRY_PACE_S >= leave.until_s
        if not _is_worth_retrying(error) or is_hopeless:
            level = logging.INFO if leave.has_listener else logging.WARNING
            logger.log(level, "%s will time out instead: %s", leave.user_id, error)
            self._settle(leave)
            return
        if now_s < self._close_by_s < math.inf and not leave.is_last:
            self._hand_out_last(leave)
            return
        leave.timeout_s = self._attempt_timeout_s
        leave.retry = NoRetry()
        self._later(leave, _RETRY_PACE_S)

    def _settle(self, leave: OwedLeave) -> None:
        self._end(leave)
        self._on_left(leave)

    def _end(self, leave: OwedLeave) -> None:
        owed = self._owed.get(leave.user_id, [])
        if leave in owed:
            owed.remove(leave)
        if not owed:
            self._owed.pop(leave.user_id, None)
        leave.first_round.set()


def _is_worth_retrying(error: PresenceError) -> bool:
    # An answer nobody knows may be a captive portal's.
    return isinstance(error, ReplyFormatError) or (
        isinstance(error, RequestError) and is_retryable(error)
    )
