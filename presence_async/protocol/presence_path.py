"""Whom and what a presence request is about: key, user, channels and groups.

The parts that here now, state, heartbeat and leave say in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

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


@attrs.frozen(kw_only=True)
class PresencePath:
    """The path of a request, as the service hears it.

    Attributes:
        subscribe_key: The key set.
        channels: The channels in the path.
        channel_groups: The groups in the query.
        params: The whole query, decoded.
        path_user_id: The user in the path, empty where there is none.
    """

    subscribe_key: str
    channels: tuple[str, ...]
    channel_groups: tuple[str, ...]
    params: Mapping[str, str]
    path_user_id: str

    @classmethod
    def parse(cls, route: re.Pattern[str], request: HttpRequest) -> PresencePath:
        """Read the path of a request.

        Raises:
            InvalidArgumentError: A name is none, or an escape is broken.
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
            InvalidArgumentError: There is none.
        """
        return names.user_id(self.params.get("uuid"), "uuid")


def channel_path(subscribe_key: str, channels: tuple[str, ...]) -> str:
    """Say key set and channels; no channel is a single comma, as SDKs write it."""
    key = encode_name(subscribe_key)
    return f"/v2/presence/sub-key/{key}/channel/{encode_names(channels)}"


def group_query(channel_groups: tuple[str, ...]) -> list[str]:
    """Say the groups as a part of the query; none is no part."""
    if not channel_groups:
        return []
    return [f"channel-group={encode_names(channel_groups)}"]
