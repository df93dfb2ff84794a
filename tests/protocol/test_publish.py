"""Publish: a message out, its timetoken back."""

from __future__ import annotations

from typing import Any

import pytest

from presence_async import InvalidArgumentError, RejectedRequestError, ReplyFormatError
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.publish import PublishOperation

OPERATION = PublishOperation(
    subscribe_key="demo",
    publish_key="pub",
    user_id="bob",
    channel="a/b",
    message={"text": 'ü, "quoted" / 日'},
)


def heard(message: str, channel: str = "a", query: str = "uuid=bob") -> Any:
    path = f"/publish/pub/demo/0/{channel}/0/{message}"
    return PublishOperation.from_request(HttpRequest(path=path, query=query))


def test_a_publish_survives_the_request() -> None:
    request = OPERATION.to_request()

    assert request.path.startswith("/publish/pub/demo/0/a%2Fb/0/%7B%22text%22%3A%22")
    with_user = HttpRequest(path=request.path, query="uuid=bob")
    assert PublishOperation.from_request(with_user) == OPERATION
    assert OPERATION.acting_user_id == "bob"


@pytest.mark.parametrize(
    ("text", "message"),
    [("%22hi%22", "hi"), ("5", 5), ("null", None), ("[1,{}]", [1, {}])],
)
def test_a_message_is_any_json(text: str, message: object) -> None:
    assert heard(text).message == message


@pytest.mark.parametrize("text", ["hi", "%FF", "NaN", "[" * 200 + "]" * 200, "%7B"])
def test_a_message_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        heard(text)


def test_nobody_can_publish_on_presence_names() -> None:
    with pytest.raises(InvalidArgumentError, match="channel"):
        heard("5", channel="a-pnpres")


def test_a_message_has_a_sender() -> None:
    with pytest.raises(InvalidArgumentError, match="uuid"):
        heard("5", query="")


def test_the_reply_is_the_timetoken() -> None:
    reply = OPERATION.to_reply(17579696193377821)

    assert reply.body == b'[1,"Sent","17579696193377821"]'
    assert OPERATION.from_reply(reply) == 17579696193377821


def test_a_refusal_and_an_undocumented_reply_differ() -> None:
    refused = HttpReply(status=400, body=b'[0,"Invalid Key","17579696193377821"]')
    with pytest.raises(RejectedRequestError):
        OPERATION.from_reply(refused)
    with pytest.raises(ReplyFormatError):
        OPERATION.from_reply(HttpReply(status=200, body=b"{}"))
