"""The envelope of every reply: decode success, and turn failure into an error.

Bodies as recorded: ``{"status": 200, "message": "OK", "service": "Presence", …}`` for
success; for failure the fields vary by service and era, ``error`` may be true, 1,
``"1"``, an object or text, ``message`` may be missing or named ``error_message``, and
a body of status 400 or more may come with HTTP 200.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol, TypeVar

import msgspec

from ..errors import (
    AccessDeniedError,
    RateLimitedError,
    RejectedRequestError,
    ReplyFormatError,
    ServiceError,
    UnavailableError,
)
from .exchange import HttpReply
from .json_codec import UNDECODABLE_ERRORS, Json, JsonError, decode, decode_strictly

__all__ = [
    "HEADERS",
    "acknowledge",
    "error_reply",
    "read",
    "success_reply",
    "whole_seconds",
]


class _Wire(Protocol):
    """A wire class: the status in the body, 200 if it has none, and its error."""

    status: int
    error: object


WireT = TypeVar("WireT", bound=_Wire)

_EXCERPT_CHARACTERS = 200
_HTTP_OK = 200
_HTTP_REDIRECT = 300
_HTTP_REFUSED = 400
_HTTP_RATE_LIMITED = 429
_HTTP_UNAVAILABLE = 500
HEADERS: Mapping[str, str] = {
    "content-type": 'text/javascript; charset="UTF-8"',
    "cache-control": "no-cache",
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "OPTIONS, GET, POST",
}
"""The headers of replies, as recorded."""


class _Acknowledged(msgspec.Struct, gc=False):
    """A success without data: heartbeats, leaves and registry changes."""

    status: int
    error: object = None


class _Refused(msgspec.Struct):
    """The fields of an error body, each of any type, all optional."""

    status: object = None
    error: object = None
    message: object = None
    error_message: object = None
    service: object = None
    payload: object = None


_ACKNOWLEDGED = msgspec.json.Decoder(_Acknowledged)
_REFUSED = msgspec.json.Decoder(_Refused)
_ANYTHING = msgspec.json.Decoder(object)


def read(
    reply: HttpReply, decoder: msgspec.json.Decoder[WireT], *, has_parts: bool = False
) -> WireT:
    """Decode the body of a success into a wire class.

    A body with an error, or with a status of 400 or more, is not a success.

    Args:
        reply: The reply.
        decoder: The decoder of the wire class.
        has_parts: Whether the class keeps raw values, one of which may be undecodable
            without spoiling the others.

    Raises:
        ServiceError: The status, or the status in the body, says no.
        ReplyFormatError: A success status with a body of another shape.
    """
    if not _HTTP_OK <= reply.status < _HTTP_REDIRECT:
        raise _service_error(reply, _refused(reply))
    try:
        wire = decoder.decode(reply.body)
    except UNDECODABLE_ERRORS:
        careful, reason = _decoded_with_care(reply, decoder, has_parts=has_parts)
        if careful is not None and _is_success(careful):
            return careful
    else:
        if _is_success(wire):
            return wire
        reason = "an error inside a success"
    refused = _refused(reply)
    if _body_status(refused) >= _HTTP_REFUSED:
        raise _service_error(reply, refused)
    raise _format_error(reply, reason)


def acknowledge(reply: HttpReply) -> None:
    """Check that a reply is a success, and ignore its data.

    Raises:
        ServiceError: As ``read``.
        ReplyFormatError: As ``read``; also for text that is not UTF-8.
    """
    read(reply, _ACKNOWLEDGED)
    # The decoder looks at nothing but the status.
    if not reply.body.isascii() and not _is_utf8(reply.body):
        raise _format_error(reply, "not UTF-8")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_success(wire: _Wire) -> bool:
    return _HTTP_OK <= wire.status < _HTTP_REDIRECT and not wire.error


def _decoded_with_care(
    reply: HttpReply, decoder: msgspec.json.Decoder[WireT], *, has_parts: bool
) -> tuple[WireT | None, str]:
    decoded = decode if has_parts else decode_strictly
    try:
        return decoded(reply.body, decoder), ""
    except JsonError as error:
        return None, str(error)


def success_reply(fields: Mapping[str, object]) -> HttpReply:
    """Return a success with a compact body and sorted keys, as in 2025.

    Args:
        fields: Added to status, message and service, or replacing them; ``None``
            removes one.
    """
    common = {"status": 200, "message": "OK", "service": "Presence"}
    body = {k: v for k, v in {**common, **fields}.items() if v is not None}
    return HttpReply(status=_HTTP_OK, body=_written(body), headers=HEADERS)


def error_reply(
    status: int,
    message: str,
    *,
    service: str | None = "Presence",
    error: bool | int = True,
    payload: Mapping[str, Json] | None = None,
    has_status: bool = True,
    ending: bytes = b"",
) -> HttpReply:
    """Return a failure; the differences between PubNub's services are arguments.

    Args:
        status: The status of HTTP and of the body.
        message: The service's words.
        service: The service's name; ``None``: the body has none.
        error: The value of ``error`` in the body.
        payload: The names that are refused.
        has_status: Whether the body repeats the status.
        ending: Bytes after the JSON.
    """
    fields = {
        "status": status if has_status else None,
        "error": error,
        "message": message,
        "service": service,
        "payload": payload,
    }
    body = _written({k: v for k, v in fields.items() if v is not None})
    return HttpReply(status=status, body=body + ending, headers=HEADERS)


def _written(fields: Mapping[str, object]) -> bytes:
    # As the service writes: ASCII with \uXXXX escapes.
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()


def _refused(reply: HttpReply) -> _Refused:
    try:
        return decode_strictly(reply.body, _REFUSED)
    except JsonError:
        return _Refused(message=_array_message(reply.body))


def _array_message(body: bytes) -> object:
    """Return the message in the array form of an error: ``[0, "Invalid Key", "…"]``."""
    try:
        match decode_strictly(body, _ANYTHING):
            case [_, str(message), *_]:
                return message
            case _:
                return None
    except JsonError:
        return None


def _body_status(refused: _Refused) -> int:
    status = refused.status
    return status if isinstance(status, int) and not isinstance(status, bool) else 0


def _service_error(reply: HttpReply, refused: _Refused) -> ServiceError:
    status = reply.status
    if _HTTP_OK <= status < _HTTP_REDIRECT:
        status = _body_status(refused)
    message = _message(refused)
    kind = _error_class(status)
    service = refused.service if isinstance(refused.service, str) else ""
    said = f" {message!r}" if message else ""
    error = kind(
        f"{service or 'the service'} answered {status}{said}",
        status=status,
        message=message,
        service=service,
        retry_after_s=whole_seconds(reply.headers.get("retry-after")),
    )
    if isinstance(error, AccessDeniedError):
        error.channels = _names_refused(refused.payload, "channels")
        error.channel_groups = tuple(
            name.removeprefix(":")
            for name in _names_refused(refused.payload, "channel-groups")
        )
    return error


def whole_seconds(text: str | None) -> float | None:
    """Read a header of seconds, 2**31 at most (RFC 9111, 1.2.2), None if invalid."""
    first = (text or "").partition(",")[0].strip(" \t")
    is_valid = first.isascii() and first.isdecimal()
    # Eleven digits are over the limit already, and ``int`` refuses thousands.
    return float(min(int(first.lstrip("0")[:11] or 0), 2**31)) if is_valid else None


def _error_class(status: int) -> type[ServiceError]:
    if status in {401, 403}:
        return AccessDeniedError
    if status == _HTTP_RATE_LIMITED:
        return RateLimitedError
    if status >= _HTTP_UNAVAILABLE:
        return UnavailableError
    return RejectedRequestError


def _message(refused: _Refused) -> str:
    match refused:
        case _Refused(message=str(text)) | _Refused(error_message=str(text)) if text:
            return _shortened(text)
        case _Refused(error={"message": str(text)}) | _Refused(error=str(text)):
            return _shortened(text)
        case _:
            return ""


def _names_refused(payload: object, kind: str) -> tuple[str, ...]:
    listed = payload.get(kind) if isinstance(payload, dict) else None
    if not isinstance(listed, list):
        return ()
    return tuple([name for name in listed if isinstance(name, str)])


def _format_error(reply: HttpReply, reason: str) -> ReplyFormatError:
    text = reply.body[: _EXCERPT_CHARACTERS * 4].decode(errors="replace")
    return ReplyFormatError(
        f"the service answered {reply.status} with an unexpected body"
        if reply.body
        else f"the service answered {reply.status} with an empty body",
        excerpt=text[:_EXCERPT_CHARACTERS],
        cause=reason,
    )


def _shortened(text: str) -> str:
    return text[:_EXCERPT_CHARACTERS]
