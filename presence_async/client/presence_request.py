"""One request that changes presence: from what the engine says to its outcome."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import ConnectionLostError, PresenceError, RequestError
from ..presence.places import Places
from ..presence.wire import Acknowledged, Outcome, Send, judged
from ..protocol.exchange import Operation
from .pipeline import Answer, Call, Exchange, RequestPipeline
from .retry import NoRetry
from .safe_log import SafeLogger

__all__ = ["PlaceQueue", "PresenceRequest"]

logger: SafeLogger = SafeLogger("presence_async.client")

_NO_RETRY = NoRetry()


class PlaceQueue:
    """Requests that gave their place away, in the order they want one back.

    Args:
        places: The places on the wire.
        on_left: Called when a place becomes free.
    """

    def __init__(self, places: Places, on_left: Callable[[], None]) -> None:
        self.places: Places = places
        self.on_left: Callable[[], None] = on_left
        self._waiting: deque[tuple[Send, asyncio.Future[None]]] = deque()

    def admit(self) -> None:
        """Give free places to those who wait; before anybody new takes them."""
        while self._waiting and self.places.has_room:
            send, admitted = self._waiting.popleft()
            if not admitted.done():
                self.places.unpark(send)
                admitted.set_result(None)

    async def wait(self, send: Send) -> None:
        """Wait for a place."""
        admitted = asyncio.get_running_loop().create_future()
        self._waiting.append((send, admitted))
        self.admit()
        await admitted


class Place:
    """A request's place on the wire, in the shape of a gate.

    The engine has reserved it. A request leaves it while it waits for a token, so that
    a token provider that hangs holds back nobody but its own user, and between two
    attempts. To come back it waits for a place, and for the time that the rate allows.
    """

    __slots__ = ("_entry_s", "_queue", "_send")

    def __init__(self, queue: PlaceQueue, send: Send) -> None:
        self._queue = queue
        self._send = send
        self._entry_s = 0.0

    def try_enter(self) -> bool:
        """Take the place, if there is one and the rate allows it now."""
        places, now_s = self._queue.places, asyncio.get_running_loop().time()
        if not places.is_parked(self._send):
            return True
        self._entry_s = places.entry_s(self._send, now_s)
        if self._entry_s > now_s or not places.has_room:
            return False
        places.unpark(self._send)
        return True

    async def enter(self) -> None:
        """Wait until the rate allows it, then for a place."""
        await asyncio.sleep(self._entry_s - asyncio.get_running_loop().time())
        await self._queue.wait(self._send)

    def leave(self) -> None:
        """Give the place to others."""
        self._queue.places.park(self._send)
        self._queue.on_left()


class PresenceRequest:
    """One request of the engine's, from ``begin`` to its outcome.

    Mostly a connection is idle, and then it needs no task.

    Args:
        pipeline: Sends it.
        send: What the engine says.
        queue: The places on the wire.
        on_outcome: Called once, with the outcome.

    Attributes:
        context: The context of a caller who waits for it, for observers.
        task: The task that sends it, if it needs one.
    """

    __slots__ = (
        "_call",
        "_exchange",
        "_on_outcome",
        "_pipeline",
        "_queue",
        "_send",
        "context",
        "task",
    )

    def __init__(
        self,
        pipeline: RequestPipeline,
        send: Send,
        queue: PlaceQueue,
        on_outcome: Callable[[Send, Outcome], None],
    ) -> None:
        self._pipeline = pipeline
        self._send = send
        self._queue = queue
        self._on_outcome = on_outcome
        self._call: Call[Any] | None = None
        self._exchange: Exchange | None = None
        self.context: contextvars.Context | None = None
        self.task: asyncio.Task[Outcome] | None = None

    def begin(self) -> None:
        """Send it, now or as soon as there are token, place and connection."""
        send, failed = self._send, None
        operation: Operation[Any] = send.operation
        try:
            self._call = self._pipeline.call(
                operation,
                budget=send.patience,
                retry=_NO_RETRY,
                attempt_timeout_s=send.attempt_s,
                params=send.params,
                is_background=True,
            )
            if self.context is not None:
                self._call.context = self.context
            self._exchange = self._pipeline.begin(self._call, self._ended)
        except Exception as error:  # noqa: BLE001  # its task raises it
            failed = error
        if self._exchange is None:
            self._start(failed)

    def cancel(self) -> None:
        """Cut it; it ends with an outcome all the same."""
        if self._exchange is not None:
            self._exchange.cancel()
            self._exchange = None
            self._on_outcome(self._send, _cut_short(self._send, "it was cancelled"))
        elif self.task is not None:
            self.task.cancel()

    def _ended(self, end: Answer[Any] | Exception) -> None:
        self._exchange = None
        if isinstance(end, Answer):
            answered = Acknowledged(end.sent_at_s, end.age_s, end.value)
            self._on_outcome(self._send, answered)
        else:
            self._start(end)

    def _start(self, failed: Exception | None) -> None:
        """Go on in a task, which may wait and repeat what was refused or lost."""
        self.task = asyncio.get_running_loop().create_task(
            self._go_on(failed), name=f"presence {self._send.operation.name}"
        )
        self.task.add_done_callback(self._task_ended)

    def _task_ended(self, task: asyncio.Task[Outcome]) -> None:
        self._on_outcome(self._send, _outcome_of(self._send, task))

    async def _go_on(self, failed: Exception | None) -> Outcome:
        send, call = self._send, self._call
        place = Place(self._queue, send)
        if failed is not None or not self._pipeline.has_token(send.user_id):
            # As between any two attempts: a token may have to be waited for.
            place.leave()
        try:
            if call is None:
                raise failed or RuntimeError("a request without a call")
            call.gate = place
            answer = await self._pipeline.go_on(call, failed)
        except PresenceError as error:
            is_about_service = True
            if isinstance(error, RequestError):
                error.attempts += send.attempts
                is_about_service = error.is_about_service
            return judged(
                error,
                has_effect=call is not None and call.may_have_effect,
                is_in_doubt=call is not None and call.is_pending,
                is_about_service=is_about_service,
            )
        return Acknowledged(
            answer.sent_at_s, answer.age_s, answer.value, call.is_pending
        )


def _outcome_of(send: Send, task: asyncio.Task[Outcome]) -> Outcome:
    """Return the outcome of a request's task, whatever ended it."""
    if task.cancelled():
        return _cut_short(send, "it was cancelled")
    error = task.exception()
    if error is None:
        return task.result()
    name = send.operation.name
    logger.critical("a %s of %s crashed", name, send.user_id, exc_info=error)
    return _cut_short(send, f"{type(error).__name__} inside")


def _cut_short(send: Send, problem: str) -> Outcome:
    failure = ConnectionLostError(
        problem, operation=send.operation.name, attempts=send.attempts + 1
    )
    return judged(failure, has_effect=True, is_in_doubt=True, is_about_service=False)
