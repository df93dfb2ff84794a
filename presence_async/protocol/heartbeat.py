"""Heartbeat: announce a user as present for a number of seconds.

Source: https://www.pubnub.com/docs/sdks/rest-api/heartbeat-a-channel (read 2026-11)
and 66 recorded replies, all alike whether the user was present before or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import msgspec

from . import envelope, names
from .encoding import encode_name
from .exchange import HttpReply, HttpRequest
from .json_codec import Json, encode_state
from .presence_params import DEFAULT_PRESENCE_TIMEOUT_S, parsed_states, parsed_timeout_s
from .presence_path import PresencePath, channel_path, group_query

__all__ = ["HeartbeatOperation"]

_OK = envelope.success_reply({})


class HeartbeatOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Announce a user as present on channels and channel groups.

    Attributes:
        subscribe_key: The key set.
        user_id: The user.
        channels: The channels.
        channel_groups: Groups on whose channels the user is present.
        presence_timeout_s: Seconds until the service reports a timeout.
        state: State by channel or group name; ``None``: leave states unchanged.
    """

    name: ClassVar[str] = "heartbeat"
    route: ClassVar[str] = (
        r"/v2/presence/sub[-_]key/(?P<key>[^/]+)/channel/(?P<channels>[^/]*)/heartbeat"
    )

    subscribe_key: str
    user_id: str
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()
    presence_timeout_s: int = DEFAULT_PRESENCE_TIMEOUT_S
    state: Mapping[str, Mapping[str, Json]] | None = None

    @property
    def acting_user_id(self) -> str | None:
        return self.user_id

    def to_request(self) -> HttpRequest:
        query = f"heartbeat={self.presence_timeout_s}"
        if self.channel_groups:
            query = "&".join([query, *group_query(self.channel_groups)])
        if self.state is not None:
            query += f"&state={encode_name(encode_state(self.state))}"
        path = channel_path(self.subscribe_key, self.channels)
        return HttpRequest(path=f"{path}/heartbeat", query=query)

    @classmethod
    def from_request(cls, request: HttpRequest) -> HeartbeatOperation:
        # The service ignores names of presence events.
        path = PresencePath.parse(cls.route, request)
        return cls(
            subscribe_key=path.subscribe_key,
            user_id=path.query_user_id,
            channels=names.without_presence(path.channels),
            channel_groups=names.without_presence(path.channel_groups),
            presence_timeout_s=parsed_timeout_s(path.params.get("heartbeat", ""))
            or DEFAULT_PRESENCE_TIMEOUT_S,
            state=parsed_states(path.params.get("state")),
        )

    def to_reply(self, _: None) -> HttpReply:
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)

    @property
    def is_divisible(self) -> bool:
        # Each part would carry the states of all names.
        return self.state is None

    def about(self, channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> Self:
        return msgspec.structs.replace(
            self, channels=channels, channel_groups=channel_groups
        )

    def lasting(self, presence_timeout_s: int) -> Self:
        """Return the same heartbeat with another timeout."""
        return msgspec.structs.replace(self, presence_timeout_s=presence_timeout_s)

    def with_state(self, state: Mapping[str, Mapping[str, Json]] | None) -> Self:
        return msgspec.structs.replace(self, state=state)

    def merged(self, _: Sequence[None]) -> None:
        return
