"""Subscribe: wait for messages, above all those that carry presence events.

Source: PubNub's SDKs and 1,375 recorded replies (2016 to 2025). A handshake (timetoken
0) answers at once with a cursor; a poll with that cursor is held until there is a
message after it, or for somewhat less than 310 s. Listing ``X-pnpres`` alone observes
``X`` without being present there. The field ``b`` of a message is the name in the
request that matched; it is absent exactly when the request names one plain channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Self

import msgspec

from ..errors import ReplyFormatError
from . import envelope, names
from .encoding import encode_name, encode_names
from .exchange import HttpReply, HttpRequest
from .json_codec import (
    UNDECODABLE_ERRORS,
    Json,
    JsonError,
    decode_object,
    encode_state,
)
from .messages import Message, Published
from .presence_params import parsed_number, parsed_states, parsed_timeout_s
from .presence_path import PresencePath, group_query
from .rendered_message import RenderedMessage
from .timetoken import Timetoken

__all__ = ["SUBSCRIBE_HEADERS", "Delivery", "SubscribeOperation"]

_LARGEST_REGION: Final = 127
"""Go's SDK decodes a region into 8 bits, so the emulator stays at or below it."""
SUBSCRIBE_HEADERS: Final[Mapping[str, str]] = {
    "content-type": 'text/javascript; charset="UTF-8"',
    "cache-control": "no-cache",
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET",
}


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The messages that a poll delivers, and the cursor of the next poll.

    Attributes:
        timetoken: The cursor, to be sent exactly as given: it may be smaller than the
            timetoken of a delivered event, or go back.
        region: The region, sent with the cursor.
        messages: The messages, not strictly in the order of their timetokens; one may
            come twice.
    """

    timetoken: int
    region: int
    messages: tuple[Message, ...] = ()


class _Cursor(msgspec.Struct, gc=False):
    t: Timetoken
    r: int = 0


class _SubscribeReply(msgspec.Struct):
    t: _Cursor
    m: list[Message]
    status: int = 200
    error: object = None


class _LooseSubscribeReply(msgspec.Struct):
    """The same with messages of any kind, in case one of them is invalid."""

    t: _Cursor
    m: list[msgspec.Raw]
    status: int = 200
    error: object = None


# Not strict: timetokens are numbers in strings.
_REPLY = msgspec.json.Decoder(_SubscribeReply, strict=False)
_LOOSE_REPLY = msgspec.json.Decoder(_LooseSubscribeReply, strict=False)
_MESSAGE = msgspec.json.Decoder(Message, strict=False)


class SubscribeOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Wait for messages after a cursor.

    Attributes:
        subscribe_key: The key set.
        user_id: The user, who becomes present on channels named without ``-pnpres``.
        channels: Names to listen to, ``-pnpres`` and wildcards (``a.*``) included.
        channel_groups: Groups to listen to, ``-pnpres`` included.
        timetoken: The cursor; 0 asks for one.
        region: The region of the last reply; ``None`` at first.
        presence_timeout_s: Seconds until the service reports a timeout of a user who
            becomes present by it; ``None``: the service's own.
        state: State by channel or group name; ``None``: leave states unchanged.
        filter_expression: Which messages to deliver; ``None``: all.
    """

    name: ClassVar[str] = "subscribe"
    route: ClassVar[str] = r"/v2/subscribe/(?P<key>[^/]+)/(?P<channels>[^/]*)/0"

    subscribe_key: str
    user_id: str
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()
    timetoken: int = 0
    region: int | None = None
    presence_timeout_s: int | None = None
    state: Mapping[str, Mapping[str, Json]] | None = None
    filter_expression: str | None = None

    @property
    def acting_user_id(self) -> str | None:
        return self.user_id

    def to_request(self) -> HttpRequest:
        query = [f"tt={self.timetoken}"]
        if self.region is not None:
            query.append(f"tr={self.region}")
        query += group_query(self.channel_groups)
        if self.presence_timeout_s is not None:
            query.append(f"heartbeat={self.presence_timeout_s}")
        if self.state is not None:
            query.append(f"state={encode_name(encode_state(self.state))}")
        if self.filter_expression is not None:
            query.append(f"filter-expr={encode_name(self.filter_expression)}")
        key = encode_name(self.subscribe_key)
        path = f"/v2/subscribe/{key}/{encode_names(self.channels)}/0"
        return HttpRequest(path=path, query="&".join(query))

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        path = PresencePath.parse(cls.route, request)
        params = path.params
        # Old Ruby SDKs write the cursor as JSON in ``t``.
        cursor = _ruby_cursor(params["t"]) if "t" in params else params
        return cls(
            subscribe_key=path.subscribe_key,
            user_id=path.query_user_id,
            channels=path.channels,
            channel_groups=path.channel_groups,
            timetoken=parsed_number(cursor, "tt") or 0,
            region=parsed_number(cursor, "tr"),
            presence_timeout_s=parsed_timeout_s(params.get("heartbeat", "")),
            state=parsed_states(params.get("state")),
            filter_expression=params.get("filter-expr") or None,
        )

    def to_reply(self, value: Delivery) -> HttpReply:
        is_alone = len(self.channels) == 1 and not self.channel_groups
        hides_match = is_alone and not names.is_wildcard(self.channels[0])
        messages = ",".join(
            RenderedMessage.of(message, self.subscribe_key).with_match(
                hides_match=hides_match
            )
            for message in value.messages
        )
        region = min(value.region, _LARGEST_REGION)
        body = f'{{"t":{{"t":"{value.timetoken}","r":{region}}},"m":[{messages}]}}'
        return HttpReply(status=200, body=body.encode(), headers=SUBSCRIBE_HEADERS)

    def from_reply(self, reply: HttpReply) -> Delivery:
        # An invalid message does not spoil the others: it is kept whole, as the payload
        # of a message without a channel.
        try:
            wire = envelope.read(reply, _REPLY)
            cursor, messages = wire.t, wire.m
        except ReplyFormatError:
            loose = envelope.read(reply, _LOOSE_REPLY, has_parts=True)
            cursor, messages = loose.t, [_message(raw) for raw in loose.m]
        return Delivery(timetoken=cursor.t, region=cursor.r, messages=tuple(messages))


def _message(raw: msgspec.Raw) -> Message:
    try:
        return _MESSAGE.decode(raw)
    except UNDECODABLE_ERRORS:
        return Message(
            channel="", payload=msgspec.Raw(bytes(raw)), published=Published(0)
        )


def _ruby_cursor(text: str) -> Mapping[str, str]:
    try:
        cursor = decode_object(text.encode())
    except JsonError:
        cursor = {}
    return {"tt": str(cursor.get("t") or ""), "tr": str(cursor.get("r") or "")}
