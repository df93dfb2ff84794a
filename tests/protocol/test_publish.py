"""Publish: a message out, its timetoken back."""

from __future__ import annotations

from typing import Any

import pytest

from presence_async import InvalidArgumentError, RejectedRequestError, ReplyFormatError
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.publish import PublishOperation, SignalOperation

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


def test_a_message_comes_in_the_body_if_the_path_has_none() -> None:
    path = "/publish/pub/demo/0/a/0"
    query = "uuid=bob&store=0&custom_message_type=poll&norep=1"
    read = PublishOperation.from_request(
        HttpRequest(path=path, query=query, body='{"x":"ü"}'.encode())
    )

    assert read == PublishOperation(
        subscribe_key="demo",
        publish_key="pub",
        user_id="bob",
        channel="a",
        message={"x": "ü"},
        message_type="poll",
        is_delivered=False,
    )
    written = read.to_request()
    again = HttpRequest(path=written.path, query=f"{written.query}&uuid=bob")
    assert PublishOperation.from_request(again) == read
    with pytest.raises(InvalidArgumentError, match="must be JSON"):
        PublishOperation.from_request(HttpRequest(path=path, query=query))


@pytest.mark.parametrize(("size", "is_allowed"), [(62, True), (63, False)])
def test_a_signal_has_64_bytes_at_most(size: int, is_allowed: bool) -> None:
    path = f"/signal/pub/demo/0/a/0/%22{'x' * size}%22"
    request = HttpRequest(path=path, query="uuid=bob")

    if is_allowed:
        read = SignalOperation.from_request(request)
        assert (read.kind, read.to_request().path) == (1, path)
    else:
        with pytest.raises(InvalidArgumentError, match="Signal size too large"):
            SignalOperation.from_request(request)
