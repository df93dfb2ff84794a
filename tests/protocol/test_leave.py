from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import AccessDeniedError, InvalidArgumentError, ReplyFormatError
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.identity import Identity
from presence_async.protocol.leave import LeaveOperation

KEY = "sub-c-1"
ROOT = f"/v2/presence/sub-key/{KEY}/channel"
HOSTILE = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "日本", "😀", "a\"'b", "a&b=c"]


def leave(*channels: str, **options: Any) -> LeaveOperation:
    return LeaveOperation(
        subscribe_key=KEY, **{"user_id": "bob", "channels": channels, **options}
    )


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        (leave("lobby"), f"{ROOT}/lobby/leave"),
        (leave("b", "a/b"), f"{ROOT}/b,a%2Fb/leave"),
        (leave(channel_groups=("g",)), f"{ROOT}/,/leave?channel-group=g"),
        (
            leave("a", channel_groups=("g1", "g2")),
            f"{ROOT}/a/leave?channel-group=g1,g2",
        ),
    ],
)
def test_a_leave_is_the_request_the_sdks_send(
    operation: LeaveOperation, target: str
) -> None:
    assert operation.to_request().target == target
    assert operation.acting_user_id == "bob"


@given(
    st.lists(st.sampled_from(HOSTILE), unique=True).map(tuple),
    st.lists(st.sampled_from(HOSTILE), unique=True).map(tuple),
    st.sampled_from(HOSTILE),
)
def test_hostile_names_reach_the_service_as_they_are(
    channels: tuple[str, ...], groups: tuple[str, ...], user_id: str
) -> None:
    operation = leave(*channels, channel_groups=groups, user_id=user_id)
    me = Identity(subscribe_key=KEY, user_id="me")

    request = me.stamp(operation.to_request(), user_id=operation.acting_user_id)

    assert LeaveOperation.from_request(request) == operation


@pytest.mark.parametrize(
    ("path", "query", "operation"),
    [
        ("/a,a-pnpres,b/leave", "uuid=bob&ee=1", leave("a", "b")),
        ("/a-pnpres/leave", "uuid=bob", leave()),
        (
            "/,/leave",
            "uuid=bob&channel-group=g,g-pnpres",
            leave(channel_groups=("g",)),
        ),
        ("//leave", "uuid=bob&channel-group=", leave()),
    ],
)
@pytest.mark.parametrize("spelling", ["sub-key", "sub_key"])
def test_requests_of_other_sdks_are_parsed(
    path: str, query: str, operation: LeaveOperation, spelling: str
) -> None:
    root = ROOT.replace("sub-key", spelling)

    heard = LeaveOperation.from_request(HttpRequest(path=root + path, query=query))

    assert heard == operation


@pytest.mark.parametrize(
    ("path", "query", "argument"),
    [
        ("/a/leave", "", "uuid"),
        ("/a/leave", "uuid=", "uuid"),
        ("/../leave", "uuid=bob", "channels"),
        ("/a/heartbeat", "uuid=bob", "path"),
    ],
)
def test_an_invalid_leave_is_refused(path: str, query: str, argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        LeaveOperation.from_request(HttpRequest(path=ROOT + path, query=query))

    assert caught.value.argument == argument


def test_a_reply_has_the_recorded_shape_and_is_decoded() -> None:
    reply = leave("a").to_reply(None)

    assert reply.body == (
        b'{"action":"leave","message":"OK","service":"Presence","status":200}'
    )
    leave("a").from_reply(reply)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"status":2', b'{"status":"200"}', b"[" * 10**4],
    ids=lambda body: str(body[:12]),
)
def test_an_undocumented_reply_to_a_leave_is_an_error(body: bytes) -> None:
    with pytest.raises(ReplyFormatError):
        leave("a").from_reply(HttpReply(status=200, body=body))


def test_a_refusal_inside_a_success_is_raised() -> None:
    body = b'{"status":403,"message":"Forbidden","payload":{"channels":["a"]}}'

    with pytest.raises(AccessDeniedError) as caught:
        leave("a").from_reply(HttpReply(status=200, body=body))

    assert caught.value.channels == ("a",)
