"""One attempt of a call: get a token, pass the gate, send once, read the answer.

Mostly a connection is idle and nothing has to be waited for. Then ``begin`` sends at
once and the answer arrives at a function, without a task. ``make`` is the way that can
wait for anything, and the one through a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from ..errors import ConnectionLostError, DeadlineError, RequestError
from ..protocol.exchange import HttpRequest
from .aio import Admission, Deadlines, TimeLimit
from .auth import AuthToken
from .call import Answer, Call
from .direct_connection import DirectAnswer, DirectConnection
from .observers import Observers
from .stamper import Stamper
from .tokens import Tokens
from .transport import Transport

__all__ = ["Attempts", "Exchange", "OnEnd"]

ReplyT = TypeVar("ReplyT")
WaitedT = TypeVar("WaitedT")
OnEnd: TypeAlias = Callable[[Answer[Any] | Exception], None]


class Attempts:
    """Makes attempts.

    Args:
        stamper: Makes their requests.
        transport: Puts one request on the wire.
        tokens: Where tokens come from.
        deadlines: Ends them in time.
        now_s: Returns the loop time.
        observers: Told of every request that was sent.

    Attributes:
        slept_s: Seconds so far that the loop clock missed.
        is_closed: Whether the end of the client ends attempts now, not their time.
    """

    def __init__(
        self,
        stamper: Stamper,
        transport: Transport,
        tokens: Tokens,
        deadlines: Deadlines,
        now_s: Callable[[], float],
        *,
        observers: Observers,
    ) -> None:
        self._stamper = stamper
        self.transport: Transport = transport
        self._tokens = tokens
        self.deadlines: Deadlines = deadlines
        self.now_s: Callable[[], float] = now_s
        self._observers = observers
        self.slept_s: float = 0.0
        self.is_closed: bool = False

    def begin(
        self, call: Call[Any], gate: Admission | None, on_end: OnEnd
    ) -> Exchange | None:
        """Send a request at once, if nothing has to be waited for.

        Args:
            call: The call.
            gate: The gate to pass and to leave; ``None``: none.
            on_end: Called once, with the answer or what the attempt ran into.

        Returns:
            The attempt under way; ``None`` if it has to be made by ``make``.

        Raises:
            InvalidArgumentError: The request would be larger than 32 KiB.
        """
        if self._tokens.are_used:
            call.token = self._tokens.at_hand(call.user_id)
            if call.token is None:
                return None
        direct = self.transport.direct
        connection = None if direct is None else direct.take()
        if direct is None or connection is None:
            return None
        try:
            request = self._stamper.stamped(call)
            if gate is not None and not gate.try_enter():
                direct.keep(connection)
                return None
        except BaseException:
            direct.keep(connection)
            raise
        call.attempts += 1
        exchange = Exchange(self, call, gate, connection, on_end)
        direct.ask(connection, request.target, exchange.end)
        return exchange

    async def make(self, call: Call[ReplyT]) -> Answer[ReplyT]:
        """Get a token, pass the gate, send once and read the answer, all in time.

        Raises:
            RequestError: Without the facts of the call.
            InvalidArgumentError: The request would be larger than 32 KiB.

        Cancellation: ends at once; the service may act on what was sent.
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
        except BaseException:
            gate.leave()
            raise
        call.attempts += 1
        sent_at_s = self.now_s()
        try:
            answer = await self._sent(call, request, sent_at_s)
        except BaseException as error:
            self.tell(call, sent_at_s, error)
            raise
        self.tell(call, sent_at_s, answer)
        return answer

    def tell(
        self, call: Call[Any], sent_at_s: float, end: Answer[Any] | BaseException
    ) -> None:
        """Tell observers that a request has ended."""
        on_request = self._observers.on_request
        if on_request is not None:
            if self.is_closed and isinstance(end, DeadlineError):
                end = asyncio.CancelledError()
            on_request(call, self.now_s() - sent_at_s, end)

    async def _sent(
        self, call: Call[ReplyT], request: HttpRequest, sent_at_s: float
    ) -> Answer[ReplyT]:
        """Send a request that has passed the gate, leave that, read the answer."""
        slept_s = self.slept_s
        limit = TimeLimit(self.deadlines, call.attempt_due_s(sent_at_s))
        try:
            with limit:
                reply = await self.transport.send(request)
        except (ConnectionLostError, asyncio.CancelledError, TimeoutError) as error:
            call.note_unclear(is_pending=True)
            if not (limit.is_up and isinstance(error, TimeoutError)):
                # Without its frames: the URL with its token is among their locals.
                raise error.with_traceback(None) from None
            reply = None
        finally:
            call.gate.leave()
        if reply is None:
            # Its connection may have died without a word, and so may the idle ones.
            self.transport.drop_idle()
            raise call.out_of_time(self.now_s())
        return call.understood(reply, sent_at_s - (self.slept_s - slept_s))

    async def _fetched(self, call: Call[Any]) -> AuthToken | None:
        """Fetch a token; a failure concerns nobody but the user it is for."""
        try:
            fetching = self._tokens.fetch(call.user_id)
            return await self._in_time(call, fetching, "for its token")
        except RequestError as error:
            error.is_about_service = False
            raise

    async def _in_time(
        self, call: Call[Any], waiting: Awaitable[WaitedT], what_for: str
    ) -> WaitedT:
        """Wait for something that comes before sending, within the call's budget."""
        limit = TimeLimit(self.deadlines, call.budget.deadline_s)
        try:
            with limit:
                return await waiting
        except TimeoutError:
            if not limit.is_up:
                raise
        error = call.out_of_time(self.now_s())
        error.cause, error.is_about_service = f"still waiting {what_for}", False
        raise error


class Exchange:
    """An attempt under way that no task waits for: 10 us less than with a task.

    Args:
        attempts: Began it.
        call: The call it is for.
        gate: Left when it ends.
        connection: What it is sent on.
        on_end: Called once, with the answer or what the attempt ran into.
    """

    __slots__ = (
        "_attempts",
        "_call",
        "_connection",
        "_gate",
        "_on_end",
        "_sent_at_s",
        "_slept_s",
        "_was_used",
    )

    def __init__(
        self,
        attempts: Attempts,
        call: Call[Any],
        gate: Admission | None,
        connection: DirectConnection,
        on_end: OnEnd,
    ) -> None:
        self._attempts = attempts
        self._call = call
        self._gate = gate
        self._connection = connection
        self._was_used = connection.was_used
        self._on_end: OnEnd | None = on_end
        self._sent_at_s = now_s = attempts.now_s()
        self._slept_s = attempts.slept_s
        attempts.deadlines.add(self, call.attempt_due_s(now_s))

    def end(self, answer: DirectAnswer | Exception) -> None:
        """Read the answer, or what the connection ran into."""
        attempts, call = self._attempts, self._call
        on_end = self._leave()
        if on_end is None:
            return
        result: Answer[Any] | Exception
        try:
            reply = attempts.transport.understood(answer, was_reused=self._was_used)
            slept_s = attempts.slept_s - self._slept_s
            result = call.understood(reply, self._sent_at_s - slept_s)
        except Exception as error:  # noqa: BLE001  # handed on, whatever it is
            if isinstance(error, ConnectionLostError):
                call.note_unclear(is_pending=True)
            result = error
        attempts.tell(call, self._sent_at_s, result)
        on_end(result)

    def expire(self) -> None:
        """Cut it since its time is up; ``Deadlines`` calls it."""
        on_end = self._cut()
        if on_end is not None:
            # Its connection may have died without a word, and so may the idle ones.
            self._attempts.transport.drop_idle()
            error = self._call.out_of_time(self._attempts.now_s())
            self._attempts.tell(self._call, self._sent_at_s, error)
            on_end(error)

    def cancel(self) -> None:
        """Cut it; the service may act on it all the same. Only observers are told."""
        if self._cut() is not None:
            end = asyncio.CancelledError()
            self._attempts.tell(self._call, self._sent_at_s, end)

    def _cut(self) -> OnEnd | None:
        on_end = self._leave()
        if on_end is not None:
            self._connection.cut()
            self._call.note_unclear(is_pending=True)
        return on_end

    def _leave(self) -> OnEnd | None:
        """Give everything back; return whom to tell, ``None`` if it has ended."""
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            self._attempts.deadlines.discard(self)
            if self._gate is not None:
                self._gate.leave()
        return on_end
