"""A call through the pipeline: budget, requests, progress, errors and answer."""

from __future__ import annotations

import logging
import random
import uuid
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import attrs

from ..errors import (
    DeadlineError,
    ReplyFormatError,
    RequestError,
    ServiceError,
    UnavailableError,
)
from ..protocol.envelope import whole_seconds
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.identity import Identity, loggable, redacted, secrets_of
from . import wall_clock
from .aio import Admission
from .auth import AuthToken
from .config import PresenceConfig
from .limits import Params, check_size
from .retry import RetryPolicy
from .safe_log import SafeLogger

__all__ = ["Answer", "Budget", "Call", "Params", "Stamper", "Unclear"]

logger: SafeLogger = SafeLogger("presence_async.client")

ReplyT = TypeVar("ReplyT")


class Budget(NamedTuple):
    """When a call began and when it has to be over, in loop time."""

    started_s: float
    deadline_s: float


class Answer(NamedTuple, Generic[ReplyT]):
    """A reply with the facts about how it came.

    Attributes:
        value: What the operation read.
        sent_at_s: Loop time when the answered attempt was sent; earlier by what the
            machine has slept since.
        age_s: Seconds the answer had lain in a cache.
    """

    value: ReplyT
    sent_at_s: float
    age_s: float


class Unclear(Protocol):
    """A function that is told of each attempt whose effect nobody knows."""

    def __call__(self, *, is_pending: bool) -> None:
        """Note such an attempt.

        Args:
            is_pending: No reply came, so the service may still act on it later.
        """
        ...


@attrs.define(slots=True)
class Call(Generic[ReplyT]):
    """One call on its way through the pipeline."""

    operation: Operation[ReplyT]
    request: HttpRequest
    stamped: HttpRequest
    user_id: str
    budget: Budget
    gate: Admission
    attempt_timeout_s: float
    params: Params
    on_unclear: Unclear | None
    attempts: int = 0
    failures: int = 0
    last_failure: RequestError | None = None
    token: AuthToken | None = None
    has_new_token: bool = False
    has_new_connection: bool = False

    def note_unclear(self, *, is_pending: bool) -> None:
        """Tell the caller that an attempt may have had an effect."""
        if self.on_unclear is not None:
            self.on_unclear(is_pending=is_pending)

    def understood(self, reply: HttpReply, sent_at_s: float) -> Answer[ReplyT]:
        """Read the reply to an attempt sent at a loop time."""
        try:
            value = self.operation.from_reply(reply)
        except (UnavailableError, ReplyFormatError):
            # The service may have acted before whatever answered so.
            self.note_unclear(is_pending=False)
            raise
        age_s = whole_seconds(reply.headers.get("age")) if reply.headers else None
        return Answer(value, sent_at_s, age_s or 0.0)

    def out_of_time(self, now_s: float) -> DeadlineError:
        """Return the error of an attempt, or of a call, whose time is up."""
        if now_s >= self.budget.deadline_s:
            total_s = self.budget.deadline_s - self.budget.started_s
            problem = f"its {total_s:g} s were over"
        else:
            problem = f"no answer within {self.attempt_timeout_s:g} s"
        before = self.last_failure
        error = DeadlineError(problem, last_failure=before)
        if before is not None:
            error.cause = f"the attempt before: {before.cause or before.problem}"
        return error

    def noted(
        self, error: RequestError, now_s: float, secret_key: str | None
    ) -> RequestError:
        """Return an attempt's error with the facts of the call and without secrets.

        The traceback is dropped on purpose: its frames lead into the transport, where
        the URL with its token is a local variable.
        """
        error.operation = self.operation.name
        error.attempts = self.attempts
        error.elapsed_s = now_s - self.budget.started_s
        hidden = [*secrets_of(self.stamped)]
        if secret_key is not None:
            hidden.append(secret_key)
        if isinstance(error, ServiceError) and error.message:
            # Redacted by itself: it was shortened, and a secret that it was cut
            # within can only be told at its very end.
            words, clean = repr(error.message), redacted(error.message, hidden)
            error.problem = error.problem.replace(words, repr(clean))
        for field, value in vars(error).items():
            if isinstance(value, str):
                setattr(error, field, redacted(value, hidden))
        error.args = (error.problem,)
        self.last_failure = error
        return error.with_traceback(None)

    def retry_delay_s(
        self,
        failure: RequestError,
        policy: RetryPolicy,
        now_s: float,
        rng: random.Random,
    ) -> float | None:
        """Return the wait that a policy sets before the next attempt, or ``None``."""
        self.failures += 1
        if not failure.is_retryable:
            return None
        delay_s = policy.delay_s(self.failures, rng)
        if delay_s is None:
            return None
        if isinstance(failure, ServiceError) and failure.retry_after_s is not None:
            delay_s += failure.retry_after_s
        return delay_s if delay_s < self.budget.deadline_s - now_s else None


class Stamper:
    """Makes the requests of attempts: each with a number of its own, none too large.

    Args:
        config: Whether requests are signed.
        identity: What every request carries.
    """

    def __init__(self, config: PresenceConfig, identity: Identity) -> None:
        self._identity = identity
        self._is_signing = config.secret_key is not None
        # A UUID like the SDKs'; counting on from it is far quicker than uuid4.
        self._prefix = str(uuid.uuid4())[:-12]
        self._requests = 0

    def stamped(self, call: Call[Any]) -> HttpRequest:
        """Return the request of the next attempt, which the call then knows.

        Raises:
            InvalidArgumentError: It would be larger than 32 KiB.
        """
        self._requests += 1
        token = call.token
        request = self._identity.stamp(
            call.request,
            user_id=call.user_id,
            token=None if token is None else token.value,
            request_id=f"{self._prefix}{self._requests:012x}",
            timestamp_s=int(wall_clock.now_s()) if self._is_signing else None,
            query_params=call.params,
        )
        check_size(request, call.operation.name)
        call.stamped = request
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("> %s %s", call.operation.name, loggable(request))
        return request

    def check(
        self,
        operation: Operation[Any],
        user_id: str,
        token: AuthToken | None,
        params: Params,
    ) -> None:
        """Refuse an operation that no request can carry.

        Raises:
            InvalidArgumentError: The request would be larger than 32 KiB.
        """
        request = self._identity.stamp(
            operation.to_request(),
            user_id=user_id,
            token=None if token is None else token.value,
            request_id=f"{self._prefix}{0:012x}",
            timestamp_s=0,
            query_params=params,
        )
        check_size(request, operation.name)
