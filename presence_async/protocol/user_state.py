"""User state: a JSON object kept for one user on one channel.

Source: https://www.pubnub.com/docs/sdks/rest-api/set-state-for-a-channel (read
2026-11), 34 recorded get replies and 55 recorded set replies: a set replaces the whole
state, also that of an absent user, and answers with what it stored, flat for any number
of channels. A get answers in one of two shapes that only the request tells apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import attrs
import msgspec

from ..errors import InvalidArgumentError, ReplyFormatError
from . import envelope, names
from .encoding import encode_name
from .exchange import HttpReply, HttpRequest
from .json_codec import Json, JsonError, decode_object, encode_state, plain_state
from .presence_path import PresencePath, channel_path, group_query

__all__ = ["GetStateOperation", "SetStateOperation", "UserState"]

_STATE_PATH = (
    r"/v2/presence/sub[-_]key/(?P<key>[^/]+)/channel/(?P<channels>[^/]*)"
    r"/uuid/(?P<user>[^/]+)"
)


@attrs.frozen(kw_only=True)
class UserState:
    """The state of one user.

    Attributes:
        user_id: The user.
        states: State by channel; ``{}`` where none is stored.
    """

    user_id: str
    states: Mapping[str, Mapping[str, Json]]

    def to_dict(self) -> dict[str, object]:
        """Return the fields ready for JSON."""
        return {
            "user_id": self.user_id,
            "states": {channel: dict(state) for channel, state in self.states.items()},
        }


class _OneState(msgspec.Struct, gc=False):
    payload: msgspec.Raw
    status: int = 200
    error: object = None


class _StateChannels(msgspec.Struct, gc=False):
    channels: dict[str, msgspec.Raw]


class _ManyStates(msgspec.Struct, gc=False):
    payload: _StateChannels
    status: int = 200
    error: object = None


_ONE_STATE = msgspec.json.Decoder(_OneState)
_MANY_STATES = msgspec.json.Decoder(_ManyStates)


class SetStateOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Replace a user's state on channels and on the members of groups.

    Attributes:
        subscribe_key: The key set.
        user_id: The user.
        channels: The channels.
        channel_groups: Groups on whose channels it is set.
        state: The new state; ``{}`` clears it.
        acting_user_id: The user in whose name it is set; ``None``: the client's own.
    """

    name: ClassVar[str] = "set state"
    route: ClassVar[str] = _STATE_PATH + "/data"

    subscribe_key: str
    user_id: str
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()
    state: Mapping[str, Json]
    acting_user_id: str | None = None

    def to_request(self) -> HttpRequest:
        path = channel_path(self.subscribe_key, self.channels)
        query = [f"state={encode_name(encode_state(self.state))}"]
        query += group_query(self.channel_groups)
        return HttpRequest(
            path=f"{path}/uuid/{encode_name(self.user_id)}/data", query="&".join(query)
        )

    @classmethod
    def from_request(cls, request: HttpRequest) -> SetStateOperation:
        path = PresencePath.parse(cls.route, request)
        return cls(
            subscribe_key=path.subscribe_key,
            user_id=names.user_id(path.path_user_id),
            channels=path.channels,
            channel_groups=path.channel_groups,
            state=_parsed_state(path.params.get("state")),
            acting_user_id=path.params.get("uuid"),
        )

    def to_reply(self, value: Mapping[str, Json]) -> HttpReply:
        return envelope.success_reply({"payload": value})

    def from_reply(self, reply: HttpReply) -> Mapping[str, Json]:
        wire = envelope.read(reply, _ONE_STATE, has_parts=True)
        return _read_state(wire.payload, "payload", reply)

    @property
    def is_divisible(self) -> bool:
        return True

    def about(self, channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> Self:
        return msgspec.structs.replace(
            self, channels=channels, channel_groups=channel_groups
        )

    def merged(self, replies: Sequence[Mapping[str, Json]]) -> Mapping[str, Json]:
        # The same state was stored on every channel.
        return replies[-1]


class GetStateOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a user's state on channels and on the members of groups.

    Attributes:
        subscribe_key: The key set.
        user_id: The user.
        channels: The channels.
        channel_groups: Groups whose channels are asked about.
    """

    name: ClassVar[str] = "get state"
    route: ClassVar[str] = _STATE_PATH

    acting_user_id: ClassVar[str | None] = None

    subscribe_key: str
    user_id: str
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()

    def to_request(self) -> HttpRequest:
        path = channel_path(self.subscribe_key, self.channels)
        return HttpRequest(
            path=f"{path}/uuid/{encode_name(self.user_id)}",
            query="&".join(group_query(self.channel_groups)),
        )

    @classmethod
    def from_request(cls, request: HttpRequest) -> GetStateOperation:
        path = PresencePath.parse(cls.route, request)
        return cls(
            subscribe_key=path.subscribe_key,
            user_id=names.user_id(path.path_user_id),
            channels=path.channels,
            channel_groups=path.channel_groups,
        )

    def to_reply(self, value: UserState) -> HttpReply:
        if self._is_about_one_channel:
            (channel,) = self.channels
            state = value.states.get(channel, {})
            return envelope.success_reply({
                "payload": state,
                "uuid": self.user_id,
                "channel": channel,
            })
        return envelope.success_reply({
            "payload": {"channels": value.states},
            "uuid": self.user_id,
        })

    def from_reply(self, reply: HttpReply) -> UserState:
        if self._is_about_one_channel:
            raw = {
                self.channels[0]: envelope.read(
                    reply, _ONE_STATE, has_parts=True
                ).payload
            }
        else:
            raw = envelope.read(reply, _MANY_STATES, has_parts=True).payload.channels
        states = {name: _read_state(state, name, reply) for name, state in raw.items()}
        missing: dict[str, Mapping[str, Json]] = {
            channel: {} for channel in self.channels if channel not in states
        }
        return UserState(user_id=self.user_id, states={**states, **missing})

    @property
    def is_divisible(self) -> bool:
        return True

    def about(self, channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> Self:
        return msgspec.structs.replace(
            self, channels=channels, channel_groups=channel_groups
        )

    def merged(self, replies: Sequence[UserState]) -> UserState:
        states = {name: s for reply in replies for name, s in reply.states.items()}
        return UserState(user_id=self.user_id, states=states)

    @property
    def _is_about_one_channel(self) -> bool:
        return len(self.channels) == 1 and not self.channel_groups


def _read_state(raw: msgspec.Raw, where: str, reply: HttpReply) -> Mapping[str, Json]:
    try:
        return decode_object(bytes(raw))
    except JsonError as error:
        reason = str(error)
    raise ReplyFormatError(
        f"the service answered {reply.status} with a state that is not an object",
        excerpt=bytes(raw)[:200].decode(errors="replace"),
        cause=f"{where}: {reason}",
    )


def _parsed_state(text: str | None) -> Mapping[str, Json]:
    if text is None:
        raise InvalidArgumentError("state", "No state specified.")
    if text == "[]":
        # An empty state in PubNub's PHP SDK, whose arrays are lists while empty.
        return {}
    try:
        return plain_state(decode_object(text.encode()))
    except JsonError:
        pass
    raise InvalidArgumentError("state", "must be a JSON object")
