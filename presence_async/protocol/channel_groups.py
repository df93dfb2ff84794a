"""The channel-group registry: which channels a group stands for.

Source: https://www.pubnub.com/docs/sdks/rest-api/add-channels-to-channel-group (read
2026-11) and recorded replies: an unknown group has no channels and deleting one is no
error; lists carry no ``message``.
"""

from __future__ import annotations

import re
from typing import ClassVar

import attrs
import msgspec

from . import envelope, names
from .encoding import decode_name, encode_name, encode_names, split_list
from .exchange import HttpReply, HttpRequest, route_fields

__all__ = [
    "AddChannelsOperation",
    "DeleteGroupOperation",
    "ListChannelsOperation",
    "ListGroupsOperation",
    "RemoveChannelsOperation",
]

_SERVICE = "channel-registry"
_BASE = r"/v1/channel-registration/sub[-_]key/(?P<key>[^/]+)/channel-group"


class _Channels(msgspec.Struct, gc=False):
    channels: tuple[str, ...]


class _ChannelsReply(msgspec.Struct, gc=False):
    payload: _Channels
    status: int = 200
    error: object = None


class _Groups(msgspec.Struct, gc=False):
    groups: tuple[str, ...]


class _GroupsReply(msgspec.Struct, gc=False):
    payload: _Groups
    status: int = 200
    error: object = None


_CHANNELS = msgspec.json.Decoder(_ChannelsReply)
_GROUPS = msgspec.json.Decoder(_GroupsReply)
_OK = envelope.success_reply({"service": _SERVICE, "error": False})


@attrs.frozen(kw_only=True)
class AddChannelsOperation:
    """Add channels to a group.

    Attributes:
        subscribe_key: The key set.
        group: The channel group.
        channels: What to add.
    """

    name: ClassVar[str] = "add channels"
    route: ClassVar[re.Pattern[str]] = re.compile(_BASE + "/(?P<group>[^/]+)")

    subscribe_key: str
    group: str
    channels: tuple[str, ...]
    acting_user_id: ClassVar[str | None] = None

    def to_request(self) -> HttpRequest:
        return HttpRequest(
            path=_path(self.subscribe_key, self.group),
            query=f"add={encode_names(self.channels)}",
        )

    @classmethod
    def from_request(cls, request: HttpRequest) -> AddChannelsOperation:
        parts, params = route_fields(cls.route, request), request.params()
        return cls(
            subscribe_key=decode_name(parts["key"]),
            group=names.one_group(decode_name(parts["group"])),
            channels=names.some_channels(split_list(params.get("add", ""))),
        )

    def to_reply(self, value: None) -> HttpReply:  # noqa: ARG002  # there is nothing to say
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)


@attrs.frozen(kw_only=True)
class RemoveChannelsOperation:
    """Take channels out of a group.

    Attributes:
        subscribe_key: The key set.
        group: The channel group.
        channels: What to take out.
    """

    name: ClassVar[str] = "remove channels"
    route: ClassVar[re.Pattern[str]] = re.compile(_BASE + "/(?P<group>[^/]+)")

    subscribe_key: str
    group: str
    channels: tuple[str, ...]
    acting_user_id: ClassVar[str | None] = None

    def to_request(self) -> HttpRequest:
        return HttpRequest(
            path=_path(self.subscribe_key, self.group),
            query=f"remove={encode_names(self.channels)}",
        )

    @classmethod
    def from_request(cls, request: HttpRequest) -> RemoveChannelsOperation:
        parts, params = route_fields(cls.route, request), request.params()
        return cls(
            subscribe_key=decode_name(parts["key"]),
            group=names.one_group(decode_name(parts["group"])),
            channels=names.some_channels(split_list(params.get("remove", ""))),
        )

    def to_reply(self, value: None) -> HttpReply:  # noqa: ARG002  # there is nothing to say
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)


@attrs.frozen(kw_only=True)
class DeleteGroupOperation:
    """Delete a group.

    Attributes:
        subscribe_key: The key set.
        group: The channel group.
    """

    name: ClassVar[str] = "delete group"
    route: ClassVar[re.Pattern[str]] = re.compile(_BASE + "/(?P<group>[^/]+)/remove")

    subscribe_key: str
    group: str
    acting_user_id: ClassVar[str | None] = None

    def to_request(self) -> HttpRequest:
        return HttpRequest(path=_path(self.subscribe_key, self.group) + "/remove")

    @classmethod
    def from_request(cls, request: HttpRequest) -> DeleteGroupOperation:
        parts = route_fields(cls.route, request)
        return cls(
            subscribe_key=decode_name(parts["key"]),
            group=names.one_group(decode_name(parts["group"])),
        )

    def to_reply(self, value: None) -> HttpReply:  # noqa: ARG002  # there is nothing to say
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)


@attrs.frozen(kw_only=True)
class ListChannelsOperation:
    """Ask for the channels of a group.

    Attributes:
        subscribe_key: The key set.
        group: The channel group.
    """

    name: ClassVar[str] = "list channels"
    route: ClassVar[re.Pattern[str]] = re.compile(_BASE + "/(?P<group>[^/]+)")

    subscribe_key: str
    group: str
    acting_user_id: ClassVar[str | None] = None

    def to_request(self) -> HttpRequest:
        return HttpRequest(path=_path(self.subscribe_key, self.group))

    @classmethod
    def from_request(cls, request: HttpRequest) -> ListChannelsOperation:
        parts = route_fields(cls.route, request)
        return cls(
            subscribe_key=decode_name(parts["key"]),
            group=names.one_group(decode_name(parts["group"])),
        )

    def to_reply(self, value: tuple[str, ...]) -> HttpReply:
        return _listed({"channels": list(value), "group": self.group})

    def from_reply(self, reply: HttpReply) -> tuple[str, ...]:
        return envelope.read(reply, _CHANNELS).payload.channels


@attrs.frozen(kw_only=True)
class ListGroupsOperation:
    """Ask for all groups of the key set.

    Attributes:
        subscribe_key: The key set.
    """

    name: ClassVar[str] = "list groups"
    route: ClassVar[re.Pattern[str]] = re.compile(_BASE)

    subscribe_key: str
    acting_user_id: ClassVar[str | None] = None

    def to_request(self) -> HttpRequest:
        return HttpRequest(path=_path(self.subscribe_key))

    @classmethod
    def from_request(cls, request: HttpRequest) -> ListGroupsOperation:
        parts = route_fields(cls.route, request)
        return cls(subscribe_key=decode_name(parts["key"]))

    def to_reply(self, value: tuple[str, ...]) -> HttpReply:
        return _listed({"groups": list(value), "namespace": ""})

    def from_reply(self, reply: HttpReply) -> tuple[str, ...]:
        return envelope.read(reply, _GROUPS).payload.groups


def _path(subscribe_key: str, group: str | None = None) -> str:
    key = encode_name(subscribe_key)
    base = f"/v1/channel-registration/sub-key/{key}/channel-group"
    return base if group is None else f"{base}/{encode_name(group)}"


def _listed(payload: dict[str, object]) -> HttpReply:
    return envelope.success_reply({
        "payload": payload,
        "service": _SERVICE,
        "error": False,
        "message": None,
    })
