from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError, ReplyFormatError, UnavailableError
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.identity import Identity

KEY = "sub-c-1"
ROOT = f"/v2/presence/sub-key/{KEY}/channel"
HOSTILE = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "日本", "😀", "a\"'b", "a&b=c"]


def beat(*channels: str, **options: Any) -> HeartbeatOperation:
    given = {"user_id": "bob", "presence_timeout_s": 120, "channels": channels}
    return HeartbeatOperation(subscribe_key=KEY, **{**given, **options})


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        (beat("lobby"), f"{ROOT}/lobby/heartbeat?heartbeat=120"),
        (beat("b", "a/b"), f"{ROOT}/b,a%2Fb/heartbeat?heartbeat=120"),
        (
            beat(channel_groups=("g1", "g2"), presence_timeout_s=8),
            f"{ROOT}/,/heartbeat?heartbeat=8&channel-group=g1,g2",
        ),
        (
            beat("a", state={"a": {"mood": "ok", "n": [1, None]}}),
            f"{ROOT}/a/heartbeat?heartbeat=120&state="
            "%7B%22a%22%3A%7B%22mood%22%3A%22ok%22%2C%22n%22%3A%5B1%2Cnull%5D%7D%7D",
        ),
        (beat("a", state={}), f"{ROOT}/a/heartbeat?heartbeat=120&state=%7B%7D"),
    ],
)
def test_a_heartbeat_is_encoded_as_the_sdks_send_it(
    operation: HeartbeatOperation, target: str
) -> None:
    assert operation.to_request().target == target
    assert operation.acting_user_id == "bob"


states = st.dictionaries(
    st.sampled_from(HOSTILE),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers()),
)


@given(
    st.lists(st.sampled_from(HOSTILE), unique=True).map(tuple),
    st.lists(st.sampled_from(HOSTILE), unique=True).map(tuple),
    st.sampled_from(HOSTILE),
    st.none() | states,
)
def test_hostile_names_reach_the_service_as_they_are(
    channels: tuple[str, ...], groups: tuple[str, ...], user_id: str, state: Any
) -> None:
    operation = beat(*channels, channel_groups=groups, user_id=user_id, state=state)
    me = Identity(subscribe_key=KEY, user_id="me")

    request = me.stamp(operation.to_request(), user_id=operation.acting_user_id)

    assert HeartbeatOperation.from_request(request) == operation


@pytest.mark.parametrize(
    ("path", "query", "operation"),
    [
        ("/a,a-pnpres", "heartbeat=120&ee=1", beat("a")),
        ("/a-pnpres", "heartbeat=120", beat()),
        (
            "/,",
            "heartbeat=120&channel-group=g-pnpres,g",
            beat(channel_groups=("g",)),
        ),
        ("/", "heartbeat=120&channel-group=", beat()),
        (
            "/a",
            'heartbeat=120&state={"a": {"n": "x y"}}',
            beat("a", state={"a": {"n": "x y"}}),
        ),
        ("/a", "heartbeat=120&state={}", beat("a", state={})),
        ("/a", "heartbeat=120&state=null", beat("a")),
        ("/a", "heartbeat=120&state=", beat("a")),
        ("/a", "heartbeat=120&state", beat("a")),
        ("/a", 'heartbeat=120&state={"a":null}', beat("a", state={})),
        (
            "/a,b",
            'heartbeat=120&state={"a":null,"b":{},"c":{"n":null}}',
            beat("a", "b", state={"b": {}, "c": {"n": None}}),
        ),
        ("/,", "heartbeat=120&channel-group=,", beat()),
    ],
)
@pytest.mark.parametrize("spelling", ["sub-key", "sub_key"])
def test_requests_of_other_sdks_are_parsed(
    path: str, query: str, operation: HeartbeatOperation, spelling: str
) -> None:
    root = ROOT.replace("sub-key", spelling)
    request = HttpRequest(path=f"{root}{path}/heartbeat", query=f"uuid=bob&{query}")

    assert HeartbeatOperation.from_request(request) == operation


@pytest.mark.parametrize(
    ("value", "timeout_s"),
    [
        ("heartbeat=3", 3),
        ("heartbeat=999999999", 999_999_999),
        ("", 300),
        ("heartbeat=", 300),
        ("heartbeat=0", 300),
        ("heartbeat=-20", 300),
        ("heartbeat=20.5", 300),
        ("heartbeat=%D9%A3", 300),
        ("heartbeat=1000000000", 300),
        ("heartbeat=soon", 300),
    ],
)
def test_an_invalid_timeout_counts_as_the_default(value: str, timeout_s: int) -> None:
    request = HttpRequest(path=f"{ROOT}/a/heartbeat", query=f"uuid=bob&{value}")

    assert HeartbeatOperation.from_request(request).presence_timeout_s == timeout_s


@pytest.mark.parametrize(
    ("path", "query", "argument"),
    [
        ("/a/heartbeat", "heartbeat=8", "uuid"),
        ("/a/heartbeat", "uuid=%20", "uuid"),
        ("/a%2F../heartbeat", "uuid=bob", "channels"),
        ("/a/leave", "uuid=bob", "path"),
        ("/a/heartbeat", "uuid=bob&state=[]", "state"),
        ("/a/heartbeat", "uuid=bob&state=nul", "state"),
        ("/a/heartbeat", "uuid=bob&state=%20", "state"),
        ("/a/heartbeat", "uuid=bob&state=7", "state"),
        ("/a/heartbeat", "uuid=bob&state=[{}]", "state"),
        ("/a/heartbeat", 'uuid=bob&state={"a"', "state"),
        ("/a/heartbeat", 'uuid=bob&state={"a":7}', "state"),
        ("/a/heartbeat", 'uuid=bob&state={"a":{"n":NaN}}', "state"),
        ("/a/heartbeat", "uuid=bob&state=" + quote('{"a":' * 5000), "state"),
    ],
    ids=lambda text: text[:40],
)
def test_an_invalid_heartbeat_is_refused(path: str, query: str, argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        HeartbeatOperation.from_request(HttpRequest(path=ROOT + path, query=query))

    assert caught.value.argument == argument


def test_a_reply_has_the_recorded_shape_and_is_decoded() -> None:
    reply = beat("a").to_reply(None)

    assert reply.body == b'{"message":"OK","service":"Presence","status":200}'
    beat("a").from_reply(reply)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"status":2', b'{"status":"200"}', b"[" * 10**4],
    ids=lambda body: str(body[:12]),
)
def test_an_undocumented_reply_is_not_an_acknowledgement(body: bytes) -> None:
    with pytest.raises(ReplyFormatError):
        beat("a").from_reply(HttpReply(status=200, body=body))


def test_an_error_inside_a_success_is_not_an_acknowledgement() -> None:
    with pytest.raises(UnavailableError):
        beat("a").from_reply(HttpReply(status=200, body=b'{"status":503,"error":1}'))
