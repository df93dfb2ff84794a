"""What observers are told: frozen records, none of which holds a secret."""

from __future__ import annotations

import enum

import attrs

from ..errors import (
    AccessDeniedError,
    ClientClosedError,
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    PresenceError,
    RateLimitedError,
    RejectedRequestError,
    ReplyFormatError,
    RequestError,
    UnavailableError,
)
from ..protocol.exchange import compiled_route
from .feed.listener import StreamHealth

__all__ = [
    "HeartbeatFinished",
    "LoopBlocked",
    "RequestFinished",
    "RequestOutcome",
    "StreamChange",
    "outcome_of",
    "url_template",
]


class RequestOutcome(enum.StrEnum):
    """What became of one request."""

    OK = "ok"
    """The service answered, and the answer was understood."""
    DENIED = "denied"
    """401 or 403."""
    REJECTED = "rejected"
    """3xx, or a 4xx that is neither a denial nor a limit."""
    LIMITED = "limited"
    """429."""
    UNAVAILABLE = "unavailable"
    """5xx."""
    MALFORMED = "malformed"
    """A success status with a body that is not as documented."""
    TIMEOUT = "timeout"
    """No complete answer in time."""
    NOT_CONNECTED = "not_connected"
    """No connection: name, route or TLS."""
    CUT = "cut"
    """Connected, then cut."""
    CANCELLED = "cancelled"
    """The caller, or the end of the client, cancelled it."""


_OUTCOMES: dict[type[Exception], RequestOutcome] = {
    AccessDeniedError: RequestOutcome.DENIED,
    RateLimitedError: RequestOutcome.LIMITED,
    RejectedRequestError: RequestOutcome.REJECTED,
    UnavailableError: RequestOutcome.UNAVAILABLE,
    ReplyFormatError: RequestOutcome.MALFORMED,
    DeadlineError: RequestOutcome.TIMEOUT,
    ConnectError: RequestOutcome.NOT_CONNECTED,
    ConnectionLostError: RequestOutcome.CUT,
    ClientClosedError: RequestOutcome.CANCELLED,
}


def outcome_of(error: BaseException | None) -> RequestOutcome:
    """Return the outcome of a request that ended with an error, or with ``None``."""
    if error is None:
        return RequestOutcome.OK
    for kind in type(error).__mro__:
        if kind in _OUTCOMES:
            return _OUTCOMES[kind]
    # Whatever is no error of ours comes from outside, as a cancellation does.
    is_cut = isinstance(error, RequestError)
    return RequestOutcome.CUT if is_cut else RequestOutcome.CANCELLED


@attrs.frozen(kw_only=True)
class RequestFinished:
    """One request has ended: a call makes several if it is repeated.

    Attributes:
        operation: What it asked, such as ``"here now"`` or ``"subscribe"``.
        user_id: In whose name.
        outcome: What became of it.
        status: The status of the answer; ``None`` if none arrived.
        error: The class of the error, such as ``"ConnectError"``; ``None``: none.
        attempt: 1 for the first request of a call, 2 for its first repetition.
        duration_s: Seconds from sending to the complete answer, connecting included.
        scheme: ``"https"`` or ``"http"``.
        host: The host asked, without its port.
        port: The port.
        url_template: The path with names in braces instead of values, without query.
    """

    operation: str
    user_id: str
    outcome: RequestOutcome
    status: int | None
    error: str | None
    attempt: int
    duration_s: float
    scheme: str
    host: str
    port: int
    url_template: str


@attrs.frozen(kw_only=True)
class HeartbeatFinished:
    """One heartbeat has ended, whether the client or a caller wanted it.

    Attributes:
        user_id: Who was announced.
        channels: On which channels.
        channel_groups: On the channels of which groups.
        presence_timeout_s: For how many seconds.
        is_join: Whether it was the first heartbeat of a lease.
        error: Why it failed, without secrets; ``None``: it was acknowledged.
        age_s: Seconds the answer had lain in a cache; above 0 it is no
            acknowledgement, and the heartbeat is repeated.
        lateness_s: Seconds between when it was due and when it was sent; 0.0 for
            heartbeats that were due when somebody asked for them.
        duration_s: Seconds from when it was handed out to its outcome, with the wait
            for a token or a connection.
    """

    user_id: str
    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    presence_timeout_s: int
    is_join: bool
    error: PresenceError | None
    age_s: float
    lateness_s: float
    duration_s: float


@attrs.frozen(kw_only=True)
class StreamChange:
    """The health of an event stream, roster or live count has changed.

    Attributes:
        channels: The channels it listens to.
        channel_groups: The groups.
        previous: The health before; ``None``: it has just been entered, or the
            observer been added.
        health: The health now; ``CLOSED`` comes last.
        error: The failure behind it, without secrets; ``None``: none.
        at: Loop time of the change.
    """

    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    previous: StreamHealth | None
    health: StreamHealth
    error: RequestError | None
    at: float


@attrs.frozen(kw_only=True)
class LoopBlocked:
    """The event loop did not run for a while, so that heartbeats are late.

    Attributes:
        blocked_s: Seconds for which the program kept the loop from running.
        slept_s: Seconds for which the machine slept; one of the two is 0.0.
        late_user_ids: Users whose heartbeats are overdue.
        lost: How many of these have run out.
        at: Loop time when it was noticed.
    """

    blocked_s: float
    slept_s: float
    late_user_ids: tuple[str, ...]
    lost: int
    at: float


def url_template(route: str, path: str) -> str:
    """Return a path with the names of its parts in braces instead of their values.

    Args:
        route: The pattern of the operation's path.
        path: The path; one that does not match gives ``"/"``.
    """
    found = compiled_route(route).fullmatch(path)
    if found is None:
        return "/"
    spans = sorted((found.span(name), name) for name in found.groupdict())
    for (start, end), name in reversed(spans):
        if start >= 0:
            path = f"{path[:start]}{{{name}}}{path[end:]}"
    return path
