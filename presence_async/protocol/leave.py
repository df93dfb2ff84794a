"""Leave: a user is no longer present.

Source: https://www.pubnub.com/docs/sdks/rest-api/leave-a-channel (read 2026-11) and
266 recorded replies: 200 also when the user was not there; 403 without read access.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Self

import attrs

from . import envelope, names
from .exchange import HttpReply, HttpRequest
from .presence_path import PresencePath, channel_path, group_query

__all__ = ["LeaveOperation"]

_OK = envelope.success_reply({"action": "leave"})


@attrs.frozen(kw_only=True)
class LeaveOperation:
    """Say that a user has left channels and channel groups.

    Attributes:
        subscribe_key: The key set.
        user_id: Who leaves.
        channels: What is left.
        channel_groups: Groups, whose members are left.
    """

    name: ClassVar[str] = "leave"
    route: ClassVar[re.Pattern[str]] = re.compile(
        r"/v2/presence/sub[-_]key/(?P<key>[^/]+)/channel/(?P<channels>[^/]*)/leave"
    )

    subscribe_key: str
    user_id: str
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()

    @property
    def acting_user_id(self) -> str | None:
        """The user who leaves."""
        return self.user_id

    def to_request(self) -> HttpRequest:
        path = channel_path(self.subscribe_key, self.channels)
        query = "&".join(group_query(self.channel_groups))
        return HttpRequest(path=f"{path}/leave", query=query)

    @classmethod
    def from_request(cls, request: HttpRequest) -> LeaveOperation:
        """Hear it; names of presence events are left out, as the service does."""
        path = PresencePath.parse(cls.route, request)
        return cls(
            subscribe_key=path.subscribe_key,
            user_id=path.query_user_id,
            channels=names.without_presence(path.channels),
            channel_groups=names.without_presence(path.channel_groups),
        )

    def to_reply(self, value: None) -> HttpReply:  # noqa: ARG002  # there is nothing to say
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)

    @property
    def is_divisible(self) -> bool:
        return True

    def about(self, channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> Self:
        """Say the same about other names."""
        return attrs.evolve(self, channels=channels, channel_groups=channel_groups)

    def merged(self, replies: Sequence[None]) -> None:
        """Put nothing together."""
