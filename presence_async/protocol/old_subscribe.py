"""The old subscribe: the same question as ``subscribe``, in an older spelling.

PubNub's C SDK still asks so: ``/subscribe/KEY/CHANNELS/0/TIMETOKEN``, and reads

- ``[[...],"TIMETOKEN"]`` from a subscribe to one channel, and when there is no message
- ``[[...],"TIMETOKEN","CHANNELS"]`` from one to several channels
- ``[[...],"TIMETOKEN","MATCHES","CHANNELS"]`` from one with groups or wildcards

where ``CHANNELS`` are the channels of the messages, in their order and with commas
between them, and ``MATCHES`` the names that matched, as ``b`` has them in the newer
reply. A message is its payload alone, that of a presence event its event object.

Source: parser and unit tests of the C SDK (``core/pubnub_ccore_pubsub.c``, read
2026-11), and the JavaScript SDK up to version 3, which finds the match of a message
among groups, then among channels. No reply of today's service is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import Any, ClassVar, Final, Self

import msgspec

from . import envelope, names
from .encoding import encode_name, encode_names
from .exchange import HttpReply, HttpRequest, route_fields
from .messages import Message, Published
from .presence_params import parsed_number
from .subscribe import SUBSCRIBE_HEADERS, Delivery, SubscribeOperation
from .timetoken import Timetoken

__all__ = ["OldSubscribeOperation"]


class _OldReply(msgspec.Struct, array_like=True):
    payloads: list[msgspec.Raw]
    timetoken: Timetoken
    first: str | None = None
    second: str | None = None
    status: int = 200
    error: object = None


# Not strict: the timetoken is a number in a string.
_REPLY: Final = msgspec.json.Decoder(_OldReply, strict=False)


class OldSubscribeOperation(SubscribeOperation, frozen=True, kw_only=True):
    """Wait for messages after a cursor; see ``SubscribeOperation`` for the fields.

    There is no region, and messages come without their own timetokens: read back, each
    has that of the reply.
    """

    route: ClassVar[str] = (
        r"/subscribe/(?P<key>[^/]+)/(?P<channels>[^/]*)/0/(?P<timetoken>[0-9]+)"
    )

    def to_request(self) -> HttpRequest:
        newer = super().to_request()
        key, channels = encode_name(self.subscribe_key), encode_names(self.channels)
        parts = newer.query.split("&")
        query = [part for part in parts if not part.startswith(("tt=", "tr="))]
        path = f"/subscribe/{key}/{channels}/0/{self.timetoken}"
        return HttpRequest(path=path, query="&".join(query))

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        cursor = route_fields(cls.route, request)
        asked = super().from_request(request)
        timetoken = parsed_number(cursor, "timetoken") or 0
        return msgspec.structs.replace(asked, timetoken=timetoken, region=None)

    def to_reply(self, value: Delivery) -> HttpReply:
        found = value.messages
        payloads = b",".join(bytes(message.payload) for message in found)
        parts = [b"[" + payloads + b"]", _text([str(value.timetoken)])]
        if found and self._has_matches:
            parts.append(_text(m.subscription or m.channel for m in found))
        if found and self._has_channels:
            parts.append(_text(message.channel for message in found))
        # Without spaces: the C SDK counts bytes from the end.
        body = b"[" + b",".join(parts) + b"]"
        return HttpReply(status=200, body=body, headers=SUBSCRIBE_HEADERS)

    def from_reply(self, reply: HttpReply) -> Delivery:
        wire = envelope.read(reply, _REPLY)
        channels = wire.second if self._has_matches else wire.first
        matches = wire.first if self._has_matches else None
        here = self.channels[0] if self.channels else ""
        of_each: Iterable[Any] = zip(
            wire.payloads,
            channels.split(",") if channels else repeat(here),
            matches.split(",") if matches else repeat(None),
            strict=False,
        )
        messages = tuple([
            Message(
                channel=channel,
                payload=payload,
                published=Published(wire.timetoken),
                subscription=match,
            )
            for payload, channel, match in of_each
        ])
        return Delivery(timetoken=wire.timetoken, region=0, messages=messages)

    @property
    def _has_matches(self) -> bool:
        return bool(self.channel_groups) or any(map(names.is_wildcard, self.channels))

    @property
    def _has_channels(self) -> bool:
        return self._has_matches or len(self.channels) > 1


def _text(texts: Iterable[str]) -> bytes:
    return msgspec.json.encode(",".join(texts))
