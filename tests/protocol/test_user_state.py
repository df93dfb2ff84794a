from __future__ import annotations

import copy
import json
import pickle
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import InvalidArgumentError, ReplyFormatError, UserState
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.identity import Identity
from presence_async.protocol.user_state import GetStateOperation, SetStateOperation

KEY = "sub-c-1"
ROOT = f"/v2/presence/sub-key/{KEY}/channel"
HOSTILE = ["a/b", "a?b", "a#b", "a%2Fb", "a+b c", "日本", "😀", "a\"'b", "a&b=c"]


def get(*channels: str, **options: Any) -> GetStateOperation:
    return GetStateOperation(
        subscribe_key=KEY, **{"user_id": "bob", "channels": channels, **options}
    )


def put(*channels: str, **options: Any) -> SetStateOperation:
    given = {"user_id": "bob", "channels": channels, "state": {"n": 1}}
    return SetStateOperation(subscribe_key=KEY, **{**given, **options})


def ok(body: str) -> HttpReply:
    return HttpReply(status=200, body=f'{{"status":200,"payload":{body}}}'.encode())


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        (get("lobby"), f"{ROOT}/lobby/uuid/bob"),
        (get("b", "a", user_id="a,b/c"), f"{ROOT}/b,a/uuid/a%2Cb%2Fc"),
        (get(channel_groups=("g",)), f"{ROOT}/,/uuid/bob?channel-group=g"),
        (put("lobby"), f"{ROOT}/lobby/uuid/bob/data?state=%7B%22n%22%3A1%7D"),
        (put("lobby", state={}), f"{ROOT}/lobby/uuid/bob/data?state=%7B%7D"),
        (
            put(channel_groups=("g1", "g2"), state={"ü": "a b"}),
            f"{ROOT}/,/uuid/bob/data"
            "?state=%7B%22%C3%BC%22%3A%22a%20b%22%7D&channel-group=g1,g2",
        ),
    ],
)
def test_an_operation_is_encoded_as_the_sdks_send_it(
    operation: Any, target: str
) -> None:
    assert operation.to_request().target == target


names = st.lists(st.sampled_from(HOSTILE), unique=True).map(tuple)
state = st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers())


@given(names, names, st.sampled_from(HOSTILE), state)
def test_hostile_names_reach_the_service_as_they_are(
    channels: tuple[str, ...],
    groups: tuple[str, ...],
    user_id: str,
    state: dict[str, Any],
) -> None:
    where: Any = {"channel_groups": groups, "user_id": user_id}
    asked = get(*channels, **where)
    told = put(*channels, **where, state=state, acting_user_id="me/too")
    me = Identity(subscribe_key=KEY, user_id="me/too")

    heard = [
        type(operation).from_request(me.stamp(operation.to_request()))
        for operation in (asked, told)
    ]

    assert heard == [asked, told]


@pytest.mark.parametrize(
    ("path", "query", "operation"),
    [
        ("//uuid/bob", "channel-group=", get()),
        ("/,/uuid/bob", "channel-group=g1%2Cg2", get(channel_groups=("g1", "g2"))),
        ("/a/uuid/bob/data", 'state={"n": 1}', put("a")),
        ("/a/uuid/bob/data", "state=[]", put("a", state={})),
        ("/a/uuid/bob/data", "state={%22n%22:1}", put("a")),
        (
            "/a/uuid/bob/data",
            "state={%22n%22:1}&uuid=eve",
            put("a", acting_user_id="eve"),
        ),
    ],
)
@pytest.mark.parametrize("spelling", ["sub-key", "sub_key"])
def test_requests_of_other_sdks_are_parsed(
    path: str, query: str, operation: Any, spelling: str
) -> None:
    root = ROOT.replace("sub-key", spelling)

    heard = type(operation).from_request(HttpRequest(path=root + path, query=query))

    assert heard == operation


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("", r"No state specified\."),
        ("state=", "must be a JSON object"),
        ("state=7", "must be a JSON object"),
        ("state=[1]", "must be a JSON object"),
        ("state=null", "must be a JSON object"),
        ('state={"a":', "must be a JSON object"),
        ('state={"a":1e999}', "must be a JSON object"),
        ('state={"a":"\\ud800"}', "must be a JSON object"),
        ("state=" + quote('{"a":' * 5000), "must be a JSON object"),
        ("state=" + quote('{"a":' * 200 + "1" + "}" * 200), "deeper than 100"),
    ],
    ids=lambda text: text[:30],
)
def test_an_invalid_state_is_refused(query: str, rule: str) -> None:
    request = HttpRequest(path=f"{ROOT}/a/uuid/bob/data", query=query)

    with pytest.raises(InvalidArgumentError, match=rule) as caught:
        SetStateOperation.from_request(request)

    assert caught.value.argument == "state"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("user", ["..", "%2E%2E", "a%2F..", "%20", "x" * 2049])
def test_an_invalid_user_id_is_refused(user: str) -> None:
    path = f"{ROOT}/a/uuid/{user}"

    with pytest.raises(InvalidArgumentError, match="user_id"):
        GetStateOperation.from_request(HttpRequest(path=path))
    with pytest.raises(InvalidArgumentError, match="user_id"):
        SetStateOperation.from_request(
            HttpRequest(path=f"{path}/data", query="state={}")
        )


@pytest.mark.parametrize(
    ("operation", "payload", "states"),
    [
        (get("a"), '{"n":1}', {"a": {"n": 1}}),
        (get("a"), "{}", {"a": {}}),
        (get("a"), '{"channels":{"b":{}}}', {"a": {"channels": {"b": {}}}}),
        (
            get("a", "b", "c"),
            '{"channels":{"b":{"n":1},"c":{}}}',
            {"a": {}, "b": {"n": 1}, "c": {}},
        ),
        (
            get("a", channel_groups=("g",)),
            '{"channels":{"m":{"n":1}}}',
            {"a": {}, "m": {"n": 1}},
        ),
        (get(channel_groups=("g",)), '{"channels":{}}', {}),
    ],
)
def test_the_request_decides_which_shape_is_read(
    operation: GetStateOperation, payload: str, states: dict[str, Any]
) -> None:
    found = operation.from_reply(ok(payload))

    assert found == UserState(user_id="bob", states=states)


@pytest.mark.parametrize("payload", ["[1]", "null", "7", '"x"', "NaN", '{"a":1e999}'])
@pytest.mark.parametrize(
    ("operation", "form", "where"),
    [
        (get("a"), "{}", "a: "),
        (get("a", "b"), '{{"channels":{{"b":{{}},"a":{}}}}}', "a: "),
        (put("a"), "{}", "payload: "),
    ],
    ids=["one", "several", "set"],
)
def test_a_state_that_is_not_an_object_is_an_error_that_names_the_channel(
    operation: Any, form: str, where: str, payload: str
) -> None:
    with pytest.raises(ReplyFormatError, match="not an object") as caught:
        operation.from_reply(ok(form.format(payload)))

    assert (caught.value.cause or "").startswith(where)
    assert caught.value.excerpt == (payload if payload != "NaN" else "1e999")
    assert caught.value.__context__ is None


@pytest.mark.parametrize("operation", [get("a"), get("a", "b"), put("a")], ids=repr)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"status":200}', b'{"payload":{"a', b"[]"]
)
def test_an_undocumented_answer_is_an_error(operation: Any, body: bytes) -> None:
    with pytest.raises(ReplyFormatError):
        operation.from_reply(HttpReply(status=200, body=body))


@pytest.mark.parametrize("payload", ['{"n":1}', '{"channels":[]}', "[]"])
def test_one_state_for_several_channels_is_an_error(payload: str) -> None:
    with pytest.raises(ReplyFormatError):
        get("a", "b").from_reply(ok(payload))


def test_a_state_of_absurd_depth_is_an_error() -> None:
    with pytest.raises(ReplyFormatError):
        get("a").from_reply(ok('{"a":' * 10**5 + "1" + "}" * 10**5))


def test_answers_have_the_recorded_shapes() -> None:
    value = UserState(user_id="bob", states={"a": {"n": 1}})

    one, none, several, stored = (
        json.loads(reply.body)
        for reply in (
            get("a").to_reply(value),
            get("b").to_reply(value),
            get("a", "b").to_reply(value),
            put("a", "b").to_reply({"n": 1}),
        )
    )

    ok = {"status": 200, "message": "OK", "service": "Presence"}
    assert one == {**ok, "payload": {"n": 1}, "uuid": "bob", "channel": "a"}
    assert none == {**ok, "payload": {}, "uuid": "bob", "channel": "b"}
    assert several == {**ok, "payload": {"channels": value.states}, "uuid": "bob"}
    assert stored == {**ok, "payload": {"n": 1}}


@given(st.dictionaries(st.sampled_from(HOSTILE), state, min_size=1), state)
def test_values_survive_the_reply(
    states: dict[str, dict[str, Any]], stored: dict[str, Any]
) -> None:
    value = UserState(user_id="bob", states=states)

    assert get(*states).from_reply(get(*states).to_reply(value)) == value
    assert put("a").from_reply(put("a").to_reply(stored)) == stored


def test_replies_to_parts_are_united() -> None:
    parts = [
        UserState(user_id="bob", states={"a": {"n": 1}}),
        UserState(user_id="bob", states={"b": {}}),
    ]
    operation = get("a", "b")

    assert operation.is_divisible
    assert operation.about(("b",), ("g",)) == get("b", channel_groups=("g",))
    assert operation.merged(parts) == UserState(
        user_id="bob", states={"a": {"n": 1}, "b": {}}
    )


def test_the_value_pickles_copies_and_becomes_json() -> None:
    value = UserState(user_id="bob", states={"a": {"n": [1, {"deep": None}]}})

    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  # our own
    assert copy.deepcopy(value) == value
    assert json.loads(json.dumps(value.to_dict())) == {
        "user_id": "bob",
        "states": {"a": {"n": [1, {"deep": None}]}},
    }


def test_the_acting_user_may_differ_from_the_user_asked_about() -> None:
    assert put("a").acting_user_id is None
    assert put("a", acting_user_id="eve").acting_user_id == "eve"
    assert get("a").acting_user_id is None
