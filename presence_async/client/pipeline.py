"""The one way to the service: encode, deadline, attempts, decode.

Failed requests are repeated here and nowhere else. Heartbeats pass with ``NoRetry``,
since the presence engine decides when to send the next one.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from ..errors import (
    AccessDeniedError,
    ClientClosedError,
    ConnectionLostError,
    RequestError,
)
from ..protocol.exchange import Operation
from ..protocol.identity import Identity
from .aio import Admission, Deadlines, Gate, TimeLimit
from .attempt import Attempts, Exchange, OnEnd
from .call import Answer, Budget, Call, Limits, Params
from .config import PresenceConfig
from .limits import LongNames
from .observers import Observers
from .retry import RetryPolicy
from .safe_log import SafeLogger
from .stamper import Stamper
from .tokens import Tokens
from .transport import Transport

__all__ = ["Answer", "Budget", "Call", "Exchange", "RequestPipeline"]

ReplyT = TypeVar("ReplyT")

logger: SafeLogger = SafeLogger("presence_async.client")


class RequestPipeline:
    """Sends operations, each with one budget for everything it takes.

    Args:
        config: Limits and retry policy.
        identity: What every request carries.
        transport: What puts one request on the wire.
        tokens: Where tokens come from.
        observers: Told of every request that was sent.
    """

    def __init__(
        self,
        config: PresenceConfig,
        identity: Identity,
        transport: Transport,
        tokens: Tokens,
        observers: Observers,
    ) -> None:
        self._config = config
        self._observers = observers
        self._stamper = Stamper(config, identity)
        self._transport = transport
        self._tokens = tokens
        self._deadlines = Deadlines()
        self._long_names = LongNames()
        self._shares = shares = transport.shares()
        self._queries = shares.queries if shares else Gate(config.max_connections)
        self._random = random.Random()  # noqa: S311  # spreads load, guards nothing
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._now_s: Callable[[], float] = _no_loop_yet
        self._attempts = Attempts(
            self._stamper,
            transport,
            tokens,
            self._deadlines,
            self._now_s,
            observers=observers,
        )

    def open(self) -> None:
        """Belong to the running event loop, and take its clock."""
        self._loop = asyncio.get_running_loop()
        self._now_s = self._attempts.now_s = self._loop.time

    @property
    def subscribe_key(self) -> str:
        """The key set of every operation."""
        return self._config.subscribe_key

    def budget(self, timeout_s: float) -> Budget:
        """Start the clock of a call."""
        now_s = self._now_s()
        return Budget(now_s, now_s + timeout_s)

    def limit(self, budget: Budget) -> TimeLimit:
        """Return a limit for the time that a call spends on anything but sending."""
        return TimeLimit(self._deadlines, budget.deadline_s)

    @property
    def heartbeats_at_once(self) -> int:
        """How many requests that change presence may be on the wire."""
        shares, limit = self._shares, self._config.max_beats_in_flight
        return shares.heartbeats if shares else limit

    def note_sleep(self, slept_s: float) -> None:
        """Count seconds that the loop clock missed, and drop idle connections."""
        self._attempts.slept_s += slept_s
        self._transport.drop_idle()

    def forget_user(self, user_id: str) -> None:
        """Release the token of a user for whom there is nothing left to do."""
        if self._tokens.are_used and user_id != self._config.user_id:
            self._tokens.forget(user_id)

    def close(self) -> None:
        """End what is on its way with ``ClientClosedError``; send nothing more."""
        self._is_closed = self._attempts.is_closed = True
        self._deadlines.end_all()

    async def send(self, call: Call[ReplyT]) -> Answer[ReplyT]:
        """Make a call until it is answered, refused, or out of time.

        Raises:
            InvalidArgumentError: The request would be larger than 32 KiB.
            RequestError: Operation, attempts, time and cause are filled in.
            ClientClosedError: The client was not started, was closed meanwhile, or
                belongs to another event loop.

        Cancellation: ends at once; the service may act on an attempt under way.
        """
        self._check_loop()
        waiter = asyncio.get_running_loop().create_future()
        exchange = self.begin(call, functools.partial(_hand_over, waiter), call.gate)
        if exchange is None:
            return await self.go_on(call)
        try:
            end: Answer[ReplyT] | Exception = await waiter
        except BaseException:
            exchange.cancel()
            raise
        return end if isinstance(end, Answer) else await self.go_on(call, end)

    def call(
        self,
        operation: Operation[ReplyT],
        *,
        budget: Limits,
        retry: RetryPolicy | None = None,
        gate: Admission | None = None,
        attempt_timeout_s: float | None = None,
        params: Params = (),
        repeats_stale: bool = True,
        is_background: bool = False,
    ) -> Call[ReplyT]:
        """Return a call that has not begun.

        Args:
            operation: What to ask.
            budget: Covers connecting, all attempts, waits and the body.
            retry: The policy for further attempts; ``None``: the config's.
            gate: The gate to pass; ``None``: the one that queries share. Each attempt
                fetches its token, if need be, before it enters.
            attempt_timeout_s: The limit of each attempt; ``None``: the config's.
            params: Query parameters beside the config's.
            repeats_stale: Whether to repeat a request at once, whatever ``retry`` says,
                if it was lost with a connection that had served another one.
            is_background: Whether the client makes it by itself, so that it belongs to
                no caller's trace.

        Raises:
            ClientClosedError: The client is closed.
        """
        self._check_open(operation.name)
        user_id = operation.acting_user_id or self._config.user_id
        call = Call(
            operation,
            user_id=user_id,
            budget=budget,
            retry=retry or self._config.retry,
            gate=gate or self._queries,
            attempt_timeout_s=attempt_timeout_s or self._config.attempt_timeout_s,
            params=params,
            repeats_stale=repeats_stale,
        )
        self._long_names.note(call.request, user_id)
        if self._observers.on_request is not None and not is_background:
            call.context = contextvars.copy_context()
        return call

    def begin(
        self, call: Call[Any], on_end: OnEnd, gate: Admission | None = None
    ) -> Exchange | None:
        """Make the first attempt without a task; ``None``: only ``go_on`` can.

        Args:
            call: The call.
            on_end: Called once, with the answer or what the attempt ran into; then
                ``go_on`` takes it from there.
            gate: The gate to pass; ``None``: none.
        """
        return self._attempts.begin(call, gate, on_end)

    async def go_on(
        self, call: Call[ReplyT], failed: Exception | None = None
    ) -> Answer[ReplyT]:
        """Make a call's attempts until one is answered, refused, or out of time.

        Args:
            call: The call.
            failed: What the attempt ran into that ``begin`` made.

        Raises, cancellation: as ``send``.
        """
        while True:
            try:
                if failed is None:
                    return await self._attempts.make(call)
                raise failed
            except RequestError as error:
                failure = call.noted(error, self._now_s(), self._config.secret_key)
            failed = None
            self._check_open(call.operation.name)
            delay_s = self._delay_s(failure, call)
            if delay_s is None:
                raise failure
            extra = {
                "user": call.user_id,
                "operation": call.operation.name,
                "attempt": call.attempts,
            }
            logger.info("%s; trying again in %.2f s", failure, delay_s, extra=extra)
            await self._pause(delay_s)
            self._check_open(call.operation.name)

    async def _pause(self, delay_s: float) -> None:
        """Wait before the next attempt, but no longer than the client is open."""
        with suppress(TimeoutError), TimeLimit(self._deadlines, math.inf):
            await asyncio.sleep(delay_s)

    def _check_loop(self) -> None:
        """Refuse another event loop, whose tasks would wait for this one for ever."""
        if self._loop is None:
            _no_loop_yet()
        if asyncio.get_running_loop() is not self._loop:
            raise ClientClosedError(
                "the client belongs to another event loop; make one for each loop"
            )

    def _check_open(self, name: str) -> None:
        if self._is_closed:
            raise ClientClosedError(f"closed while {name} was under way")

    def has_token(self, user_id: str) -> bool:
        """Return True if a request of the user need not wait for a token."""
        tokens = self._tokens
        return not tokens.are_used or tokens.at_hand(user_id) is not None

    def event_gate(self, limit: int) -> Gate:
        """Return a gate for polls or handshakes; on a limited session all share one."""
        return self._shares.events if self._shares else Gate(limit)

    def check(self, operation: Operation[Any], params: Params = ()) -> None:
        """Refuse an operation that no request can carry, without sending it.

        Raises:
            InvalidArgumentError: The request would be larger than 32 KiB.
        """
        user_id = operation.acting_user_id or self._config.user_id
        self._stamper.check(operation, user_id, self._tokens.at_hand(user_id), params)

    def _delay_s(self, failure: RequestError, call: Call[ReplyT]) -> float | None:
        """Return the wait before the next attempt, or None if there is to be none."""
        is_refused = isinstance(failure, AccessDeniedError) and failure.is_about_service
        if is_refused and not call.has_new_token:
            call.has_new_token = True
            return 0 if self._tokens.refuse(call.user_id, call.token) else None
        is_stale = isinstance(failure, ConnectionLostError) and failure.was_reused
        if is_stale and not call.has_new_connection:
            call.has_new_connection = True
            # What cut this one has cut the others that lay idle, too.
            self._transport.drop_idle()
            return 0
        return call.retry_delay_s(failure, self._now_s(), self._random)


def _hand_over(
    waiter: asyncio.Future[Answer[Any] | Exception], end: Answer[Any] | Exception
) -> None:
    # The task that waits may have been cancelled and not run since.
    if not waiter.done():
        waiter.set_result(end)


def _no_loop_yet() -> NoReturn:
    raise ClientClosedError(
        "the client has not been started; use 'async with', or await start()"
    )
