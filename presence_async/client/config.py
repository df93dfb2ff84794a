"""PresenceConfig: every knob of a client, with unit, range and source."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any, Final, Self

import attrs

from ..errors import InvalidArgumentError
from ..protocol import names
from ..protocol.identity import checked_query_params
from .auth import Auth, checked_auth
from .checks import (
    checked_presence_timeout_s,
    either,
    positive,
    positive_count,
    positive_finite,
)
from .origin import base_url, proxy_url
from .retry import ExponentialRetry, RetryPolicy, retry_policy

__all__ = ["LARGEST_UNCLAMPED_TIMEOUT_S", "PresenceConfig"]

LARGEST_UNCLAMPED_TIMEOUT_S: Final = 320
"""Seconds; PubNub's JavaScript SDK clamps longer presence timeouts to this."""

_ENVIRONMENT: Final = {
    "subscribe_key": "PUBNUB_SUBSCRIBE_KEY",
    "publish_key": "PUBNUB_PUBLISH_KEY",
    "secret_key": "PUBNUB_SECRET_KEY",
    "user_id": "PUBNUB_USER_ID",
    "auth": "PUBNUB_AUTH",
    "origin": "PUBNUB_ORIGIN",
    "presence_timeout_s": "PUBNUB_PRESENCE_TIMEOUT_S",
}
_MANY_DIGITS: Final = 20
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
            field.name, "must be an ssl.SSLContext; write ssl.create_default_context()"
        )


def _params(value: Mapping[str, str] | None) -> Mapping[str, str]:
    return dict(checked_query_params(value))


@attrs.frozen(kw_only=True)
class PresenceConfig:
    """What a ``PresenceClient`` needs to know; checked when it is made.

    Attributes:
        subscribe_key: The key set, ``sub-c-…``.
        user_id: The user this client speaks for unless a call names another.
        publish_key: Only part of signatures.
        secret_key: Signs every request (signature v2); for servers only.
        auth: A token, or an ``async`` function from user id to token.
        origin: Host, ``host:port``, or a URL, whose scheme then decides ``secure``.
        secure: TLS or not.
        presence_timeout_s: Seconds without a heartbeat until the service reports a
            timeout; an int from 3. Above 320 some services clamp: one warning is
            logged when a client starts.
        heartbeat_interval_s: Seconds between heartbeats of leases with the configured
            timeout; ``None``: timeout / 2 - 1, the formula of PubNub's SDKs.
        leave_on_close: Whether ``close`` tells the service that its users left.
        attempt_timeout_s: Seconds for one request on the wire.
        call_timeout_s: Seconds for a whole call with its retries and waits;
            ``math.inf`` for no limit. The official SDKs allow 10 to 15 s.
        connect_timeout_s: Seconds for one connection to come about.
        close_timeout_s: Seconds that ``close`` and the end of a lease may take.
        poll_timeout_s: Seconds a poll for events may be held; longer silence counts as
            a lost connection. The SDKs use 310; the service answers an idle poll
            after somewhat less, so a shorter one reconnects without need.
        max_connections: Queries on the wire at once; the next ones wait.
        max_beats_in_flight: Heartbeats and leaves on the wire at once, beside queries.
        max_requests_per_s: Cap for heartbeats and leaves together; ``None``: none.
        max_reply_bytes: Largest reply body, counted after decompression.
        retry: When a failed call is tried again.
        proxy: URL of an HTTP proxy.
        ssl_context: For own certificates; ``None``: the system's.
        query_params: Sent with every request; must not name a parameter of ours.

    Raises:
        InvalidArgumentError: A value is out of range, or two do not go together.
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

    def __attrs_post_init__(self) -> None:
        """Check what takes more than one value."""
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
        """Make a config from the environment; arguments win over variables.

        Reads ``PUBNUB_SUBSCRIBE_KEY``, ``PUBNUB_PUBLISH_KEY``, ``PUBNUB_SECRET_KEY``,
        ``PUBNUB_USER_ID``, ``PUBNUB_AUTH``, ``PUBNUB_ORIGIN`` and
        ``PUBNUB_PRESENCE_TIMEOUT_S``; an empty variable counts as unset.

        Raises:
            InvalidArgumentError: As the class does, naming the variable where it
                comes from one.
        """
        try:
            return cls(**{**_environment(), **overrides})  # type: ignore[arg-type]  # validated
        except InvalidArgumentError as error:
            # Without its frames, whose locals hold the secrets found.
            refused = error.with_traceback(None)
        variable = _ENVIRONMENT.get(refused.argument)
        if variable is None or refused.argument in overrides:
            raise refused
        raise InvalidArgumentError(variable, refused.rule)

    @property
    def base_url(self) -> str:
        """Scheme, host and port, such as ``https://ps.pndsn.com``."""
        return base_url(self.origin, secure=self.secure)

    def interval_s(self, presence_timeout_s: int) -> float:
        """Return the seconds between heartbeats for a presence timeout."""
        if self.heartbeat_interval_s is not None and (
            presence_timeout_s == self.presence_timeout_s
        ):
            return self.heartbeat_interval_s
        return default_interval_s(presence_timeout_s)

    def to_dict(self) -> dict[str, object]:
        """Return the plain settings ready for JSON, secrets left out."""
        return {
            field.name: value
            for field in attrs.fields(type(self))
            if field.repr
            and isinstance(
                value := getattr(self, field.name), (str, int, float, type(None))
            )
        }


def default_interval_s(presence_timeout_s: int) -> float:
    """Return half the timeout less a second, as PubNub's SDKs and docs have it."""
    return presence_timeout_s / 2 - 1


def _environment() -> dict[str, object]:
    """Return the settings that the environment names."""
    found: dict[str, object] = {
        field: os.environ[variable]
        for field, variable in _ENVIRONMENT.items()
        if os.environ.get(variable)
    }
    seconds = str(found.get("presence_timeout_s", ""))
    if seconds.isascii() and seconds.isdecimal() and len(seconds) < _MANY_DIGITS:
        found["presence_timeout_s"] = int(seconds)
    return found
