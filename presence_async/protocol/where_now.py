"""Where now: the channels that a user is present on.

Source: https://www.pubnub.com/docs/sdks/rest-api/get-presence-where-now (read
2026-11), and 19 recorded replies: a user who is nowhere has an empty list; channels
reached through a group are listed, the group itself never is.
"""

from __future__ import annotations

from typing import ClassVar

import attrs
import msgspec

from . import envelope, names
from .encoding import decode_name, encode_name
from .exchange import HttpReply, HttpRequest, route_fields

__all__ = ["WhereNow", "WhereNowOperation"]


@attrs.frozen(kw_only=True)
class WhereNow:
    """Where a user is.

    Attributes:
        user_id: The user.
        channels: The channels that the user is present on, in no particular order.
    """

    user_id: str
    channels: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {"user_id": self.user_id, "channels": list(self.channels)}


class _WhereNowPayload(msgspec.Struct, gc=False):
    channels: tuple[str, ...]


class _WhereNowReply(msgspec.Struct, gc=False):
    payload: _WhereNowPayload
    status: int = 200
    error: object = None


_REPLY = msgspec.json.Decoder(_WhereNowReply)


class WhereNowOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Ask where a user is.

    Attributes:
        subscribe_key: The key set.
        user_id: The user.
    """

    name: ClassVar[str] = "where now"
    route: ClassVar[str] = (
        r"/v2/presence/sub[-_]key/(?P<key>[^/]+)/uuid/(?P<user>[^/]+)"
    )

    acting_user_id: ClassVar[str | None] = None

    subscribe_key: str
    user_id: str

    def to_request(self) -> HttpRequest:
        key, user = encode_name(self.subscribe_key), encode_name(self.user_id)
        return HttpRequest(path=f"/v2/presence/sub-key/{key}/uuid/{user}")

    @classmethod
    def from_request(cls, request: HttpRequest) -> WhereNowOperation:
        parts = route_fields(cls.route, request)
        return cls(
            subscribe_key=decode_name(parts["key"]),
            user_id=names.user_id(decode_name(parts["user"])),
        )

    def to_reply(self, value: WhereNow) -> HttpReply:
        return envelope.success_reply({"payload": {"channels": list(value.channels)}})

    def from_reply(self, reply: HttpReply) -> WhereNow:
        wire = envelope.read(reply, _REPLY)
        return WhereNow(user_id=self.user_id, channels=wire.payload.channels)
