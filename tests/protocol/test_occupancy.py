from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import attrs
import pytest

from presence_async import ChannelOccupancy, HereNow, HereNowCounts, Occupant
from presence_async.protocol.exchange import HttpReply
from presence_async.protocol.here_now import HereNowOperation


def heard(*entries: bytes) -> ChannelOccupancy:
    operation = HereNowOperation(
        subscribe_key="demo", channels=("lobby",), include_state=True
    )
    body = b'{"occupancy":%d,"uuids":[%b]}' % (len(entries), b",".join(entries))
    return operation.from_reply(HttpReply(status=200, body=body)).channels["lobby"]


def bob(state: bytes) -> bytes:
    return b'{"uuid":"bob","state":' + state + b"}"


EVE = b'{"uuid":"eve","state":{"ok":true}}'
LOBBY = heard(bob(b'{"n":[1,{"deep":null}]}'), EVE, b'"kim"')
HERE = HereNow(channels={"lobby": LOBBY}, total_channels=1, total_occupancy=3)
COUNTS = HereNowCounts(
    channels={"lobby": ChannelOccupancy(channel="lobby", occupancy=3)},
    total_channels=1,
    total_occupancy=3,
)


@pytest.mark.parametrize(
    "state",
    [
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b"NaN",
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b"[1]",
        b'"text"',
        b"7",
        b"true",
        b'{"a":' * 10**5 + b"1" + b"}" * 10**5,
    ],
    ids=lambda state: str(state[:16]),
)
def test_a_state_that_is_no_json_object_harms_nobody_else(state: bytes) -> None:
    lobby = heard(EVE, bob(state), b'"kim"')

    eve, hurt, kim = lobby.occupants or ()
    assert (eve.state, eve.state_error) == ({"ok": True}, None)
    assert (kim.state, kim.state_error) == ({}, None)
    assert (hurt.user_id, hurt.state) == ("bob", None)
    assert hurt.state_error
    assert lobby.user_ids == ("eve", "bob", "kim")


def test_text_that_looks_like_json_stays_text() -> None:
    lobby = heard(bob(b'{"a":"],[{\\"","b":"NaN"}'), EVE)

    assert [o.state for o in lobby.occupants or ()] == [
        {"a": '],[{"', "b": "NaN"},
        {"ok": True},
    ]


def test_occupants_are_made_once() -> None:
    assert LOBBY.occupants is LOBBY.occupants


@pytest.mark.parametrize(
    ("one", "other", "are_equal"),
    [
        (b'{"a":1,"b":2}', b'{ "b" : 2,"a":1}', True),
        (b'{"a":"\\u00e9"}', b'{"a":"\xc3\xa9"}', True),
        (b'{"a":1}', b'{"a":2}', False),
        (b"{}", b"null", True),
        (b"[1]", b"[1]", True),
        (b"[1]", b"{}", False),
    ],
)
def test_states_are_compared_by_what_they_mean(
    one: bytes, other: bytes, are_equal: bool
) -> None:
    assert (heard(bob(one)) == heard(bob(other))) is are_equal


def test_states_not_asked_for_are_not_empty_ones() -> None:
    assert ChannelOccupancy.of("a", ["bob"]) != ChannelOccupancy.of("a", {"bob": {}})


@pytest.mark.parametrize("value", [LOBBY, HERE, COUNTS, *(LOBBY.occupants or ())])
def test_values_pickle_and_copy(value: Any) -> None:
    for other in (
        pickle.loads(pickle.dumps(value)),  # noqa: S301  # our own
        copy.copy(value),
        copy.deepcopy(value),
    ):
        assert other == value
        assert other.to_dict() == value.to_dict()


def test_a_changed_copy_makes_its_own_occupants() -> None:
    assert LOBBY.occupants is not None

    renamed = attrs.evolve(LOBBY, user_ids=("x", "y", "z"))

    assert [o.user_id for o in renamed.occupants or ()] == ["x", "y", "z"]


def test_values_become_json() -> None:
    text = json.dumps([HERE.to_dict(), COUNTS.to_dict()])

    bob_eve_kim = [
        {"user_id": "bob", "state": {"n": [1, {"deep": None}]}, "state_error": None},
        {"user_id": "eve", "state": {"ok": True}, "state_error": None},
        {"user_id": "kim", "state": {}, "state_error": None},
    ]
    lobby = {
        "channel": "lobby",
        "occupancy": 3,
        "user_ids": ["bob", "eve", "kim"],
        "occupants": bob_eve_kim,
        "is_complete": True,
    }
    totals = {"total_channels": 1, "total_occupancy": 3}
    assert json.loads(text) == [
        {"channels": {"lobby": lobby}, **totals},
        {"channels": {"lobby": 3}, **totals},
    ]


def test_an_undecodable_state_becomes_null_beside_its_reason() -> None:
    (hurt,) = heard(bob(b"[1]")).occupants or ()

    assert hurt.to_dict()["state"] is None
    assert hurt.to_dict()["state_error"] == hurt.state_error


def test_without_states_or_ids_their_fields_are_null() -> None:
    ids = ChannelOccupancy.of("a", ["bob"]).to_dict()
    count = ChannelOccupancy(channel="a", occupancy=1).to_dict()

    assert (ids["user_ids"], ids["occupants"]) == (["bob"], None)
    assert (count["user_ids"], count["occupants"]) == (None, None)


def test_a_value_is_made_from_ids_or_from_states() -> None:
    page = ChannelOccupancy.of("a", ["bob"], occupancy=5)
    whole = ChannelOccupancy.of("a", {"bob": {"n": 1}})
    claimed = ChannelOccupancy.of("a", ["bob"], is_complete=False)

    assert (page.occupancy, page.is_complete) == (5, False)
    assert page.occupants == (Occupant(user_id="bob"),)
    assert (whole.occupancy, whole.is_complete) == (1, True)
    assert whole.occupants == (Occupant(user_id="bob", state={"n": 1}),)
    assert claimed.is_complete is False


def test_counts_have_no_occupants() -> None:
    assert ChannelOccupancy(channel="a", occupancy=3).occupants is None


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        (None, "user_ids=None"),
        (["bob"], "user_ids=('bob',)"),
        ([f"u{n}" for n in range(10)], "'u9')"),
        ([f"u{n}" for n in range(11)], "user_ids=<11: 'u0', "),
    ],
)
def test_a_repr_shows_ten_ids_and_no_state(ids: list[str] | None, shown: str) -> None:
    value = ChannelOccupancy(
        channel="a", occupancy=1, user_ids=None if ids is None else tuple(ids)
    )

    assert shown in repr(value)
    assert "'u10'" not in repr(value)
    assert "states" not in repr(LOBBY)
