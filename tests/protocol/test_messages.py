"""Presence events: wire to value."""

from __future__ import annotations

import json

import msgspec
import pytest

from presence_async import (
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    StateChangeEvent,
    TimeoutEvent,
    UnknownEvent,
    UserEvent,
)
from presence_async.protocol.messages import (
    Message,
    Published,
    metadata_of,
    payload_of,
    read_event,
)


def message(**fields: object) -> Message:
    payload = {
        "action": "join",
        "uuid": "amy",
        "timestamp": 1,
        "occupancy": 1,
        **fields,
    }
    return Message(
        channel="lobby-pnpres",
        payload=msgspec.Raw(json.dumps(payload).encode()),
        published=Published(5),
    )


@pytest.mark.parametrize("state", [{}, {"mood": "ok"}, {"a": {"b": [1, None]}}])
def test_an_event_carries_the_state(state: dict[str, object]) -> None:
    event = read_event(message(data=state))

    assert isinstance(event, UserEvent)
    assert (event.state, event.state_error) == (state, None)


@pytest.mark.parametrize("fields", [{}, {"data": None}])
def test_an_event_without_state_has_none(fields: dict[str, object]) -> None:
    event = read_event(message(**fields))

    assert isinstance(event, UserEvent)
    assert (event.state, event.state_error) == (None, None)


@pytest.mark.parametrize("state", [[], "x", 5])
def test_a_state_that_is_no_object_spoils_only_itself(state: object) -> None:
    event = read_event(message(data=state))

    assert isinstance(event, UserEvent)
    assert event.user_id == "amy"
    assert event.state is None
    assert event.state_error


def wire(payload: bytes, channel: str = "lobby-pnpres") -> Message:
    return Message(
        channel=channel, payload=msgspec.Raw(payload), published=Published(5)
    )


@pytest.mark.parametrize(
    "payload",
    [
        b"null",
        b"5",
        b'"join"',
        b"[]",
        b"{}",
        b'{"action": "join"}',
        b'{"action": "join", "timestamp": 1, "occupancy": 1}',
        b'{"action": "join", "timestamp": 1, "occupancy": -1, "uuid": "a"}',
        b'{"action": "join", "timestamp": 1, "occupancy": "many", "uuid": "a"}',
        b'{"action": "join", "timestamp": -1, "occupancy": 1, "uuid": "a"}',
        b'{"action": "join", "timestamp": 1e30, "occupancy": 1, "uuid": "a"}',
        b'{"action": 5, "timestamp": 1, "occupancy": 1, "uuid": "a"}',
        b'{"action": "join", "timestamp": 1, "occupancy": 1, "uuid": {}}',
        b'{"action": "interval", "timestamp": 1, "occupancy": 1, "join": "a"}',
        b'{"action": "interval", "timestamp": 1, "occupancy": 1, "join": [5, {}]}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"action": "\\ud800"}',
        b"\xff\xfe",
        b"",
    ],
    ids=lambda payload: repr(payload[:90]),
)
def test_anything_but_an_event_is_kept_whole(payload: bytes) -> None:
    event = read_event(wire(payload))

    assert isinstance(event, UnknownEvent)
    assert event.raw == payload
    assert (event.channel, event.timetoken) == ("lobby", 5)
    json.dumps(event.to_dict())


def test_an_event_of_a_newer_kind_says_what_it_calls_itself() -> None:
    event = read_event(message(action="active"))

    assert isinstance(event, UnknownEvent)
    assert (event.action, event.occupancy) == ("active", 1)


def test_a_timestamp_may_be_text() -> None:
    assert read_event(message(timestamp="12", occupancy="3")).timestamp_ms == 12_000


EVENTS: list[UserEvent | IntervalEvent] = [
    JoinEvent(channel="a", occupancy=1, timetoken=5, timestamp_ms=1500, user_id="b"),
    JoinEvent(
        channel="a",
        occupancy=1,
        timetoken=5,
        timestamp_ms=1500,
        user_id="b",
        state={"x": [1, {"y": None}]},
    ),
    LeaveEvent(channel="a", occupancy=0, timetoken=5, timestamp_ms=0, user_id="b"),
    TimeoutEvent(
        channel="a", occupancy=0, timetoken=5, timestamp_ms=7, user_id="ü", state={}
    ),
    StateChangeEvent(
        channel="a", occupancy=0, timetoken=5, timestamp_ms=7, user_id="b", state={}
    ),
    IntervalEvent(channel="a", occupancy=30, timetoken=5, timestamp_ms=7),
    IntervalEvent(
        channel="a",
        occupancy=30,
        timetoken=5,
        timestamp_ms=7,
        joined=("x", "y"),
        left=("z",),
        timed_out=("q",),
    ),
    IntervalEvent(
        channel="a", occupancy=9, timetoken=5, timestamp_ms=7, here_now_refresh=True
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_an_event_survives_its_message(event: UserEvent | IntervalEvent) -> None:
    said = wire(json.dumps(payload_of(event)).encode(), channel="a-pnpres")

    assert read_event(said) == event


def test_the_flat_copy_has_the_escaped_channel_and_each_entry_of_the_state() -> None:
    payload = payload_of(EVENTS[1])

    assert metadata_of("nul.*", payload) == {
        "pn_action": "join",
        "pn_uuid": "b",
        "pn_timestamp": 1,
        "pn_precise_timestamp": 1500,
        "pn_occupancy": 1,
        "pn_state_x": [1, {"y": None}],
        "pn_ispresence": 1,
        "pn_channel": "nul.%2A",
    }
