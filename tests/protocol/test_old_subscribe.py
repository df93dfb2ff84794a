"""The old subscribe: paths and replies as PubNub's C SDK writes and reads them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from presence_async import InvalidArgumentError, RejectedRequestError
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.messages import Message, Published
from presence_async.protocol.old_subscribe import OldSubscribeOperation
from presence_async.protocol.subscribe import Delivery


def operation(*channels: str, **more: Any) -> OldSubscribeOperation:
    return OldSubscribeOperation(
        subscribe_key="demo", user_id="sub", channels=channels, **more
    )


def message(channel: str, payload: bytes, match: str | None = None) -> Message:
    return Message(
        channel=channel,
        payload=msgspec.Raw(payload),
        published=Published(7),
        subscription=match,
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "/subscribe/demo/a,a-pnpres/0/17957454392187272?pnsdk=x&uuid=sub",
            operation("a", "a-pnpres", timetoken=17957454392187272),
        ),
        (
            "/subscribe/demo/,/0/0?channel-group=g,g-pnpres&uuid=sub&heartbeat=20",
            operation(channel_groups=("g", "g-pnpres"), presence_timeout_s=20),
        ),
        (
            "/subscribe/demo/a%2Fb/0/5?uuid=sub&tt=9&tr=3&state=%7B%22a%22:%7B%7D%7D",
            operation("a/b", timetoken=5, state={"a": {}}),
        ),
    ],
)
def test_a_request_is_read(target: str, expected: OldSubscribeOperation) -> None:
    path, _, query = target.partition("?")
    read = OldSubscribeOperation.from_request(HttpRequest(path=path, query=query))

    written = read.to_request()
    again = HttpRequest(path=written.path, query=f"{written.query}&uuid=sub")

    assert read == expected
    assert written.path == path
    assert OldSubscribeOperation.from_request(again) == read


@pytest.mark.parametrize(
    "path",
    [
        "/subscribe/demo/a/0/x",
        "/subscribe/demo/a/cb/0",
        f"/subscribe/demo/a/0/{9**30}",
    ],
)
def test_another_callback_or_cursor_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        OldSubscribeOperation.from_request(HttpRequest(path=path, query="uuid=sub"))


@pytest.mark.parametrize(
    ("asked", "messages", "body"),
    [
        (operation("a", "b"), (), b'[[],"9"]'),
        (operation("a"), (message("a", b'{"x": 1}'),), b'[[{"x": 1}],"9"]'),
        (
            operation("a", "b"),
            (message("b", b"1", "b"), message("a", b'"2"', "a")),
            b'[[1,"2"],"9","b,a"]',
        ),
        (
            operation("a", channel_groups=("g", "g-pnpres")),
            (
                message("c", b"1", "g"),
                message("a", b"2", "a"),
                message("c-pnpres", b"{}", "g-pnpres"),
            ),
            b'[[1,2,{}],"9","g,a,g-pnpres","c,a,c-pnpres"]',
        ),
        (operation("a.*"), (message("a.b", b"1", "a.*"),), b'[[1],"9","a.*","a.b"]'),
    ],
    ids=["nothing", "one channel", "several", "groups", "wildcard"],
)
def test_a_reply_names_channels_and_matches_only_where_they_can_differ(
    asked: OldSubscribeOperation, messages: tuple[Message, ...], body: bytes
) -> None:
    reply = asked.to_reply(Delivery(timetoken=9, region=1, messages=messages))
    read = asked.from_reply(reply)

    assert reply.body == body
    assert read.timetoken == 9
    assert [(m.channel, bytes(m.payload)) for m in read.messages] == [
        (m.channel, bytes(m.payload)) for m in messages
    ]
    assert asked.to_reply(read).body == body


def test_a_refusal_is_an_error() -> None:
    body = b'{"status":400,"service":"PubSub","error":true,"message":"No"}'
    with pytest.raises(RejectedRequestError):
        operation("a").from_reply(HttpReply(status=400, body=body))
