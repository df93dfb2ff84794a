"""The channel-group registry: which channels a group stands for.

Source: https://www.pubnub.com/docs/sdks/rest-api/add-channels-to-channel-group (read
2026-11) and recorded replies: an unknown group has no channels, deleting one is not an
error, and lists carry no ``message``.

=================  ============================  =========================
operation          request below the key set     reply
=================  ============================  =========================
add channels       ``/GROUP?add=CHANNELS``       acknowledgement
remove channels    ``/GROUP?remove=CHANNELS``    acknowledgement
delete group       ``/GROUP/remove``             acknowledgement
list channels      ``/GROUP``                    ``channels``
list groups        nothing                       ``groups``
=================  ============================  =========================
"""

from __future__ import annotations

from typing import ClassVar, Self

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
_REGISTRY = r"/v1/channel-registration/sub[-_]key/(?P<key>[^/]+)/channel-group"
_GROUP = _REGISTRY + "/(?P<group>[^/]+)"


class _GroupChannels(msgspec.Struct, gc=False):
    channels: tuple[str, ...]


class _GroupChannelsReply(msgspec.Struct, gc=False):
    payload: _GroupChannels
    status: int = 200
    error: object = None


class _GroupNames(msgspec.Struct, gc=False):
    groups: tuple[str, ...]


class _GroupNamesReply(msgspec.Struct, gc=False):
    payload: _GroupNames
    status: int = 200
    error: object = None


_CHANNELS = msgspec.json.Decoder(_GroupChannelsReply)
_GROUPS = msgspec.json.Decoder(_GroupNamesReply)
_OK = envelope.success_reply({"service": _SERVICE, "error": False})


class _ChannelChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the channels of a group; the two kinds differ in one word.

    Attributes:
        subscribe_key: The key set.
        group: The channel group.
        channels: The channels to add or remove.
    """

    route: ClassVar[str] = _GROUP
    acting_user_id: ClassVar[str | None] = None
    _parameter: ClassVar[str]

    subscribe_key: str
    group: str
    channels: tuple[str, ...]

    def to_request(self) -> HttpRequest:
        query = f"{self._parameter}={encode_names(self.channels)}"
        return HttpRequest(path=_path(self.subscribe_key, self.group), query=query)

    @classmethod
    def from_request(cls, request: HttpRequest) -> Self:
        key, group = _key_and_group(cls.route, request)
        listed = split_list(request.params().get(cls._parameter, ""))
        channels = names.some_channels(listed)
        return cls(subscribe_key=key, group=group, channels=channels)

    def to_reply(self, _: None) -> HttpReply:
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)


class AddChannelsOperation(_ChannelChange, frozen=True):
    """Add channels to a group."""

    name: ClassVar[str] = "add channels"
    _parameter = "add"


class RemoveChannelsOperation(_ChannelChange, frozen=True):
    """Remove channels from a group."""

    name: ClassVar[str] = "remove channels"
    _parameter = "remove"


class DeleteGroupOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Delete a group.

    Attributes:
        subscribe_key: The key set.
        group: The channel group.
    """

    name: ClassVar[str] = "delete group"
    route: ClassVar[str] = _GROUP + "/remove"
    acting_user_id: ClassVar[str | None] = None

    subscribe_key: str
    group: str

    def to_request(self) -> HttpRequest:
        return HttpRequest(path=_path(self.subscribe_key, self.group) + "/remove")

    @classmethod
    def from_request(cls, request: HttpRequest) -> DeleteGroupOperation:
        key, group = _key_and_group(cls.route, request)
        return cls(subscribe_key=key, group=group)

    def to_reply(self, _: None) -> HttpReply:
        return _OK

    def from_reply(self, reply: HttpReply) -> None:
        envelope.acknowledge(reply)


class ListChannelsOperation(msgspec.Struct, frozen=True, kw_only=True):
    """List the channels of a group.

    Attributes:
        subscribe_key: The key set.
        group: The channel group.
    """

    name: ClassVar[str] = "list channels"
    route: ClassVar[str] = _GROUP
    acting_user_id: ClassVar[str | None] = None

    subscribe_key: str
    group: str

    def to_request(self) -> HttpRequest:
        return HttpRequest(path=_path(self.subscribe_key, self.group))

    @classmethod
    def from_request(cls, request: HttpRequest) -> ListChannelsOperation:
        key, group = _key_and_group(cls.route, request)
        return cls(subscribe_key=key, group=group)

    def to_reply(self, value: tuple[str, ...]) -> HttpReply:
        return _list_reply({"channels": list(value), "group": self.group})

    def from_reply(self, reply: HttpReply) -> tuple[str, ...]:
        return envelope.read(reply, _CHANNELS).payload.channels


class ListGroupsOperation(msgspec.Struct, frozen=True, kw_only=True):
    """List all groups of the key set.

    Attributes:
        subscribe_key: The key set.
    """

    name: ClassVar[str] = "list groups"
    route: ClassVar[str] = _REGISTRY
    acting_user_id: ClassVar[str | None] = None

    subscribe_key: str

    def to_request(self) -> HttpRequest:
        return HttpRequest(path=_path(self.subscribe_key))

    @classmethod
    def from_request(cls, request: HttpRequest) -> ListGroupsOperation:
        key = decode_name(route_fields(cls.route, request)["key"])
        return cls(subscribe_key=key)

    def to_reply(self, value: tuple[str, ...]) -> HttpReply:
        return _list_reply({"groups": list(value), "namespace": ""})

    def from_reply(self, reply: HttpReply) -> tuple[str, ...]:
        return envelope.read(reply, _GROUPS).payload.groups


def _path(subscribe_key: str, group: str | None = None) -> str:
    key = encode_name(subscribe_key)
    base = f"/v1/channel-registration/sub-key/{key}/channel-group"
    return base if group is None else f"{base}/{encode_name(group)}"


def _key_and_group(route: str, request: HttpRequest) -> tuple[str, str]:
    fields = route_fields(route, request)
    return decode_name(fields["key"]), names.one_group(decode_name(fields["group"]))


def _list_reply(payload: dict[str, object]) -> HttpReply:
    return envelope.success_reply({
        "payload": payload,
        "service": _SERVICE,
        "error": False,
        "message": None,
    })
