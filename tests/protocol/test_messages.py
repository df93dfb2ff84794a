"""Presence events: wire to value."""

from __future__ import annotations

import json

import msgspec
import pytest

from presence_async import UserEvent
from presence_async.protocol.messages import Message, Published, read_event


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
def test_an_event_without_state_says_none(fields: dict[str, object]) -> None:
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
