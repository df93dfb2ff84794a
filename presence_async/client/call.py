"""A call through the pipeline: budget, requests, progress, errors and answer."""

from __future__ import annotations

import contextvars
import random
from typing import Generic, NamedTuple, Protocol, TypeVar

from ..errors import (
    DeadlineError,
    ReplyFormatError,
    RequestError,
    ServiceError,
    UnavailableError,
)
from ..protocol.envelope import whole_seconds
from ..protocol.exchange import HttpReply, HttpRequest, Operation
from ..protocol.identity import redacted, secrets_of
from .aio import Admission
from .auth import AuthToken
from .limits import Params
from .retry import RetryPolicy

__all__ = ["Answer", "Budget", "Call", "Limits", "Params"]

ReplyT = TypeVar("ReplyT")


class Limits(Protocol):
    """When a call began and when it has to be over, in loop time."""

    @property
    def started_s(self) -> float:
        """When it began."""
        ...

    @property
    def deadline_s(self) -> float:
        """When it has to be over."""
        ...


class Budget(NamedTuple):
    """The limits of a query."""

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


class Call(Generic[ReplyT]):
    """One call on its way through the pipeline.

    Args:
        operation: What to ask.
        user_id: In whose name.
        budget: Covers connecting, all attempts, waits and the body.
        retry: The policy for further attempts.
        gate: What each attempt passes before it is sent.
        attempt_timeout_s: The limit of each attempt.
        params: Query parameters beside the config's.
        repeats_stale: Whether to repeat a request at once, whatever ``retry`` says, if
            it was lost with a connection that had served another one.

    Attributes:
        request: The operation's request, without what each attempt adds.
        stamped: The request of the latest attempt.
        token: The token of the latest attempt.
        attempts: Requests sent so far.
        may_have_effect: Whether the service may have acted on an attempt without
            saying so.
        is_pending: Whether it may still act on one, since no reply came.
        context: The context of the caller, for observers; ``None``: nobody's.
    """

    # Most calls keep these: setting each would cost a fifth of making one.
    attempts: int = 0
    failures: int = 0
    last_failure: RequestError | None = None
    token: AuthToken | None = None
    has_new_token: bool = False
    may_have_effect: bool = False
    is_pending: bool = False
    context: contextvars.Context | None = None

    def __init__(
        self,
        operation: Operation[ReplyT],
        *,
        user_id: str,
        budget: Limits,
        retry: RetryPolicy,
        gate: Admission,
        attempt_timeout_s: float,
        params: Params,
        repeats_stale: bool,
    ) -> None:
        self.operation: Operation[ReplyT] = operation
        self.request: HttpRequest = operation.to_request()
        self.stamped: HttpRequest = self.request
        self.user_id: str = user_id
        self.budget: Limits = budget
        self.retry: RetryPolicy = retry
        self.gate: Admission = gate
        self.attempt_timeout_s: float = attempt_timeout_s
        self.params: Params = params
        self.has_new_connection: bool = not repeats_stale

    def note_unclear(self, *, is_pending: bool) -> None:
        """Note an attempt that the service may have acted on without saying so.

        Args:
            is_pending: No reply came, so the service may still act on it later.
        """
        self.may_have_effect = True
        self.is_pending |= is_pending

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

    def attempt_due_s(self, now_s: float) -> float:
        """Return when an attempt that begins now has to be answered."""
        return min(now_s + self.attempt_timeout_s, self.budget.deadline_s)

    def out_of_time(self, now_s: float) -> DeadlineError:
        """Return the error of an attempt, or of a call, whose time is up."""
        if now_s >= self.budget.deadline_s:
            total_s = self.budget.deadline_s - self.budget.started_s
            problem = f"it took longer than {total_s:g} s"
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
        now_s: float,
        rng: random.Random,
    ) -> float | None:
        """Return the wait that its policy sets before the next attempt, or ``None``."""
        self.failures += 1
        if not failure.is_retryable:
            return None
        delay_s = self.retry.delay_s(self.failures, rng)
        if delay_s is None:
            return None
        if isinstance(failure, ServiceError) and failure.retry_after_s is not None:
            delay_s += failure.retry_after_s
        return delay_s if delay_s < self.budget.deadline_s - now_s else None
