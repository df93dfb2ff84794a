from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import AccessDeniedError, InvalidArgumentError, ReplyFormatError
from presence_async.protocol.channel_groups import (
    AddChannelsOperation,
    DeleteGroupOperation,
    ListChannelsOperation,
    ListGroupsOperation,
    RemoveChannelsOperation,
)
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.identity import Identity

KEY = "sub-c-1"
ROOT = f"/v1/channel-registration/sub-key/{KEY}/channel-group"
HOSTILE = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "日本", "😀", "a\"'b", "remove"]

Change = AddChannelsOperation | RemoveChannelsOperation | DeleteGroupOperation
Question = ListChannelsOperation | ListGroupsOperation


def add(*channels: str, group: str = "g") -> AddChannelsOperation:
    return AddChannelsOperation(subscribe_key=KEY, group=group, channels=channels)


def remove(*channels: str, group: str = "g") -> RemoveChannelsOperation:
    return RemoveChannelsOperation(subscribe_key=KEY, group=group, channels=channels)


def delete(group: str = "g") -> DeleteGroupOperation:
    return DeleteGroupOperation(subscribe_key=KEY, group=group)


def list_channels(group: str = "g") -> ListChannelsOperation:
    return ListChannelsOperation(subscribe_key=KEY, group=group)


def list_groups() -> ListGroupsOperation:
    return ListGroupsOperation(subscribe_key=KEY)


CHANGES: list[Change] = [add("a"), remove("a"), delete()]
QUESTIONS: list[Question] = [list_channels(), list_groups()]


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        (add("ch1", "ch2"), f"{ROOT}/g?add=ch1,ch2"),
        (add("a/b", "c+d", group="g h"), f"{ROOT}/g%20h?add=a%2Fb,c%2Bd"),
        (remove("ch2", "ch1"), f"{ROOT}/g?remove=ch2,ch1"),
        (delete("a/b"), f"{ROOT}/a%2Fb/remove"),
        (list_channels("日"), f"{ROOT}/%E6%97%A5"),
        (list_groups(), ROOT),
    ],
)
def test_an_operation_is_the_request_the_sdks_send(operation: Any, target: str) -> None:
    assert operation.to_request().target == target
    assert operation.acting_user_id is None


@given(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from(HOSTILE), min_size=1, unique=True),
)
def test_hostile_names_reach_the_service_as_they_are(
    group: str, channels: list[str]
) -> None:
    me = Identity(subscribe_key=KEY, user_id="me&remove=x")
    operations: list[Any] = [
        add(*channels, group=group),
        remove(*channels, group=group),
        delete(group),
        list_channels(group),
        list_groups(),
    ]

    heard = [
        type(operation).from_request(me.stamp(operation.to_request()))
        for operation in operations
    ]

    assert heard == operations


def test_requests_of_other_sdks_are_parsed() -> None:
    escaped = HttpRequest(path=f"{ROOT}/g", query="uuid=bob&add=b%2Ca,b")
    underscore = HttpRequest(path=ROOT.replace("sub-key", "sub_key"))

    assert AddChannelsOperation.from_request(escaped) == add("b", "a")
    assert ListGroupsOperation.from_request(underscore) == list_groups()


@pytest.mark.parametrize(
    ("kind", "path", "query", "argument"),
    [
        (AddChannelsOperation, "/g", "", "channels"),
        (AddChannelsOperation, "/g", "add=,", "channels"),
        (AddChannelsOperation, "/g", "add=a%2F..", "channels"),
        (AddChannelsOperation, "/a%2Cb", "add=a", "group"),
        (RemoveChannelsOperation, "/g", "add=a", "channels"),
        (RemoveChannelsOperation, "/%20", "remove=a", "group"),
        (DeleteGroupOperation, "/../remove", "", "group"),
        (DeleteGroupOperation, "/g", "", "path"),
        (ListChannelsOperation, "/%2E", "", "group"),
        (ListChannelsOperation, "/g/remove", "", "path"),
        (ListGroupsOperation, "/", "", "path"),
    ],
)
def test_a_request_with_invalid_names_is_refused(
    kind: Any, path: str, query: str, argument: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        kind.from_request(HttpRequest(path=ROOT + path, query=query))

    assert caught.value.argument == argument


@pytest.mark.parametrize("operation", CHANGES, ids=lambda operation: operation.name)
def test_a_change_is_acknowledged_as_recorded_and_understood(operation: Change) -> None:
    reply = operation.to_reply(None)

    assert reply.body == (
        b'{"error":false,"message":"OK","service":"channel-registry","status":200}'
    )
    operation.from_reply(reply)


def test_lists_have_the_recorded_shapes_without_a_message() -> None:
    channels = json.loads(list_channels().to_reply(("b", "a")).body)
    groups = json.loads(list_groups().to_reply(("g",)).body)

    ok = {"status": 200, "service": "channel-registry", "error": False}
    assert channels == {**ok, "payload": {"channels": ["b", "a"], "group": "g"}}
    assert groups == {**ok, "payload": {"groups": ["g"], "namespace": ""}}


@given(st.lists(st.sampled_from(HOSTILE) | st.text(), max_size=5).map(tuple))
def test_lists_survive_the_reply(found: tuple[str, ...]) -> None:
    for operation in QUESTIONS:
        assert operation.from_reply(operation.to_reply(found)) == found


@pytest.mark.parametrize(
    "operation", [*CHANGES, *QUESTIONS], ids=lambda operation: operation.name
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"error":false}',
        b'{"status":200',
        b'{"status":"200","payload":{"channels":[],"groups":[]}}',
        b"[" * 10**4,
    ],
    ids=lambda body: str(body[:20]),
)
def test_an_undocumented_answer_is_an_error(operation: Any, body: bytes) -> None:
    with pytest.raises(ReplyFormatError):
        operation.from_reply(HttpReply(status=200, body=body))


@pytest.mark.parametrize("operation", QUESTIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize(
    "payload", ["null", "{}", '{"channels":null,"groups":null}', '{"channels":[1]}']
)
def test_an_invalid_list_is_an_error_never_empty(
    operation: Question, payload: str
) -> None:
    body = f'{{"status":200,"payload":{payload}}}'.encode()

    with pytest.raises(ReplyFormatError):
        operation.from_reply(HttpReply(status=200, body=body))


@pytest.mark.parametrize(
    "operation", [*CHANGES, *QUESTIONS], ids=lambda operation: operation.name
)
def test_a_refusal_of_the_registry_is_raised(operation: Any) -> None:
    body = (
        b'{"status":403,"message":"not enabled","service":"channel-registry",'
        b'"error":true}'
    )

    with pytest.raises(AccessDeniedError, match="channel-registry answered 403"):
        operation.from_reply(HttpReply(status=403, body=body))
