"""Every error of the library, one tree.

PresenceError
├── InvalidArgumentError (ValueError)      refused before any request
├── ClientClosedError (RuntimeError)       not started, closed, or another event loop
└── RequestError                           operation, attempts, elapsed_s, cause
    ├── TransportError                     no complete answer arrived
    │   ├── ConnectError                   not connected: name, route, TLS
    │   ├── ConnectionLostError            connected, then cut
    │   └── DeadlineError (TimeoutError)   the call's own budget ran out
    ├── ServiceError                       an answer arrived and said no
    │   ├── RejectedRequestError           3xx and 4xx without a class of its own
    │   ├── AccessDeniedError              401, 403
    │   ├── RateLimitedError               429
    │   └── UnavailableError               5xx
    └── ReplyFormatError                   a success status with an undocumented body

Errors carry plain values only, so they pickle, copy and log safely; secrets are
taken out before they are raised.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "AccessDeniedError",
    "ClientClosedError",
    "ConnectError",
    "ConnectionLostError",
    "DeadlineError",
    "InvalidArgumentError",
    "LeaseReleasedError",
    "PresenceError",
    "RateLimitedError",
    "RejectedRequestError",
    "ReplyFormatError",
    "RequestError",
    "ServiceError",
    "TransportError",
    "UnavailableError",
]


def _restore(
    kind: type[PresenceError], args: tuple[object, ...], facts: dict[str, object]
) -> PresenceError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class PresenceError(Exception):
    """The root of every error this library raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by facts, so subclasses need no code of their own."""
        return _restore, (type(self), self.args, self.__dict__.copy())


class InvalidArgumentError(PresenceError, ValueError):
    """An argument was refused before any request was made.

    Attributes:
        argument: The name of the argument, as the caller spells it.
        rule: What is wrong with it, and what to write instead.
    """

    def __init__(self, argument: str, rule: str) -> None:
        super().__init__(f"{argument}: {rule}")
        self.argument = argument
        self.rule = rule


class LeaseReleasedError(InvalidArgumentError):
    """The lease was released before, or while it was being changed."""

    def __init__(
        self, argument: str = "lease", rule: str = "was released; join again"
    ) -> None:
        super().__init__(argument, rule)


class ClientClosedError(PresenceError, RuntimeError):
    """The client is not started, is closed, or belongs to another event loop."""


class RequestError(PresenceError):
    """A request was made and did not succeed.

    Attributes:
        problem: What happened, in one line.
        operation: What was tried, such as ``"here now"``.
        attempts: How many requests went out.
        elapsed_s: Seconds from the call to this error.
        cause: What the transport saw, in one redacted line, or ``None``.
    """

    advice: ClassVar[str] = ""

    def __init__(
        self,
        problem: str,
        *,
        operation: str = "request",
        attempts: int = 1,
        elapsed_s: float = 0.0,
        cause: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.operation = operation
        self.attempts = attempts
        self.elapsed_s = elapsed_s
        self.cause = cause

    @property
    def is_transient(self) -> bool:
        """Return True if it may pass by itself: anything but a 4xx, and 408 and 429."""
        status = getattr(self, "status", None)
        return status is None or status // 100 != 4 or status in {408, 429}  # noqa: PLR2004  # 4xx

    @property
    def is_retryable(self) -> bool:
        """Return True if the same call may repeat the request."""
        status = getattr(self, "status", None)
        if status is None:
            return isinstance(self, TransportError)
        return status in {408, 429} or status >= 500  # noqa: PLR2004  # 5xx

    def __str__(self) -> str:
        tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
        cause = f" ({self.cause})" if self.cause else ""
        advice = f" {self.advice}" if self.advice else ""
        return (
            f"{self.operation} failed after {tries} in {self.elapsed_s:.1f} s:"
            f" {self.problem}{cause}.{advice}"
        )


class TransportError(RequestError):
    """No complete answer arrived; whether the service acted is unknown."""


class ConnectError(TransportError):
    """No connection came about: name lookup, route, proxy or TLS."""

    advice = "Check the origin, the network and the proxy."


class ConnectionLostError(TransportError):
    """The connection broke before the whole answer had arrived.

    Attributes:
        was_reused: Whether the connection had served an earlier request, so that the
            service may simply have closed it while it was idle.
    """

    advice = "Try again; the service may or may not have acted."

    was_reused: bool = False


class DeadlineError(TransportError, TimeoutError):
    """The call's own time budget ran out.

    Attributes:
        last_failure: What the last attempt ran into, or ``None`` when it was still
            waiting for its answer.
    """

    advice = "Give the call a larger timeout_s, or look why the service is slow."

    def __init__(
        self,
        problem: str,
        *,
        operation: str = "request",
        attempts: int = 1,
        elapsed_s: float = 0.0,
        cause: str | None = None,
        last_failure: RequestError | None = None,
    ) -> None:
        super().__init__(
            problem,
            operation=operation,
            attempts=attempts,
            elapsed_s=elapsed_s,
            cause=cause,
        )
        self.last_failure = last_failure


class ServiceError(RequestError):
    """An answer arrived and said no.

    Attributes:
        status: The HTTP status, or the body's own when HTTP said 200.
        message: The service's words; empty when it gave none.
        service: Who answered, such as ``"Presence"`` or ``"Access Manager"``.
        retry_after_s: Seconds the service asked to wait, or ``None``.
    """

    def __init__(
        self,
        problem: str,
        *,
        status: int,
        message: str = "",
        service: str = "",
        retry_after_s: float | None = None,
        operation: str = "request",
        attempts: int = 1,
        elapsed_s: float = 0.0,
        cause: str | None = None,
    ) -> None:
        super().__init__(
            problem,
            operation=operation,
            attempts=attempts,
            elapsed_s=elapsed_s,
            cause=cause,
        )
        self.status = status
        self.message = message
        self.service = service
        self.retry_after_s = retry_after_s


class RejectedRequestError(ServiceError):
    """The service refuses the request as it stands: 3xx, 400, 402, 404, 414, …."""

    advice = "The same request will be refused again."


class AccessDeniedError(ServiceError):
    """The service refuses this user or token: 401 or 403.

    Attributes:
        channels: The channels refused, as far as the service named them.
        channel_groups: The channel groups refused, without the wire's colon.
    """

    advice = "Check the token and what it grants."

    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()


class RateLimitedError(ServiceError):
    """The service asks to slow down: 429; ``retry_after_s`` says how long."""

    advice = "Send fewer requests."


class UnavailableError(ServiceError):
    """The service cannot answer now: 5xx."""

    advice = "Try again later."


class ReplyFormatError(RequestError):
    """A success status came with a body that no documentation describes.

    Attributes:
        excerpt: The first 200 characters of the body, redacted.
    """

    advice = "Something other than the service may have answered."

    def __init__(
        self,
        problem: str,
        *,
        excerpt: str = "",
        operation: str = "request",
        attempts: int = 1,
        elapsed_s: float = 0.0,
        cause: str | None = None,
    ) -> None:
        super().__init__(
            problem,
            operation=operation,
            attempts=attempts,
            elapsed_s=elapsed_s,
            cause=cause,
        )
        self.excerpt = excerpt

    def __str__(self) -> str:
        return f"{super().__str__()} It began {self.excerpt!r}."
