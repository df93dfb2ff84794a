"""Here now: who is present on channels, on the channels of groups, or everywhere.

Source: https://www.pubnub.com/docs/sdks/rest-api/get-presence-here-now (read 2026-11)
and 71 recorded replies. Which of two shapes a reply has depends on the request alone:
flat for exactly one channel and no group, else by channel. Channels with nobody on them
are left out of the second. ``limit`` and ``offset`` are per channel; counts are always
those of the full set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self, final

import msgspec

from ..errors import InvalidArgumentError, ReplyFormatError
from . import envelope
from .encoding import encode_name
from .exchange import HttpReply, HttpRequest
from .occupancy import ChannelOccupancy, HereNow, HereNowCounts, Occupant
from .presence_params import parsed_number
from .presence_path import PresencePath, channel_path, group_query

__all__ = [
    "ChannelOccupancy",
    "HereNow",
    "HereNowCounts",
    "HereNowOperation",
    "Occupant",
]

MAX_LIMIT = 1000

_Count = Annotated[int, msgspec.Meta(ge=0)]


@final
class _Entry(msgspec.Struct, gc=False):
    uuid: str
    state: msgspec.Raw = msgspec.Raw()


class _HereNowChannel(msgspec.Struct, gc=False):
    occupancy: _Count
    uuids: list[str | _Entry] | None = None


class _HereNowChannels(msgspec.Struct, gc=False):
    channels: dict[str, _HereNowChannel]
    total_channels: _Count
    total_occupancy: _Count


class _HereNowReply(msgspec.Struct, gc=False):
    """Both shapes in one; a reply has the fields of one of them."""

    status: int = 200
    error: object = None
    payload: _HereNowChannels | None = None
    occupancy: _Count | None = None
    uuids: list[str | _Entry] | None = None


_REPLY = msgspec.json.Decoder(_HereNowReply)


class HereNowOperation(msgspec.Struct, frozen=True, kw_only=True):
    """Ask who is present.

    Attributes:
        subscribe_key: The key set.
        channels: The channels; without groups either: every occupied one.
        channel_groups: Groups whose channels are asked about.
        include_user_ids: Whether to ask for user IDs, or only for their number.
        include_state: Whether to ask for states.
        limit: The most occupants of each channel; 0: counts only; ``None``: all.
        offset: The number of occupants of each channel to skip.
    """

    name: ClassVar[str] = "here now"
    route: ClassVar[str] = (
        r"/v2/presence/sub[-_]key/(?P<key>[^/]+)(?:/channel/(?P<channels>[^/]*))?"
    )

    acting_user_id: ClassVar[str | None] = None

    subscribe_key: str
    channels: tuple[str, ...] = ()
    channel_groups: tuple[str, ...] = ()
    include_user_ids: bool = True
    include_state: bool = False
    limit: int | None = MAX_LIMIT
    offset: int = 0

    @property
    def is_global(self) -> bool:
        """Whether it asks about every occupied channel of the key set."""
        return not self.channels and not self.channel_groups

    def to_request(self) -> HttpRequest:
        path = channel_path(self.subscribe_key, self.channels)
        if self.is_global:
            path = f"/v2/presence/sub-key/{encode_name(self.subscribe_key)}"
        query = group_query(self.channel_groups)
        if self.include_state:
            query.append("state=1")
        if not self.include_user_ids:
            query.append("disable_uuids=1")
        if self.limit is not None:
            query.append(f"limit={self.limit}")
        if self.offset:
            query.append(f"offset={self.offset}")
        return HttpRequest(path=path, query="&".join(query))

    @classmethod
    def from_request(cls, request: HttpRequest) -> HereNowOperation:
        path = PresencePath.parse(cls.route, request)
        params = path.params
        # The Go and PHP SDKs write a dash.
        hidden = params.get("disable_uuids", params.get("disable-uuids", "0"))
        limit = parsed_number(params, "limit")
        if limit is not None and limit > MAX_LIMIT:
            raise InvalidArgumentError("limit", f"must be up to {MAX_LIMIT}")
        return cls(
            subscribe_key=path.subscribe_key,
            channels=path.channels,
            channel_groups=path.channel_groups,
            include_user_ids=hidden != "1" and limit != 0,
            include_state=params.get("state") == "1",
            limit=limit,
            offset=parsed_number(params, "offset") or 0,
        )

    def to_reply(self, value: HereNow | HereNowCounts) -> HttpReply:
        if self._is_flat:
            (channel,) = self.channels
            # Nobody is ever present on a name that carries presence events.
            occupancy = value.channels.get(channel) or self._nobody(channel)
            return envelope.success_reply(self._encoded(occupancy))
        channels = {
            name: self._encoded(channel)
            for name, channel in value.channels.items()
            if channel.occupancy
        }
        payload = {
            "channels": channels,
            "total_channels": value.total_channels,
            "total_occupancy": value.total_occupancy,
        }
        return envelope.success_reply({"payload": payload})

    def from_reply(self, reply: HttpReply) -> HereNow | HereNowCounts:
        wire = envelope.read(reply, _REPLY, has_parts=self.include_state)
        if wire.payload is not None:
            payload = wire.payload
            found = {n: self._parsed(n, c, reply) for n, c in payload.channels.items()}
            totals = payload.total_channels, payload.total_occupancy
        elif wire.occupancy is not None and self._is_flat:
            (name,) = self.channels
            channel = _HereNowChannel(occupancy=wire.occupancy, uuids=wire.uuids)
            found = {name: self._parsed(name, channel, reply)}
            totals = int(wire.occupancy > 0), wire.occupancy
        else:
            raise _unexpected(reply, "neither payload nor occupancy")
        return self._result(found, *totals)

    @property
    def is_divisible(self) -> bool:
        # Pages of parts are not parts of a page.
        return self.offset == 0

    def about(self, channels: tuple[str, ...], channel_groups: tuple[str, ...]) -> Self:
        return msgspec.structs.replace(
            self, channels=channels, channel_groups=channel_groups
        )

    def merged(
        self, replies: Sequence[HereNow | HereNowCounts]
    ) -> HereNow | HereNowCounts:
        found = {name: c for reply in replies for name, c in reply.channels.items()}
        occupancies = [c.occupancy for c in found.values() if c.occupancy]
        return self._result(found, len(occupancies), sum(occupancies))

    @property
    def _is_flat(self) -> bool:
        return len(self.channels) == 1 and not self.channel_groups

    def _result(
        self, found: dict[str, ChannelOccupancy], channels: int, occupancy: int
    ) -> HereNow | HereNowCounts:
        for name in self.channels:
            if name not in found:
                found[name] = self._nobody(name)
        kind = HereNow if self.include_user_ids else HereNowCounts
        return kind(channels=found, total_channels=channels, total_occupancy=occupancy)

    def _nobody(self, channel: str) -> ChannelOccupancy:
        if not self.include_user_ids:
            return ChannelOccupancy(channel=channel, occupancy=0)
        return ChannelOccupancy(
            channel=channel,
            occupancy=0,
            user_ids=(),
            is_complete=self.offset == 0,
            encoded_states=() if self.include_state else None,
        )

    def _parsed(
        self, name: str, channel: _HereNowChannel, reply: HttpReply
    ) -> ChannelOccupancy:
        occupancy, entries = channel.occupancy, channel.uuids
        if not self.include_user_ids:
            return ChannelOccupancy(channel=name, occupancy=occupancy)
        if entries is None:
            if occupancy:
                raise _unexpected(reply, "an occupancy without the user ids asked for")
            return self._nobody(name)
        user_ids = tuple([e.uuid if type(e) is _Entry else e for e in entries])
        return ChannelOccupancy(
            channel=name,
            occupancy=occupancy,
            user_ids=user_ids,
            is_complete=self.offset == 0 and len(user_ids) == occupancy,
            encoded_states=_raw_states(entries) if self.include_state else None,
        )

    def _encoded(self, channel: ChannelOccupancy) -> dict[str, object]:
        if not self.include_user_ids:
            return {"occupancy": channel.occupancy}
        return {"occupancy": channel.occupancy, "uuids": self._encoded_entries(channel)}

    def _encoded_entries(self, channel: ChannelOccupancy) -> list[object]:
        if not self.include_state:
            return list(channel.user_ids or ())
        return [
            {"uuid": o.user_id, "state": o.state} if o.state else {"uuid": o.user_id}
            for o in channel.occupants or ()
        ]


def _raw_states(entries: list[str | _Entry]) -> tuple[bytes, ...]:
    raw = tuple([bytes(e.state) if type(e) is _Entry else b"" for e in entries])
    if b"null" not in raw:
        return raw
    return tuple([b"" if state == b"null" else state for state in raw])


def _unexpected(reply: HttpReply, what: str) -> ReplyFormatError:
    return ReplyFormatError(
        f"the service answered {reply.status} with an unexpected body",
        excerpt=reply.body[:200].decode(errors="replace"),
        cause=what,
    )
