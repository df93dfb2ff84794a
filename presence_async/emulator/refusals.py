"""Error replies of PubNub's services, with the bodies that recordings show. Pure.

The services differ in how they write ``error`` and in how the body ends.
Recorded: Access Manager (true, newline) and balancer (true, newline). From SDK tests:
presence (1), registry (true) and the rate limit, which names no service.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from ..protocol import envelope
from ..protocol.exchange import HttpReply
from ..protocol.json_codec import Json

__all__ = [
    "access_denied",
    "bad_request",
    "empty_subscription",
    "forbidden",
    "injected",
    "invalid_filter",
    "not_found",
    "not_sent",
    "not_turned_on",
    "other_method",
    "raw",
    "registry_refusal",
    "too_long",
    "too_many_requests",
    "with_headers",
]

ACCESS_MANAGER = "Access Manager"
_NOT_TURNED_ON = (
    "This feature is not turned on for this account."
    " Contact support@pubnub.com to activate this feature."
)

_ACCESS_HEADERS: Mapping[str, str] = {
    "content-type": "text/javascript; charset=UTF-8",
    "cache-control": "no-cache, no-store, must-revalidate",
}


def raw(body: bytes, *, status: int = 200) -> HttpReply:
    """Return a reply with any body and the usual headers."""
    return HttpReply(status=status, body=body, headers=envelope.HEADERS)


def with_headers(
    reply: HttpReply, *, retry_after: int | None = None, age: int | None = None
) -> HttpReply:
    """Return a reply with ``Retry-After`` and ``Age`` added if given."""
    more = {"retry-after": retry_after, "age": age}
    given = {name: str(value) for name, value in more.items() if value is not None}
    return msgspec.structs.replace(reply, headers={**reply.headers, **given})


def access_denied(
    status: int, message: str, payload: Mapping[str, Json] | None = None
) -> HttpReply:
    """Return a refusal of Access Manager."""
    reply = envelope.error_reply(
        status, message, service=ACCESS_MANAGER, payload=payload, ending=b"\n"
    )
    return msgspec.structs.replace(reply, headers={**reply.headers, **_ACCESS_HEADERS})


def forbidden(channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> HttpReply:
    """Return a refusal of names; groups carry a colon, for the empty namespace.

    Both kinds in one body, and a body without names, are unverified.
    """
    payload: dict[str, Json] = {}
    if channels:
        payload["channels"] = list(channels)
    if channel_groups:
        payload["channel-groups"] = [f":{name}" for name in channel_groups]
    return access_denied(403, "Forbidden", payload or None)


def bad_request(message: str) -> HttpReply:
    """Return the refusal of an invalid presence request."""
    return envelope.error_reply(400, message, error=1)


def empty_subscription() -> HttpReply:
    """Return the refusal of a subscribe to groups without any channel.

    The words are in PubNub's C SDK; the rest comes from a report in the field.
    """
    return envelope.error_reply(
        400,
        "Channel group or groups result in empty subscription set",
        service="PubSub",
    )


def not_sent(reason: str, timetoken: int, *, status: int = 400) -> HttpReply:
    """Return the refusal of a message or signal.

    Recorded for "Invalid Key" and "Signal size too large"; the words "Invalid JSON" and
    "Message Too Large" are in PubNub's C SDK.
    """
    body = json.dumps([0, reason, str(timetoken)], separators=(",", ":"))
    return raw(body.encode(), status=status)


def not_turned_on() -> HttpReply:
    """Return the refusal of a feature that the keyset lacks.

    HTTP says 200, as in an SDK's tests. A support article of PubNub has HTTP 402.
    """
    reply = envelope.error_reply(402, _NOT_TURNED_ON, error=1)
    return msgspec.structs.replace(reply, status=200)


def invalid_filter(message: str) -> HttpReply:
    """Return the refusal of a filter expression: a 481, as documented.

    The body is unverified.
    """
    return envelope.error_reply(481, message, error=1)


def registry_refusal(message: str) -> HttpReply:
    """Return the refusal of an invalid request about channel groups."""
    return envelope.error_reply(400, message, service="channel-registry")


def not_found(path: str) -> HttpReply:
    """Return the reply to a path that no service knows."""
    return envelope.error_reply(404, f"Not found: '{path}'", error=1, has_status=False)


def other_method(method: str, *, allowed: str = "GET") -> HttpReply:
    """Return the reply to a wrong method: permission for OPTIONS, else a 405.

    The methods are those of recorded replies; headers and bodies are unverified.
    """
    if method == "OPTIONS":
        more = {"access-control-allow-headers": "*", "access-control-max-age": "86400"}
        return HttpReply(status=200, body=b"", headers={**envelope.HEADERS, **more})
    refusal = envelope.error_reply(405, "Method Not Allowed", error=1)
    return msgspec.structs.replace(
        refusal, headers={**refusal.headers, "allow": f"{allowed}, OPTIONS"}
    )


def too_long() -> HttpReply:
    """Return the refusal of a request target above 32 KiB."""
    return envelope.error_reply(
        414, "Request URI Too Long", service="Balancer", ending=b"\n"
    )


def too_many_requests() -> HttpReply:
    """Return the refusal of a request above the rate limit."""
    return envelope.error_reply(429, "Too many requests.", service=None)


def injected(status: int) -> HttpReply:
    """Return the reply for a fault's status, in the service's words if known."""
    known = _KNOWN.get(status)
    return known or envelope.error_reply(status, "Injected fault", error=1)


_KNOWN: Mapping[int, HttpReply] = {
    403: access_denied(403, "Forbidden"),
    413: envelope.error_reply(413, "Request Entity Too Large.", service="Balancer"),
    414: too_long(),
    429: too_many_requests(),
    503: envelope.error_reply(503, "Service Unavailable", error=1),
    504: envelope.error_reply(504, "Service Unavailable", service=ACCESS_MANAGER),
}
