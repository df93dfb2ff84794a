"""The path of presence requests: key set, channels, user; and the groups beside it.

Here now, state, heartbeat, leave and subscribe share these parts.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from . import names
from .encoding import (
    decode_name,
    decode_names,
    encode_name,
    encode_names,
    split_list,
)
from .exchange import HttpRequest, route_fields

__all__ = ["PresencePath", "channel_path", "group_query"]


class PresencePath(msgspec.Struct, frozen=True, kw_only=True):
    """The names in a request, decoded and checked.

    Attributes:
        subscribe_key: The key set.
        channels: The channels in the path.
        channel_groups: The groups in the query.
        params: The whole query, decoded.
        path_user_id: The user in the path, or empty.
    """

    subscribe_key: str
    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    params: Mapping[str, str]
    path_user_id: str

    @classmethod
    def parse(cls, route: str, request: HttpRequest) -> PresencePath:
        """Parse a request whose path matches a route.

        Raises:
            InvalidArgumentError: A name is invalid, or a percent-escape is broken.
        """
        parts, params = route_fields(route, request), request.params()
        groups = split_list(params.get("channel-group", ""))
        return cls(
            subscribe_key=decode_name(parts["key"]),
            channels=names.channel_names(decode_names(parts.get("channels", ""))),
            channel_groups=names.group_names(groups),
            params=params,
            path_user_id=decode_name(parts.get("user", "")),
        )

    @property
    def query_user_id(self) -> str:
        """The user in the query.

        Raises:
            InvalidArgumentError: It is missing or invalid.
        """
        return names.user_id(self.params.get("uuid"), "uuid")


def channel_path(subscribe_key: str, channels: tuple[str, ...]) -> str:
    """Return the path down to the channels; no channel is a comma, as in SDKs."""
    if len(channels) == 1:
        return _one_channel_path(subscribe_key, channels[0])
    key = encode_name(subscribe_key)
    return f"/v2/presence/sub-key/{key}/channel/{encode_names(channels)}"


@functools.lru_cache(maxsize=512)
def _one_channel_path(subscribe_key: str, channel: str) -> str:
    # Many users are on the same few channels, and each heartbeat asks for the path.
    key, name = encode_name(subscribe_key), encode_name(channel)
    return f"/v2/presence/sub-key/{key}/channel/{name}"


def group_query(channel_groups: tuple[str, ...]) -> list[str]:
    """Return the query parts for the groups: one, or none without groups."""
    if not channel_groups:
        return []
    return [f"channel-group={encode_names(channel_groups)}"]
