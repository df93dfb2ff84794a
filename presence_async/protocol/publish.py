"""Publish: send a message to a channel.

Source: https://www.pubnub.com/docs/sdks/rest-api/publish-message-to-channel (read
2026-11), PubNub's SDKs, and recorded replies, ``[1,"Sent","17579696193377821"]``.
The client has no method for it. The emulator serves it, so that programs that also send
messages can be tested; it ignores storage and encryption.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from ..errors import InvalidArgumentError
from . import envelope, names
from .encoding import decode_name, encode_name
from .exchange import HttpReply, HttpRequest, route_fields
from .json_codec import Json, JsonError, decode, plain_state
from .timetoken import Timetoken

__all__ = ["PublishOperation"]

_HEADERS: Final[Mapping[str, str]] = {
    "content-type": 'text/javascript; charset="UTF-8"',
    "access-control-allow-origin": "*",
}
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
        metadata: Any JSON value, which filters of a subscribe can read; ``None``: none.
    """

    name: ClassVar[str] = "publish"
    route: ClassVar[str] = (
        r"/publish/(?P<publish>[^/]+)/(?P<key>[^/]+)/0"
        r"/(?P<channel>[^/]+)/[^/]+/(?P<message>[^/]+)"
    )

    subscribe_key: str
    publish_key: str
    user_id: str
    channel: str
    message: Json
    metadata: Json = None

    @property
    def acting_user_id(self) -> str | None:
        return self.user_id

    def to_request(self) -> HttpRequest:
        keys = f"{encode_name(self.publish_key)}/{encode_name(self.subscribe_key)}"
        message = encode_name(json.dumps(self.message, separators=(",", ":")))
        path = f"/publish/{keys}/0/{encode_name(self.channel)}/0/{message}"
        if self.metadata is None:
            return HttpRequest(path=path)
        metadata = encode_name(json.dumps(self.metadata, separators=(",", ":")))
        return HttpRequest(path=path, query=f"meta={metadata}")

    @classmethod
    def from_request(cls, request: HttpRequest) -> PublishOperation:
        parts, params = route_fields(cls.route, request), request.params()
        channel = names.one_channel(decode_name(parts["channel"]))
        if names.is_presence_name(channel):
            raise InvalidArgumentError("channel", "is reserved for presence events")
        return cls(
            subscribe_key=decode_name(parts["key"]),
            publish_key=decode_name(parts["publish"]),
            user_id=names.user_id(params.get("uuid"), "uuid"),
            channel=channel,
            message=_parsed(decode_name(parts["message"]), "message"),
            metadata=_parsed(params.get("meta") or "null", "meta"),
        )

    def to_reply(self, value: int) -> HttpReply:
        body = json.dumps([1, "Sent", str(value)], separators=(",", ":")).encode()
        return HttpReply(status=200, body=body, headers=_HEADERS)

    def from_reply(self, reply: HttpReply) -> int:
        return envelope.read(reply, _REPLY).timetoken


def _parsed(text: str, argument: str) -> Json:
    try:
        value = decode(text.encode(), _ANYTHING)
    except JsonError:
        pass
    else:
        return plain_state({argument: value}, argument)[argument]
    raise InvalidArgumentError(argument, "must be JSON")
