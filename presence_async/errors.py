"""Every error of the library, one tree.

PresenceError
├── InvalidArgumentError (ValueError)      refused before any request
│   └── LeaseReleasedError                 the lease had ended before
├── ClientClosedError (RuntimeError)       not started, closed, or another event loop
│   └── ConcurrencyError                   a stream or roster used twice; both above
├── RegisterError                          the shared register is away
└── RequestError                           operation, attempts, elapsed_s, cause
    ├── TransportError                     no complete answer arrived
    │   ├── ConnectError                   not connected: name, route, TLS
    │   ├── ConnectionLostError            connected, then cut
    │   └── DeadlineError (TimeoutError)   the call's own budget ran out
    ├── ServiceError                       an answer arrived and refused the request
    │   ├── RejectedRequestError           3xx and 4xx without a class of its own
    │   ├── AccessDeniedError              401, 403
    │   ├── RateLimitedError               429
    │   └── UnavailableError               5xx
    └── ReplyFormatError                   a success status with an undocumented body

Errors carry plain values only, so they pickle, copy and log safely. The client takes
secrets out of them before it raises them.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypedDict, Unpack

__all__ = [
    "AccessDeniedError",
    "ClientClosedError",
    "ConcurrencyError",
    "ConnectError",
    "ConnectionLostError",
    "DeadlineError",
    "InvalidArgumentError",
    "LeaseReleasedError",
    "PresenceError",
    "RateLimitedError",
    "RegisterError",
    "RejectedRequestError",
    "ReplyFormatError",
    "RequestError",
    "ServiceError",
    "TransportError",
    "UnavailableError",
]

_PRESENCE_SUFFIX: Final = "-pnpres"
_REFUSALS: Final = range(400, 500)
_RETRYABLE_REFUSALS: Final = frozenset({408, 429})


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
    """The client rejected an argument before it made any request.

    Attributes:
        argument: The argument's name, as the caller spells it.
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
    """The client, stream or roster is not open, or belongs to another event loop."""


class ConcurrencyError(InvalidArgumentError, ClientClosedError):
    """A stream or roster was entered twice, or has two readers at once."""


class RegisterError(PresenceError):
    """The register that several clients share cannot be reached, or not in time."""


class _Facts(TypedDict, total=False):
    operation: str
    attempts: int
    elapsed_s: float
    cause: str | None


class RequestError(PresenceError):
    """A request was made and did not succeed.

    Attributes:
        problem: What happened, in one line.
        operation: What the client tried to do, such as ``"here now"``.
        attempts: The number of requests sent.
        elapsed_s: Seconds from the call to this error.
        cause: What the transport saw, in one redacted line, or ``None``.
        is_about_service: False if the failure says nothing about the service: the
            token could not be fetched, or the call's turn did not come in time.
    """

    _advice: ClassVar[str] = ""
    _is_retryable: ClassVar[bool] = False
    is_about_service: bool = True

    def __init__(self, problem: str, **facts: Unpack[_Facts]) -> None:
        super().__init__(problem)
        self.problem = problem
        self.operation: str = facts.get("operation", "request")
        self.attempts: int = facts.get("attempts", 1)
        self.elapsed_s: float = facts.get("elapsed_s", 0.0)
        self.cause: str | None = facts.get("cause")

    @property
    def advice(self) -> str:
        """What to do about it."""
        return self._advice

    @property
    def is_transient(self) -> bool:
        """Return True if it may pass by itself: all but a 4xx; 408 and 429 may."""
        return True

    @property
    def is_retryable(self) -> bool:
        """Return True if the same call may repeat it: no answer, 408, 429 or 5xx."""
        return self._is_retryable

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

    _is_retryable = True


class ConnectError(TransportError):
    """The client could not connect: name lookup, route, proxy or TLS failed."""

    _advice = "Check the origin, the network and the proxy."


class ConnectionLostError(TransportError):
    """The connection broke before the whole answer had arrived.

    Attributes:
        was_reused: Whether the connection had served an earlier request, so that the
            service may simply have closed it while it was idle.
    """

    _advice = "Try again; the service may or may not have acted."

    was_reused: bool = False


class DeadlineError(TransportError, TimeoutError):
    """The call's own time budget ran out.

    Attributes:
        last_failure: The failure of the attempt before, or ``None`` if there was none.
    """

    _advice = "Give the call a larger timeout_s, or find out what is slow."

    def __init__(
        self,
        problem: str,
        *,
        last_failure: RequestError | None = None,
        **facts: Unpack[_Facts],
    ) -> None:
        super().__init__(problem, **facts)
        self.last_failure = last_failure


class ServiceError(RequestError):
    """An answer arrived and refused the request.

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
        **facts: Unpack[_Facts],
    ) -> None:
        super().__init__(problem, **facts)
        self.status = status
        self.message = message
        self.service = service
        self.retry_after_s = retry_after_s

    @property
    def is_transient(self) -> bool:
        """Return True unless the status is a 4xx other than 408 and 429."""
        return self.is_retryable or self.status not in _REFUSALS

    @property
    def is_retryable(self) -> bool:
        """Return True if the status is 408, 429 or a 5xx."""
        return self.status in _RETRYABLE_REFUSALS or self.status >= _REFUSALS.stop


class RejectedRequestError(ServiceError):
    """A 4xx without a class of its own, or a 3xx, as captive portals answer."""

    @property
    def advice(self) -> str:
        """What to do about it, which depends on whether it may pass."""
        if not self.is_transient:
            return "The same request will be refused again."
        stranger = (
            "Something other than the service may have answered; try again later."
        )
        return "Try again later." if self.is_retryable else stranger


class AccessDeniedError(ServiceError):
    """The service refuses this user or token: 401 or 403.

    Attributes:
        channels: The channels refused, as far as the service named them.
        channel_groups: The channel groups refused, without the wire's colon.
    """

    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()

    @property
    def advice(self) -> str:
        """What to do about it, which depends on who refused."""
        if not self.is_about_service:
            return "Check the auth function."
        if "signature" in self.message.lower():
            return "Check secret_key and publish_key, and the clock."
        if self.operation == "subscribe":
            return f"Check the token and what it grants: {self._events_right()}."
        return "Check the token and what it grants."

    def _events_right(self) -> str:
        """Return what a token needs: events come on names of their own."""
        names = [
            name.removesuffix(_PRESENCE_SUFFIX) + _PRESENCE_SUFFIX
            for name in (*self.channels, *self.channel_groups)
        ]
        return f"events need read on {', '.join(names) or 'names with -pnpres'}"


class RateLimitedError(ServiceError):
    """The service asks the client to slow down: 429."""

    _advice = "Send fewer requests."


class UnavailableError(ServiceError):
    """The service cannot answer now: 5xx."""

    _advice = "Try again later."


class ReplyFormatError(RequestError):
    """A success status came with a body that no documentation describes.

    Attributes:
        excerpt: The first 200 characters of the body, redacted.
    """

    _advice = "Something other than the service may have answered."

    def __init__(
        self, problem: str, *, excerpt: str = "", **facts: Unpack[_Facts]
    ) -> None:
        super().__init__(problem, **facts)
        self.excerpt = excerpt

    def __str__(self) -> str:
        return f"{super().__str__()} It began {self.excerpt!r}."
