"""Leave: end the presence of a user.

Source: https://www.pubnub.com/docs/sdks/rest-api/leave-a-channel (read 2026-11) and
266 recorded replies: 200 even if the user was not there; 403 without read access.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import msgspec

from . import envelope, names
from .exchange import HttpReply, HttpRequest
from .presence_path import PresencePath, channel_path, group_query

__all__ = ["LeaveOperation"]

_OK = envelope.success_reply({"action": "leave"})


class LeaveOperation(msgspec.Struct, frozen=True, kw_only=True):
    """End the presence of a user on channels and channel groups.

    Attributes:
        subscribe_key: The key set.
        user_id: The user.
        channels: The channels.
        channel_groups: Groups whose channels the user leaves.
    """

    name: ClassVar[str] = "leave"
    route: ClassVar[str] = (
        r"/v2/presence/sub[-_]key/(?P<key>[^/]+)/channel/(?P<channels>[^/]*)/leave"
    )

    subscribe_key: str
    user_id: str
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()

    @property
    def acting_user_id(self) -> str | None:
        return self.user_id

    def to_request(self) -> HttpRequest:
        path = channel_path(self.subscribe_key, self.channels)
        query = "&".join(group_query(self.channel_groups))
        return HttpRequest(path=f"{path}/leave", query=query)

    @classmethod
    def from_request(cls, request: HttpRequest) -> LeaveOperation:
        # The service ignores names of presence events.
        path = PresencePath.parse(cls.route, request)
        return cls(
            subscribe_key=path.subscribe_key,
            user_id=path.query_user_id,
            channels=names.without_presence(path.channels),
            channel_groups=names.without_presence(path.channel_groups),
        )

    def to_reply(self, _: None) -> HttpReply:
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)

    @property
    def is_divisible(self) -> bool:
        return True

    def about(self, channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> Self:
        return msgspec.structs.replace(
            self, channels=channels, channel_groups=channel_groups
        )

    def merged(self, _: Sequence[None]) -> None:
        return
