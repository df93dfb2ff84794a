"""The one way to the service: encode, deadline, attempts, decode.

Failed requests are repeated here and nowhere else. Heartbeats pass with ``NoRetry``,
since the presence engine decides when to send the next one.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
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
from .auth import AuthToken
from .call import Answer, Budget, Call, Params, Stamper, Unclear
from .config import PresenceConfig
from .limits import LongNames
from .retry import RetryPolicy
from .safe_log import SafeLogger
from .tokens import Tokens
from .transport import Transport

__all__ = ["Answer", "Budget", "RequestPipeline", "Unclear"]

ReplyT = TypeVar("ReplyT")
WaitedT = TypeVar("WaitedT")

logger: SafeLogger = SafeLogger("presence_async.client")


class RequestPipeline:
    """Sends operations, each with one budget for everything it takes.

    Args:
        config: Limits and retry policy.
        identity: What every request carries.
        transport: What puts one request on the wire.
        tokens: Where tokens come from.
    """

    def __init__(
        self,
        config: PresenceConfig,
        identity: Identity,
        transport: Transport,
        tokens: Tokens,
    ) -> None:
        self._config = config
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
        self._slept_s = 0.0

    def open(self) -> None:
        """Belong to the running event loop, and take its clock."""
        self._loop = asyncio.get_running_loop()
        self._now_s = self._loop.time

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
        self._slept_s += slept_s
        self._transport.drop_idle()

    def forget_user(self, user_id: str) -> None:
        """Release the token of a user for whom there is nothing left to do."""
        if user_id != self._config.user_id:
            self._tokens.forget(user_id)

    def close(self) -> None:
        """End what is on its way with ``ClientClosedError``; send nothing more."""
        self._is_closed = True
        self._deadlines.end_all()

    async def send(
        self,
        operation: Operation[ReplyT],
        *,
        budget: Budget,
        retry: RetryPolicy | None = None,
        gate: Admission | None = None,
        attempt_timeout_s: float | None = None,
        params: Params = (),
        on_unclear: Unclear | None = None,
        repeats_stale: bool = True,
    ) -> Answer[ReplyT]:
        """Send an operation until it is answered, refused, or out of time.

        Args:
            operation: What to ask.
            budget: Covers connecting, all attempts, waits and the body.
            retry: The policy for further attempts; ``None``: the config's.
            gate: The gate to pass; ``None``: the one that queries share. Each attempt
                fetches its token, if need be, before it enters.
            attempt_timeout_s: The limit of each attempt; ``None``: the config's.
            params: Query parameters beside the config's.
            on_unclear: Called for each attempt that the service may have acted on
                without saying so.
            repeats_stale: Whether to repeat a request at once, whatever ``retry`` says,
                if it was lost with a connection that had served another one.

        Raises:
            InvalidArgumentError: The request would be larger than 32 KiB.
            RequestError: Operation, attempts, time and cause are filled in.
            ClientClosedError: The client was not started, was closed meanwhile, or
                belongs to another event loop.

        Cancellation: ends at once; the service may act on an attempt under way.
        """
        self._check_loop()
        self._check_open(operation.name)
        request = operation.to_request()
        user_id = operation.acting_user_id or self._config.user_id
        self._long_names.note(request, user_id)
        call = Call(
            operation=operation,
            request=request,
            stamped=request,
            user_id=user_id,
            budget=budget,
            gate=gate or self._queries,
            attempt_timeout_s=attempt_timeout_s or self._config.attempt_timeout_s,
            params=params,
            on_unclear=on_unclear,
            has_new_connection=not repeats_stale,
        )
        policy = retry or self._config.retry
        while True:
            try:
                return await self._attempt(call)
            except RequestError as error:
                failure = call.noted(error, self._now_s(), self._config.secret_key)
            self._check_open(operation.name)
            delay_s = self._delay_s(failure, call, policy)
            if delay_s is None:
                raise failure
            logger.info("%s; trying again in %.2f s", failure, delay_s)
            await self._pause(delay_s)
            self._check_open(operation.name)

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

    async def _attempt(self, call: Call[ReplyT]) -> Answer[ReplyT]:
        """Get a token, pass the gate, send once and read the answer, all in time.

        Every query and every heartbeat comes through here, so steps that each of them
        takes are written out instead of called.
        """
        gate, tokens = call.gate, self._tokens
        if tokens.are_used:
            # Before the gate: a token provider that hangs holds no place on the wire.
            token = tokens.at_hand(call.user_id)
            call.token = token if token is not None else await self._fetched(call)
        if not gate.try_enter():
            await self._in_time(call, gate.enter(), "to be sent")
            if tokens.are_used:
                # The token may have been replaced during the wait.
                call.token = tokens.at_hand(call.user_id) or call.token
        try:
            request = self._stamper.stamped(call)
            sent_at_s, slept_s = self._now_s(), self._slept_s
            due_s = min(sent_at_s + call.attempt_timeout_s, call.budget.deadline_s)
            limit = TimeLimit(self._deadlines, due_s)
            call.attempts += 1
            try:
                with limit:
                    reply = await self._transport.send(request)
            except (ConnectionLostError, asyncio.CancelledError, TimeoutError) as error:
                call.note_unclear(is_pending=True)
                if not (limit.is_up and isinstance(error, TimeoutError)):
                    # Without its frames: the URL with its token is among their locals.
                    raise error.with_traceback(None) from None
                reply = None
        finally:
            gate.leave()
        if reply is None:
            # Its connection may have died without a word, and so may the idle ones.
            self._transport.drop_idle()
            raise call.out_of_time(self._now_s())
        return call.understood(reply, sent_at_s - (self._slept_s - slept_s))

    async def _fetched(self, call: Call[ReplyT]) -> AuthToken | None:
        """Fetch a token; a failure concerns nobody but the user it is for."""
        try:
            fetching = self._tokens.fetch(call.user_id)
            return await self._in_time(call, fetching, "for its token")
        except RequestError as error:
            error.is_about_service = False
            raise

    async def _in_time(
        self, call: Call[ReplyT], waiting: Awaitable[WaitedT], what_for: str
    ) -> WaitedT:
        """Wait for something that comes before sending, within the call's budget."""
        limit = TimeLimit(self._deadlines, call.budget.deadline_s)
        try:
            with limit:
                return await waiting
        except TimeoutError:
            if not limit.is_up:
                raise
        error = call.out_of_time(self._now_s())
        error.cause, error.is_about_service = f"still waiting {what_for}", False
        raise error

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

    def _delay_s(
        self, failure: RequestError, call: Call[ReplyT], policy: RetryPolicy
    ) -> float | None:
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
        return call.retry_delay_s(failure, policy, self._now_s(), self._random)


def _no_loop_yet() -> NoReturn:
    raise ClientClosedError(
        "the client has not been started; use 'async with', or await start()"
    )
