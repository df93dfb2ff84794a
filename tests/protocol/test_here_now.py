from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import (
    ChannelOccupancy,
    HereNow,
    InvalidArgumentError,
)
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.here_now import HereNowOperation
from presence_async.protocol.identity import Identity

KEY = "sub-c-1"
ROOT = f"/v2/presence/sub-key/{KEY}"
HOSTILE = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "日本", "😀", "a\"'b", "a&b=c"]


def ask(*channels: str, **options: Any) -> HereNowOperation:
    return HereNowOperation(subscribe_key=KEY, channels=channels, **options)


def ok(**fields: object) -> HttpReply:
    return HttpReply(status=200, body=json.dumps({"status": 200, **fields}).encode())


def ok_payload(channels: dict[str, object], total: int = 1) -> HttpReply:
    return ok(
        payload={"channels": channels, "total_channels": total, "total_occupancy": 9}
    )


def said(reply: HttpReply) -> Any:
    common = {"status": 200, "message": "OK", "service": "Presence"}
    body: dict[str, Any] = json.loads(reply.body)
    assert common.items() <= body.items()
    return {name: value for name, value in body.items() if name not in common}


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        (ask("lobby"), f"{ROOT}/channel/lobby?limit=1000"),
        (ask("b", "a"), f"{ROOT}/channel/b,a?limit=1000"),
        (ask(), f"{ROOT}?limit=1000"),
        (
            ask(channel_groups=("g1", "g2")),
            f"{ROOT}/channel/,?channel-group=g1,g2&limit=1000",
        ),
        (
            ask("lobby", channel_groups=("g/1",), include_state=True, limit=7),
            f"{ROOT}/channel/lobby?channel-group=g%2F1&state=1&limit=7",
        ),
        (
            ask("lobby", include_user_ids=False, limit=None),
            f"{ROOT}/channel/lobby?disable_uuids=1",
        ),
        (ask("lobby", offset=20), f"{ROOT}/channel/lobby?limit=1000&offset=20"),
        (ask("lobby", limit=None), f"{ROOT}/channel/lobby"),
        (ask("a/b", "a+b c"), f"{ROOT}/channel/a%2Fb,a%2Bb%20c?limit=1000"),
    ],
)
def test_an_operation_is_encoded_as_the_sdks_send_it(
    operation: HereNowOperation, target: str
) -> None:
    assert operation.to_request().target == target


@pytest.mark.parametrize(
    ("path", "query", "operation"),
    [
        ("/channel/a,b", "", ask("a", "b", limit=None)),
        ("/channel/,", "channel-group=g1%2Cg2", ask(channel_groups=("g1", "g2"))),
        ("/channel/", "channel-group=g", ask(channel_groups=("g",))),
        ("/channel/a", "channel-group=", ask("a")),
        ("/channel/,", "", ask()),
        ("", "limit=5&offset=&state=0", ask(limit=5)),
        ("/channel/a+b c", "", ask("a+b c")),
        ("/channel/a", "state=1&offset=7", ask("a", include_state=True, offset=7)),
        ("/channel/a", "disable_uuids=1", ask("a", include_user_ids=False)),
        ("/channel/a", "disable-uuids=1", ask("a", include_user_ids=False)),
        ("/channel/a", "disable-uuids=0&disable_uuids=0", ask("a")),
        ("/channel/a", "limit=0", ask("a", include_user_ids=False, limit=0)),
        ("/channel/a", 'x={"raw":[1, "a,b"]}&&y', ask("a")),
    ],
)
@pytest.mark.parametrize("spelling", ["sub-key", "sub_key"])
def test_requests_of_other_sdks_are_parsed(
    path: str, query: str, operation: HereNowOperation, spelling: str
) -> None:
    if "limit" not in query:
        operation = msgspec.structs.replace(operation, limit=None)
    request = HttpRequest(path=f"/v2/presence/{spelling}/{KEY}{path}", query=query)

    assert HereNowOperation.from_request(request) == operation


@pytest.mark.parametrize(
    ("path", "query", "argument"),
    [
        ("/channel/a", "limit=1001", "limit"),
        ("/channel/a", "limit=-1", "limit"),
        ("/channel/a", "limit=1.5", "limit"),
        ("/channel/a", "limit=%D9%A3", "limit"),
        ("/channel/a", f"offset={10**20}", "offset"),
        ("/channel/a", "offset=-1", "offset"),
        ("/channel/%2E%2E", "", "channels"),
        ("/channel/a%2Cb", "", "channels"),
        ("/channel/a", "channel-group=a%2F..", "channel_groups"),
        ("/channel/a%zz", "", "path or query"),
        ("/channel/a/heartbeat", "", "path"),
    ],
)
def test_a_request_with_invalid_parameters_is_refused(
    path: str, query: str, argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        HereNowOperation.from_request(HttpRequest(path=ROOT + path, query=query))

    assert caught.value.argument == argument


@given(
    st.lists(st.sampled_from(HOSTILE), unique=True).map(tuple),
    st.lists(st.sampled_from(HOSTILE), unique=True).map(tuple),
)
def test_hostile_names_reach_the_service_as_they_are(
    channels: tuple[str, ...], groups: tuple[str, ...]
) -> None:
    operation = ask(*channels, channel_groups=groups)
    me = Identity(subscribe_key=KEY, user_id="a/b&limit=1")

    request = me.stamp(operation.to_request())

    assert HereNowOperation.from_request(request) == operation


def test_an_answer_about_one_channel_is_flat() -> None:
    here = HereNow(
        channels={"a": ChannelOccupancy.of("a", {"bob": {"n": 1}, "eve": {}})},
        total_channels=1,
        total_occupancy=2,
    )
    bob, eve = {"uuid": "bob", "state": {"n": 1}}, {"uuid": "eve"}

    ids, states, counts = (
        said(operation.to_reply(here))
        for operation in (
            ask("a"),
            ask("a", include_state=True),
            ask("a", include_user_ids=False),
        )
    )

    assert ids == {"occupancy": 2, "uuids": ["bob", "eve"]}
    assert states == {"occupancy": 2, "uuids": [bob, eve]}
    assert counts == {"occupancy": 2}


@pytest.mark.parametrize(
    "operation", [ask(), ask("a", "b"), ask("a", channel_groups=("g",))]
)
def test_an_answer_about_several_leaves_empty_channels_out(
    operation: HereNowOperation,
) -> None:
    here = HereNow(
        channels={
            "a": ChannelOccupancy.of("a", ["x"], occupancy=5),
            "b": ChannelOccupancy.of("b", []),
        },
        total_channels=1,
        total_occupancy=5,
    )

    assert said(operation.to_reply(here)) == {
        "payload": {
            "channels": {"a": {"occupancy": 5, "uuids": ["x"]}},
            "total_channels": 1,
            "total_occupancy": 5,
        }
    }


channel = st.sampled_from(HOSTILE) | st.text(min_size=1, max_size=5)
state = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5))


@given(
    st.dictionaries(
        channel, st.dictionaries(channel, state, max_size=4), min_size=1, max_size=4
    )
)
def test_a_value_survives_the_reply(
    found: dict[str, dict[str, dict[str, Any]]],
) -> None:
    operation = ask(*found, include_state=True)
    here = HereNow(
        channels={name: ChannelOccupancy.of(name, who) for name, who in found.items()},
        total_channels=len([who for who in found.values() if who]),
        total_occupancy=sum(map(len, found.values())),
    )

    assert operation.from_reply(operation.to_reply(here)) == here


def test_replies_to_parts_are_united_and_counted_again() -> None:
    operation = ask("a", "b", "c")
    first = ask("a").from_reply(ok(occupancy=2, uuids=["x", "y"]))
    second = ask("b", "c").from_reply(
        ok_payload({"b": {"occupancy": 1, "uuids": ["x"]}})
    )

    here = operation.merged([first, second])

    assert {name: c.user_ids for name, c in here.channels.items()} == {
        "a": ("x", "y"),
        "b": ("x",),
        "c": (),
    }
    assert (here.total_channels, here.total_occupancy) == (2, 3)


def test_here_now_is_divisible_unless_it_has_an_offset() -> None:
    operation = ask("a", "b", include_state=True, limit=5)

    assert operation.about(("b",), ("g",)) == ask(
        "b", channel_groups=("g",), include_state=True, limit=5
    )
    assert operation.is_divisible
    assert not ask("a", "b", offset=1).is_divisible
