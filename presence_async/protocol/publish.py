"""Publish and signal: send a message to a channel.

Source: https://www.pubnub.com/docs/sdks/rest-api/publish-message-to-channel (read
2026-11), PubNub's SDKs, and recorded replies, ``[1,"Sent","17579696193377821"]``.
The message stands in the path of a GET or in the body of a POST to the same path
without it, as recorded for both. The client has no method for it. The emulator serves
it, so that programs that also send messages can be tested; it ignores storage and
encryption.

A signal is a small message that nothing stores: ``send-signal-to-channel`` beside the
page above says 64 bytes, which were 30 in 2019. Recorded is the refusal of a larger
one, 400 with ``[0,"Signal size too large","15663104658224536"]``. PubNub's SDKs know
signals by ``e``, which is 1 in a subscribe reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

import msgspec

from ..errors import InvalidArgumentError
from . import envelope, names
from .encoding import decode_name, encode_name
from .exchange import HttpReply, HttpRequest, route_fields
from .json_codec import Json, JsonError, decode, plain_state
from .timetoken import Timetoken

__all__ = ["PublishOperation", "SignalOperation"]

_HEADERS: Final[Mapping[str, str]] = {
    "content-type": 'text/javascript; charset="UTF-8"',
    "access-control-allow-origin": "*",
}
_MOST_SIGNAL_BYTES: Final = 64
_TRUE: Final = frozenset({"true", "1"})
_ANYTHING: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any)


class _PublishReply(msgspec.Struct, array_like=True):
    is_sent: int
    text: str
    timetoken: Timetoken
    status: int = 200
    error: object = None


# Not strict: the timetoken is a number in a string.
_REPLY = msgspec.json.Decoder(_PublishReply, strict=False)


class PublishOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Send a message; the reply is its timetoken.

    Attributes:
        subscribe_key: The key set.
        publish_key: The publish key, which the emulator does not check.
        user_id: The sender.
        channel: The channel; names ending in ``-pnpres`` belong to the service.
        message: Any JSON value.
        message_type: The sender's name for the kind of message, ``cmt`` of a subscribe
            reply; ``None``: none.
        is_delivered: Whether subscribers receive it. SDKs call the opposite "fire" and
            write it ``norep``.
        metadata: Any JSON value, which filters of a subscribe can read; ``None``: none.
    """

    name: ClassVar[str] = "publish"
    route: ClassVar[str] = (
        r"/publish/(?P<publish>[^/]+)/(?P<key>[^/]+)/0"
        r"/(?P<channel>[^/]+)/[^/]+(?:/(?P<message>[^/]+))?"
    )
    prefix: ClassVar[str] = "/publish"
    kind: ClassVar[int | None] = None
    """The field ``e`` of a subscribe reply; ``None``: it is absent."""

    subscribe_key: str
    publish_key: str
    user_id: str
    channel: str
    message: Json
    message_type: str | None = None
    is_delivered: bool = True
    metadata: Json = None

    @property
    def acting_user_id(self) -> str | None:
        return self.user_id

    def to_request(self) -> HttpRequest:
        keys = f"{encode_name(self.publish_key)}/{encode_name(self.subscribe_key)}"
        message = encode_name(json.dumps(self.message, separators=(",", ":")))
        path = f"{self.prefix}/{keys}/0/{encode_name(self.channel)}/0/{message}"
        query = [] if self.is_delivered else ["norep=true"]
        if self.message_type is not None:
            query.append(f"custom_message_type={encode_name(self.message_type)}")
        if self.metadata is not None:
            metadata = json.dumps(self.metadata, separators=(",", ":"))
            query.append(f"meta={encode_name(metadata)}")
        return HttpRequest(path=path, query="&".join(query))

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        parts, params = route_fields(cls.route, request), request.params()
        channel = names.one_channel(decode_name(parts["channel"]))
        if names.is_presence_name(channel):
            raise InvalidArgumentError("channel", "is reserved for presence events")
        return cls(
            subscribe_key=decode_name(parts["key"]),
            publish_key=decode_name(parts["publish"]),
            user_id=names.user_id(params.get("uuid"), "uuid"),
            channel=channel,
            message=_parsed(_message_text(request, parts["message"]), "message"),
            message_type=params.get("custom_message_type") or None,
            is_delivered=params.get("norep") not in _TRUE,
            metadata=_parsed((params.get("meta") or "null").encode(), "meta"),
        )

    def to_reply(self, value: int) -> HttpReply:
        body = json.dumps([1, "Sent", str(value)], separators=(",", ":")).encode()
        return HttpReply(status=200, body=body, headers=_HEADERS)

    def from_reply(self, reply: HttpReply) -> int:
        return envelope.read(reply, _REPLY).timetoken


class SignalOperation(PublishOperation, frozen=True, kw_only=True):
    """Send a signal: a message of at most 64 bytes as JSON, which nothing stores."""

    name: ClassVar[str] = "signal"
    route: ClassVar[str] = (
        r"/signal/(?P<publish>[^/]+)/(?P<key>[^/]+)/0"
        r"/(?P<channel>[^/]+)/[^/]+/(?P<message>[^/]+)"
    )
    prefix: ClassVar[str] = "/signal"
    kind: ClassVar[int | None] = 1

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        text = decode_name(route_fields(cls.route, request)["message"])
        if len(text.encode()) > _MOST_SIGNAL_BYTES:
            raise InvalidArgumentError("message", "Signal size too large")
        return super().from_request(request)


def _message_text(request: HttpRequest, in_path: str) -> bytes:
    return decode_name(in_path).encode() if in_path else request.body or b""


def _parsed(text: bytes, argument: str) -> Json:
    try:
        value = decode(text, _ANYTHING)
    except JsonError:
        pass
    else:
        return plain_state({argument: value}, argument)[argument]
    raise InvalidArgumentError(argument, "must be JSON")
