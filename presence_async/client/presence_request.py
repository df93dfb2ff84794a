"""One request that changes presence: from what the engine says to its outcome."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import ConnectionLostError, PresenceError, RequestError
from ..presence.places import Places
from ..presence.wire import Acknowledged, Outcome, Send, judged
from ..protocol.exchange import Operation
from .pipeline import Budget, RequestPipeline
from .retry import NoRetry
from .safe_log import SafeLogger

__all__ = ["Place", "PlaceQueue", "outcome_of", "send_once"]

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


class _Doubt:
    """Collects what the pipeline tells of attempts without a clear answer."""

    __slots__ = ("has_effect", "is_pending")

    def __init__(self) -> None:
        self.has_effect = False
        self.is_pending = False

    def note(self, *, is_pending: bool) -> None:
        """Note an attempt that the service may have acted on, or still may."""
        self.has_effect = True
        self.is_pending |= is_pending


async def send_once(pipeline: RequestPipeline, send: Send, place: Place) -> Outcome:
    """Send a request and return its outcome; when to try again is the engine's affair.

    Cancellation: cuts the request; ``outcome_of`` tells the engine.
    """
    doubt = _Doubt()
    if not pipeline.has_token(send.user_id):
        place.leave()
    operation: Operation[Any] = send.operation
    try:
        answer = await pipeline.send(
            operation,
            budget=Budget(send.patience.started_s, send.deadline_s),
            retry=_NO_RETRY,
            gate=place,
            attempt_timeout_s=send.attempt_s,
            params=send.params,
            on_unclear=doubt.note,
        )
    except PresenceError as error:
        is_about_service = True
        if isinstance(error, RequestError):
            error.attempts += send.attempts
            is_about_service = error.is_about_service
        return judged(
            error,
            has_effect=doubt.has_effect,
            is_in_doubt=doubt.is_pending,
            is_about_service=is_about_service,
        )
    return Acknowledged(answer.sent_at_s, answer.age_s, answer.value, doubt.is_pending)


def outcome_of(send: Send, task: asyncio.Task[Outcome]) -> Outcome:
    """Return the outcome of a request's task, whatever ended it."""
    error = None if task.cancelled() else task.exception()
    if not task.cancelled() and error is None:
        return task.result()
    name = send.operation.name
    problem = "it was cancelled"
    if error is not None:
        logger.critical("a %s of %s crashed", name, send.user_id, exc_info=error)
        problem = f"{type(error).__name__} inside"
    failure = ConnectionLostError(problem, operation=name, attempts=send.attempts + 1)
    return judged(failure, has_effect=True, is_in_doubt=True, is_about_service=False)
