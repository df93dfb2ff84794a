"""How observers are told: records are made of what happened, and handed to each."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, Protocol, TypeAlias, TypeVar

from ..errors import (
    InvalidArgumentError,
    PresenceError,
    ReplyFormatError,
    RequestError,
    ServiceError,
)
from ..presence.changes import HealthChanged
from ..presence.wire import Acknowledged, Outcome, Send
from ..protocol.heartbeat import HeartbeatOperation
from .call import Answer, Call
from .feed.listener import Listener, StreamHealth
from .lease import LeaseChange
from .observed import (
    HeartbeatFinished,
    LoopBlocked,
    RequestFinished,
    StreamChange,
    outcome_of,
    url_template,
)
from .observers import Observers
from .safe_log import SafeLogger

__all__ = ["Observer", "Teller"]

logger: SafeLogger = SafeLogger("presence_async.client")

_HTTP_OK: Final = 200

ErrorT = TypeVar("ErrorT", bound=PresenceError)
Told: TypeAlias = tuple[Callable[[Any], object], ...]


class Observer(Protocol):
    """What an observer may look like: an object with any of these methods.

    They are called in the client's event loop, in the midst of its work: they must not
    wait, and have to be quick. An exception of one is logged once and harms nothing;
    ``KeyboardInterrupt`` and ``SystemExit`` end the loop, as from any callback.
    ``request_finished`` runs in the context (``contextvars``) of the caller whose call
    it was. All else runs in an empty one, as do requests that the client makes by
    itself and those of streams, rosters and live counts.
    """

    def request_finished(self, record: RequestFinished) -> object:
        """One request to the service has ended."""
        ...

    def heartbeat_finished(self, record: HeartbeatFinished) -> object:
        """One heartbeat has been acknowledged or has failed."""
        ...

    def lease_changed(self, record: LeaseChange) -> object:
        """The health of a lease has changed; ``previous`` is ``None`` at first."""
        ...

    def stream_changed(self, record: StreamChange) -> object:
        """The health of a stream, roster or live count has changed."""
        ...

    def loop_blocked(self, record: LoopBlocked) -> object:
        """The event loop did not run for a while, or the machine slept."""
        ...


class Teller:
    """Tells observers what a client does.

    Args:
        observers: Where the client looks whom to tell.
        origin: Scheme, host and port of the service.
    """

    def __init__(self, observers: Observers, origin: tuple[str, str, int]) -> None:
        self._observers = observers
        self._origin = origin
        self._told: dict[str, Told] = {}
        # Those that have failed, by identity: not every callable can be hashed.
        self._failed: set[int] = set()

    def add(self, observer: object) -> None:
        """Tell an object from now on whatever it has a method for.

        Raises:
            InvalidArgumentError: It has none of the methods of ``Observer``, or one
                that is ``async``.
        """
        wires = {
            "request_finished": ("on_request", self._request_ended),
            "heartbeat_finished": ("on_heartbeat", self._heartbeat_ended),
            "lease_changed": ("on_lease", self._health_changed),
            "stream_changed": ("on_stream", self._stream_changed),
            "loop_blocked": ("on_unseen", self._unseen),
        }
        methods = {
            name: method
            for name in wires
            if (method := getattr(observer, name, None)) is not None
        }
        if not methods:
            rule = f"must have at least one of the methods {', '.join(wires)}"
            raise InvalidArgumentError("observers", rule)
        for name, method in methods.items():
            if inspect.iscoroutinefunction(method):
                rule = f"are called, not awaited: {name} must not be async"
                raise InvalidArgumentError("observers", rule)
        for name, method in methods.items():
            self._told[name] = (*self._told.get(name, ()), method)
            setattr(self._observers, *wires[name])

    def _request_ended(
        self, call: Call[Any], duration_s: float, end: Answer[Any] | BaseException
    ) -> None:
        error = end if isinstance(end, BaseException) else None
        scheme, host, port = self._origin
        record = RequestFinished(
            operation=call.operation.name,
            user_id=call.user_id,
            outcome=outcome_of(error),
            status=_status(error),
            error=None if error is None else type(error).__name__,
            attempt=call.attempts,
            duration_s=duration_s,
            scheme=scheme,
            host=host,
            port=port,
            url_template=url_template(call.operation.route, call.request.path),
        )
        self._tell("request_finished", record, call.context)

    def _heartbeat_ended(self, send: Send, outcome: Outcome, now_s: float) -> None:
        operation = send.operation
        if not isinstance(operation, HeartbeatOperation):
            return
        record = HeartbeatFinished(
            user_id=send.user_id,
            channels=operation.channels,
            channel_groups=operation.channel_groups,
            presence_timeout_s=operation.presence_timeout_s,
            is_join=send.is_join,
            error=_bare(None if isinstance(outcome, Acknowledged) else outcome.error),
            age_s=outcome.age_s if isinstance(outcome, Acknowledged) else 0.0,
            lateness_s=max(0.0, send.taken_s - send.due_s) if send.beat else 0.0,
            duration_s=now_s - send.taken_s,
        )
        self._tell("heartbeat_finished", record)

    def _health_changed(self, change: HealthChanged) -> None:
        record = LeaseChange(
            lease=change.claim.owner,
            previous=change.previous,
            health=change.health,
            reason=change.reason,
            at=change.at_s,
            remaining_s=change.remaining_s,
        )
        self._tell("lease_changed", record)

    def _stream_changed(
        self,
        listener: Listener,
        previous: StreamHealth | None,
        health: StreamHealth,
        error: RequestError | None,
        now_s: float,
    ) -> None:
        record = StreamChange(
            channels=listener.channels,
            channel_groups=listener.channel_groups,
            previous=previous,
            health=health,
            error=_bare(error),
            at=now_s,
        )
        self._tell("stream_changed", record)

    def _unseen(
        self,
        blocked_s: float,
        slept_s: float,
        late_user_ids: Sequence[str],
        lost: int,
        now_s: float,
    ) -> None:
        record = LoopBlocked(
            blocked_s=blocked_s,
            slept_s=slept_s,
            late_user_ids=tuple(late_user_ids),
            lost=lost,
            at=now_s,
        )
        self._tell("loop_blocked", record)

    def _tell(
        self, name: str, record: object, context: contextvars.Context | None = None
    ) -> None:
        where = contextvars.Context() if context is None else context
        for method in self._told[name]:
            try:
                where.run(method, record)
            except (KeyboardInterrupt, SystemExit) as error:
                # Meant for the program. By then the client has done what it was at.
                asyncio.get_running_loop().call_soon(_raise, error)
            except BaseException:
                # A CancelledError, too: of whatever the observer looked at.
                if id(method) not in self._failed:
                    self._failed.add(id(method))
                    logger.exception("%s of an observer failed", name)


def _status(error: BaseException | None) -> int | None:
    if isinstance(error, ServiceError):
        return error.status
    return _HTTP_OK if error is None or isinstance(error, ReplyFormatError) else None


def _bare(error: ErrorT | None) -> ErrorT | None:
    """Return an error without its frames, which whoever keeps a record would keep."""
    return None if error is None else error.with_traceback(None)


def _raise(error: BaseException) -> NoReturn:
    raise error
