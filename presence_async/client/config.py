"""PresenceConfig: the settings of a client, with their units, ranges and sources."""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Callable, Container, Mapping
from typing import Any, Final, Self

import attrs

from ..checks import (
    checked_presence_timeout_s,
    either,
    has_control_characters,
    positive,
    positive_count,
    positive_finite,
    whole_number,
)
from ..errors import InvalidArgumentError
from ..protocol import names
from ..protocol.identity import checked_query_params
from .auth import Auth, checked_auth
from .origin import base_url, proxy_url
from .retry import ExponentialRetry, RetryPolicy, retry_policy

__all__ = ["LARGEST_UNCLAMPED_TIMEOUT_S", "PresenceConfig", "environment_value"]

LARGEST_UNCLAMPED_TIMEOUT_S: Final = 320
"""Seconds; PubNub's JavaScript SDK clamps longer presence timeouts to this."""

_ENVIRONMENT: Final = {
    "subscribe_key": "PUBNUB_SUBSCRIBE_KEY",
    "publish_key": "PUBNUB_PUBLISH_KEY",
    "secret_key": "PUBNUB_SECRET_KEY",
    "user_id": "PUBNUB_USER_ID",
    "auth": "PUBNUB_AUTH",
    "origin": "PUBNUB_ORIGIN",
    "proxy": "PUBNUB_PROXY",
    "presence_timeout_s": "PUBNUB_PRESENCE_TIMEOUT_S",
    "explain_to": "PRESENCE_EXPLAIN_FILE",
}
_MANY_DIGITS: Final = 20
_LINE_ENDS: Final = "\r\n"
_MISSING_HINTS: Final = {
    "subscribe_key": "is missing; write the key set's subscribe key, 'sub-c-…'",
    "user_id": "is missing; write a stable name for this user or service",
}


def _required(_: object, field: attrs.Attribute[str], value: str | None) -> None:
    if value == "" or value is None:
        raise InvalidArgumentError(field.name, _MISSING_HINTS[field.name])
    if field.name == "user_id":
        names.user_id(value)
    else:
        names.key(value, field.name)


def _optional_key(_: object, field: attrs.Attribute[str], value: str | None) -> None:
    if value is not None:
        names.key(value, field.name)


def _auth(_: object, __: attrs.Attribute[Auth], value: Auth) -> None:
    checked_auth(value)


def _presence_timeout(_: object, __: attrs.Attribute[int], value: int) -> None:
    checked_presence_timeout_s(value)


def _ssl_context(_: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise InvalidArgumentError(
            field.name,
            "must be an ssl.SSLContext, such as ssl.create_default_context()",
        )


def _count_or_none(_: object, field: attrs.Attribute[int], value: object) -> None:
    whole_number(value, field.name, least=0)


def _file_path(value: object) -> str | None:
    if value is None:
        return None
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else ""
    if not isinstance(path, str) or not path or "\0" in path:
        raise InvalidArgumentError("explain_to", "must be the path of a file, or None")
    return path


def _params(value: Mapping[str, str] | None) -> Mapping[str, str]:
    return dict(checked_query_params(value))


@attrs.frozen(kw_only=True)
class PresenceConfig:
    """The settings of a ``PresenceClient``, checked when they are made.

    Attributes:
        subscribe_key: The key that names the key set, ``sub-c-…``.
        user_id: The user this client speaks for unless a call names another.
        publish_key: Used in signatures only.
        secret_key: Signs every request (signature v2); for servers only.
        auth: A token, or an ``async`` function that takes a user ID and returns a
            token.
        origin: Host, ``host:port``, or a URL, whose scheme overrides ``secure``.
        secure: Whether to use TLS.
        presence_timeout_s: Seconds without a heartbeat after which the service reports
            a timeout; an int, 3 or more. Some services clamp values above 320, so a
            client logs a warning about these when it starts.
        heartbeat_interval_s: Seconds between heartbeats of leases with the configured
            timeout; ``None`` for timeout / 2 - 1, the formula of PubNub's SDKs.
        leave_on_close: Whether ``close`` tells the service that its users left.
        attempt_timeout_s: Seconds that one attempt to send a request may take.
        call_timeout_s: Seconds that a call may take, with its retries and waits;
            ``math.inf`` for no limit. The official SDKs allow 10 to 15 s.
        connect_timeout_s: Seconds that opening a connection may take.
        close_timeout_s: Seconds that ``close`` and the end of a lease may take.
        poll_timeout_s: Seconds that the service may hold a poll for events; after a
            longer silence the connection counts as lost. The SDKs use 310. The service
            answers idle polls somewhat earlier, so a shorter limit only makes the
            client reconnect more often.
        max_connections: Queries in flight at once, at most; further ones wait.
        max_beats_in_flight: Heartbeats and leaves in flight at once, at most; queries
            do not count.
        max_requests_per_s: Heartbeats and leaves sent in a second, at most; ``None``
            for no limit.
        max_reply_bytes: Size limit of a reply body, before and after decompression.
        retry: Decides when a failed call is tried again.
        proxy: URL of an HTTP proxy; it may hold a user and a password.
        ssl_context: An SSL context with certificates of your own; ``None`` to use those
            of the system.
        query_params: Parameters sent with every request; they must not include one that
            the library sets itself.
        explain_decisions: Decisions about each user that are remembered for
            ``explain``; 0: none.
        explain_bytes: Bytes that all of them may take; users heard of least lately are
            forgotten first. 0: none.
        explain_to: A local file to write them into as well, for the command
            ``presence-async explain``; ``None``: no file. Beyond 10 MiB it becomes
            ``….1``. It is written from the event loop: a line for each decision, and
            each 30 s, about 300 bytes and 10 us. A new file is for its owner alone, one
            that exists keeps its mode. It holds user IDs, names and errors, never a
            token or key.

    Raises:
        InvalidArgumentError: A value is out of range, or two values contradict each
            other.
    """

    subscribe_key: str = attrs.field(default="", validator=_required)
    user_id: str = attrs.field(default="", validator=_required)
    publish_key: str | None = attrs.field(default=None, validator=_optional_key)
    secret_key: str | None = attrs.field(
        default=None, validator=_optional_key, repr=False
    )
    auth: Auth = attrs.field(default=None, validator=_auth, repr=False)
    origin: str = "ps.pndsn.com"
    secure: bool = attrs.field(default=True, validator=either)
    presence_timeout_s: int = attrs.field(default=300, validator=_presence_timeout)
    heartbeat_interval_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(positive_finite)
    )
    leave_on_close: bool = attrs.field(default=True, validator=either)
    attempt_timeout_s: float = attrs.field(default=10.0, validator=positive_finite)
    call_timeout_s: float = attrs.field(default=30.0, validator=positive)
    connect_timeout_s: float = attrs.field(default=5.0, validator=positive_finite)
    close_timeout_s: float = attrs.field(default=10.0, validator=positive_finite)
    poll_timeout_s: float = attrs.field(default=310.0, validator=positive_finite)
    max_connections: int = attrs.field(default=100, validator=positive_count)
    max_beats_in_flight: int = attrs.field(default=64, validator=positive_count)
    max_requests_per_s: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(positive_finite)
    )
    max_reply_bytes: int = attrs.field(default=8 * 2**20, validator=positive_count)
    retry: RetryPolicy = attrs.field(factory=ExponentialRetry, validator=retry_policy)
    proxy: str | None = attrs.field(default=None, validator=proxy_url, repr=False)
    ssl_context: ssl.SSLContext | None = attrs.field(
        default=None, validator=_ssl_context, repr=False
    )
    query_params: Mapping[str, str] = attrs.field(
        default=None, converter=_params, repr=False
    )
    explain_decisions: int = attrs.field(default=50, validator=_count_or_none)
    explain_bytes: int = attrs.field(default=10 * 2**20, validator=_count_or_none)
    explain_to: str | None = attrs.field(default=None, converter=_file_path)

    def __attrs_post_init__(self) -> None:
        """Check the rules that involve more than one setting."""
        base_url(self.origin, secure=self.secure)
        interval_s = self.heartbeat_interval_s
        if interval_s is not None and interval_s >= self.presence_timeout_s:
            raise InvalidArgumentError(
                "heartbeat_interval_s",
                f"{interval_s:g} s is not below presence_timeout_s"
                f" ({self.presence_timeout_s} s), so every user would time out;"
                f" write {default_interval_s(self.presence_timeout_s):g} or None",
            )

    @classmethod
    def from_env(cls, **overrides: object) -> Self:
        """Make a config from the environment; arguments override variables.

        Reads ``PUBNUB_SUBSCRIBE_KEY``, ``PUBNUB_PUBLISH_KEY``, ``PUBNUB_SECRET_KEY``,
        ``PUBNUB_USER_ID``, ``PUBNUB_AUTH``, ``PUBNUB_ORIGIN``, ``PUBNUB_PROXY``,
        ``PUBNUB_PRESENCE_TIMEOUT_S`` and ``PRESENCE_EXPLAIN_FILE`` (``explain_to``).
        Line ends around a value are removed, since values read from files often carry
        them; an empty variable counts as unset.

        Args:
            overrides: Settings by field name.

        Raises:
            InvalidArgumentError: A setting is invalid; if it comes from a variable, the
                error names the variable.
        """
        try:
            return cls(**{**_environment(overrides), **overrides})  # type: ignore[arg-type]  # validated
        except InvalidArgumentError as error:
            # Drop the frames: their locals hold secrets read from the environment.
            refused = error.with_traceback(None)
        variable = _ENVIRONMENT.get(refused.argument)
        if variable is None or refused.argument in overrides:
            raise refused
        raise InvalidArgumentError(variable, refused.rule)

    # Copies share everything but query_params, the only mutable setting. A deep copy of
    # an ssl_context, or of a token function with its connections, is not possible.

    def __copy__(self) -> Self:
        return attrs.evolve(self)

    def __deepcopy__(self, _: object) -> Self:
        return attrs.evolve(self)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[object, ...]]:
        if self.ssl_context is not None:
            raise TypeError(
                "PresenceConfig.ssl_context cannot be pickled; pickle"
                " attrs.evolve(config, ssl_context=None) and add a context afterwards"
            )
        settings = {f.name: getattr(self, f.name) for f in attrs.fields(type(self))}
        return functools.partial(type(self), **settings), ()

    @property
    def base_url(self) -> str:
        """The scheme, host and port of the service, as in ``https://ps.pndsn.com``."""
        return base_url(self.origin, secure=self.secure)

    def interval_s(self, presence_timeout_s: int) -> float:
        """Return the seconds between heartbeats of leases with a presence timeout."""
        if self.heartbeat_interval_s is not None and (
            presence_timeout_s == self.presence_timeout_s
        ):
            return self.heartbeat_interval_s
        return default_interval_s(presence_timeout_s)

    def to_dict(self) -> dict[str, object]:
        """Return the settings that JSON can hold, without secrets."""
        return {
            field.name: value
            for field in attrs.fields(type(self))
            if field.repr
            and isinstance(
                value := getattr(self, field.name), (str, int, float, type(None))
            )
        }


def default_interval_s(presence_timeout_s: int) -> float:
    """Return the interval that PubNub's SDKs use: half the timeout less a second."""
    return presence_timeout_s / 2 - 1


def environment_value(variable: str) -> str | None:
    """Return a variable without the line ends around it; ``None`` if it is empty.

    Raises:
        InvalidArgumentError: It holds control characters; the error never shows the
            value.
    """
    value = os.environ.get(variable, "").strip(_LINE_ENDS)
    if has_control_characters(value):
        raise InvalidArgumentError(
            variable, "must hold neither control characters nor more than one line"
        )
    return value or None


def _environment(overrides: Container[str]) -> dict[str, object]:
    """Return the settings found in the environment, except the overridden ones."""
    found: dict[str, object] = {
        field: value
        for field, variable in _ENVIRONMENT.items()
        if field not in overrides and (value := environment_value(variable))
    }
    seconds = str(found.get("presence_timeout_s", ""))
    if seconds.isascii() and seconds.isdecimal() and len(seconds) < _MANY_DIGITS:
        found["presence_timeout_s"] = int(seconds)
    return found
