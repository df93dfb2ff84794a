from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError, ReplyFormatError, WhereNow
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.identity import Identity
from presence_async.protocol.where_now import WhereNowOperation

KEY = "sub-c-1"
HOSTILE = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "a,b", "日本", "😀", "a\"'b", "~*!"]


def ask(user_id: str) -> WhereNowOperation:
    return WhereNowOperation(subscribe_key=KEY, user_id=user_id)


@pytest.mark.parametrize(
    ("user_id", "escaped"),
    [("bob", "bob"), ("a/b c", "a%2Fb%20c"), ("a,b", "a%2Cb"), ("ü", "%C3%BC")],
)
def test_an_operation_is_encoded_as_the_sdks_send_it(
    user_id: str, escaped: str
) -> None:
    target = ask(user_id).to_request().target

    assert target == f"/v2/presence/sub-key/{KEY}/uuid/{escaped}"


@pytest.mark.parametrize("user_id", HOSTILE)
@pytest.mark.parametrize("spelling", ["sub-key", "sub_key"])
def test_hostile_names_reach_the_service_as_they_are(
    user_id: str, spelling: str
) -> None:
    me = Identity(subscribe_key=KEY, user_id="somebody/else")
    request = me.stamp(ask(user_id).to_request())
    path = request.path.replace("sub-key", spelling)

    heard = WhereNowOperation.from_request(HttpRequest(path=path, query=request.query))

    assert heard == ask(user_id)


@pytest.mark.parametrize(
    "path", ["/uuid/..", "/uuid/%20", "/uuid/a%zz", "/uuid/a/b", "/uuid/", "/channel/a"]
)
def test_a_request_with_invalid_parameters_is_refused(path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        WhereNowOperation.from_request(
            HttpRequest(path=f"/v2/presence/sub-key/{KEY}{path}")
        )


def test_an_answer_has_the_recorded_shape() -> None:
    value = WhereNow(user_id="bob", channels=("a", "日本"))

    reply = ask("bob").to_reply(value)

    assert reply.body == (
        b'{"message":"OK","payload":{"channels":["a","\\u65e5\\u672c"]},'
        b'"service":"Presence","status":200}'
    )


@given(st.lists(st.sampled_from(HOSTILE) | st.text(), max_size=5))
def test_a_value_survives_the_reply(channels: list[str]) -> None:
    value = WhereNow(user_id="bob", channels=tuple(channels))

    assert ask("bob").from_reply(ask("bob").to_reply(value)) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"status":200,"payload":{"chan',
        b'{"status":200}',
        b'{"status":200,"payload":null}',
        b'{"status":200,"payload":{}}',
        b'{"status":200,"payload":{"channels":null}}',
        b'{"status":200,"payload":{"channels":"lobby"}}',
        b'{"status":200,"payload":{"channels":[1]}}',
        b'{"status":200,"payload":{"channels":["\\ud800"]}}',
        b'{"payload":' * 10**4,
    ],
    ids=lambda body: str(body[:50]),
)
def test_an_undocumented_answer_is_an_error_never_nowhere(body: bytes) -> None:
    with pytest.raises(ReplyFormatError) as caught:
        ask("bob").from_reply(HttpReply(status=200, body=body))

    assert caught.value.__context__ is None


def test_the_value_pickles_copies_and_becomes_json() -> None:
    value = WhereNow(user_id="bob", channels=("a", "b"))

    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  # our own
    assert copy.deepcopy(value) == value
    assert json.loads(json.dumps(value.to_dict())) == {
        "user_id": "bob",
        "channels": ["a", "b"],
    }
