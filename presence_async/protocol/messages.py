"""Messages: presence events as the wire carries them.

Source: 993 recorded events in 1,375 subscribe replies. The documentation calls the
lists of an interval event ``joined``, ``left`` and ``timedout``, traffic calls them
``join``, ``leave`` and ``timeout``: both are read, the latter are written.
``precise_timestamp`` came in 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec

from .encoding import encode_name
from .events import (
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    StateChangeEvent,
    TimeoutEvent,
    UnknownEvent,
    UserEvent,
)
from .json_codec import UNDECODABLE_ERRORS, Json, JsonError, decode, decode_object
from .names import PRESENCE_SUFFIX
from .timetoken import Timetoken, unix_ms

__all__ = [
    "Message",
    "Published",
    "metadata_of",
    "payload_of",
    "read_event",
]


class Published(msgspec.Struct, frozen=True, gc=False):
    """The time and the region of publication: ``p``.

    Attributes:
        t: The timetoken, a string on the wire.
        r: The region.
    """

    t: Timetoken
    r: int = 0


class Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    gc=False,
    rename={
        "channel": "c",
        "payload": "d",
        "published": "p",
        "subscription": "b",
    },
):
    """One message of a subscribe reply, with the fields that a reader needs.

    Attributes:
        channel: ``c``, with ``-pnpres`` for presence.
        payload: ``d``, JSON text that may be anything.
        published: ``p``.
        subscription: ``b``, the name in the request that matched; ``None`` when the
            request names one plain channel.
    """

    channel: str
    payload: msgspec.Raw
    published: Published
    subscription: str | None = None


_Count = Annotated[int, msgspec.Meta(ge=0)]
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=2**47)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**37)]
"""Up to the year 6325, which a datetime can hold."""


# A union of Raw and None would take only null.
_NO_STATE: Final = msgspec.Raw()


class _EventPayload(msgspec.Struct, gc=False):
    action: str
    occupancy: _Count
    timestamp: _Seconds
    precise_timestamp: _Milliseconds | None = None
    uuid: str | None = None
    data: msgspec.Raw = _NO_STATE
    join: tuple[str, ...] | None = None
    leave: tuple[str, ...] | None = None
    timeout: tuple[str, ...] | None = None
    joined: tuple[str, ...] | None = None
    left: tuple[str, ...] | None = None
    timedout: tuple[str, ...] | None = None
    here_now_refresh: bool | None = None


# Not strict: a stub of the JavaScript SDK has its timestamp as text.
_PAYLOAD = msgspec.json.Decoder(_EventPayload, strict=False)
_STATE: msgspec.json.Decoder[Mapping[str, Json]] = msgspec.json.Decoder(dict[str, Any])
_INTERVAL = "interval"

UserEventMaker = Callable[..., UserEvent]
_USER_EVENTS: Mapping[str, UserEventMaker] = {
    "join": JoinEvent,
    "leave": LeaveEvent,
    "timeout": TimeoutEvent,
    "state-change": StateChangeEvent,
}


def read_event(message: Message) -> PresenceEvent:
    """Return the event that a message carries; never fails.

    Anything but a presence event of a known kind becomes an ``UnknownEvent``.
    """
    state = state_error = None
    try:
        payload = _PAYLOAD.decode(message.payload)
        if payload.data is not _NO_STATE:
            state = _STATE.decode(payload.data)
    except UNDECODABLE_ERRORS:
        found = _decoded_with_care(message)
        if found is None:
            return _unknown(message)
        payload, state, state_error = found
    timestamp_ms = payload.precise_timestamp
    if timestamp_ms is None:
        timestamp_ms = payload.timestamp * 1000
    make = _USER_EVENTS.get(payload.action)
    if make is not None and payload.uuid is not None:
        match = message.subscription
        is_direct = match is None or match == message.channel
        return make(
            channel=message.channel.removesuffix(PRESENCE_SUFFIX),
            subscription=None if is_direct else _subscription(message),
            occupancy=payload.occupancy,
            timetoken=message.published.t,
            timestamp_ms=timestamp_ms,
            user_id=payload.uuid,
            state=state,
            state_error=state_error,
        )
    if payload.action == _INTERVAL:
        return IntervalEvent(
            channel=message.channel.removesuffix(PRESENCE_SUFFIX),
            subscription=_subscription(message),
            occupancy=payload.occupancy,
            timetoken=message.published.t,
            timestamp_ms=timestamp_ms,
            joined=payload.join or payload.joined or (),
            left=payload.leave or payload.left or (),
            timed_out=payload.timeout or payload.timedout or (),
            here_now_refresh=bool(payload.here_now_refresh),
        )
    return _unknown(message, payload)


def payload_of(event: UserEvent | IntervalEvent) -> dict[str, Json]:
    """Return the payload of an event, ``d``, as the service has sent it since 2025."""
    when: dict[str, Json] = {
        "timestamp": event.timestamp_ms // 1000,
        "precise_timestamp": event.timestamp_ms,
    }
    if isinstance(event, UserEvent):
        state = {} if event.state is None else {"data": event.state}
        who = {"action": event.action, "uuid": event.user_id}
        return {**who, **when, **state, "occupancy": event.occupancy}
    lists = {"join": event.joined, "leave": event.left, "timeout": event.timed_out}
    payload = {"action": event.action, **when, "occupancy": event.occupancy}
    payload |= {name: list(users) for name, users in lists.items() if users}
    return {**payload, "here_now_refresh": True} if event.here_now_refresh else payload


def metadata_of(channel: str, payload: Mapping[str, Json]) -> dict[str, Json]:
    """Return the flat copy of an event, ``u``, which has been sent since 2020."""
    metadata: dict[str, Json] = {
        f"pn_{name}": value for name, value in payload.items() if name != "data"
    }
    state = payload.get("data")
    if isinstance(state, Mapping):
        metadata |= {f"pn_state_{name}": value for name, value in state.items()}
    return metadata | {
        "pn_ispresence": 1,
        "pn_channel": encode_name(channel).replace("~", "%7E"),
    }


def _subscription(message: Message) -> str | None:
    match = message.subscription
    if match is None or match == message.channel:
        return None
    return match.removesuffix(PRESENCE_SUFFIX)


_State = Mapping[str, Json] | None


def _decoded_with_care(
    message: Message,
) -> tuple[_EventPayload, _State, str | None] | None:
    """Decode a message with an invalid value, such as a state that is not an object.

    Returns:
        The payload, the state and what is wrong with it; ``None`` for another message.
    """
    try:
        payload = decode(bytes(message.payload), _PAYLOAD)
    except JsonError:
        return None
    text = bytes(payload.data)
    if text in {b"", b"null"}:
        return payload, None, None
    try:
        return payload, decode_object(text), None
    except JsonError as error:
        return payload, None, str(error)


def _unknown(message: Message, payload: _EventPayload | None = None) -> UnknownEvent:
    channel = message.channel.removesuffix(PRESENCE_SUFFIX)
    subscription = _subscription(message)
    raw = bytes(message.payload)
    timetoken = message.published.t
    if payload is None:
        return UnknownEvent(
            channel=channel,
            subscription=subscription,
            occupancy=None,
            timetoken=timetoken,
            timestamp_ms=unix_ms(timetoken),
            raw=raw,
        )
    return UnknownEvent(
        kind=payload.action,
        channel=channel,
        subscription=subscription,
        occupancy=payload.occupancy,
        timetoken=timetoken,
        timestamp_ms=payload.timestamp * 1000,
        raw=raw,
    )
