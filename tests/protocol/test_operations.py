"""The four translations of each operation agree with each other."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import (
    ChannelOccupancy,
    HereNow,
    HereNowCounts,
    InvalidArgumentError,
    Occupant,
    RejectedRequestError,
    ReplyFormatError,
    UserState,
    WhereNow,
)
from presence_async.protocol.channel_groups import (
    AddChannelsOperation,
    DeleteGroupOperation,
    ListChannelsOperation,
    ListGroupsOperation,
    RemoveChannelsOperation,
)
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.heartbeat import HeartbeatOperation
from presence_async.protocol.here_now import HereNowOperation
from presence_async.protocol.identity import Identity
from presence_async.protocol.leave import LeaveOperation
from presence_async.protocol.user_state import GetStateOperation, SetStateOperation
from presence_async.protocol.where_now import WhereNowOperation

KEY = "sub-c-1"


def is_name(text: str) -> bool:
    has_dots = any(part in {".", ".."} for part in text.split("/"))
    return not (has_dots or text.isspace() or text.endswith("-pnpres"))


name = st.text(min_size=1, max_size=20).filter(is_name)
channel = name.filter(lambda text: "," not in text)
channels = st.lists(channel, max_size=3, unique=True).map(tuple)
some = st.lists(channel, min_size=1, max_size=3, unique=True).map(tuple)
state = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5))
where = {
    "subscribe_key": st.just(KEY),
    "channels": channels,
    "channel_groups": channels,
}
operations: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        HereNowOperation,
        **where,
        include_state=st.booleans(),
        include_user_ids=st.booleans(),
        limit=st.integers(1, 1000),
        offset=st.integers(0, 10**6),
    ),
    st.builds(WhereNowOperation, subscribe_key=st.just(KEY), user_id=name),
    st.builds(GetStateOperation, **where, user_id=name),
    st.builds(
        SetStateOperation,
        **where,
        user_id=name,
        state=state,
        acting_user_id=st.just("me"),
    ),
    st.builds(
        HeartbeatOperation,
        **where,
        user_id=name,
        presence_timeout_s=st.integers(3, 10**6),
        state=st.none() | st.dictionaries(channel, state),
    ),
    st.builds(LeaveOperation, **where, user_id=name),
    st.builds(
        AddChannelsOperation, subscribe_key=st.just(KEY), group=channel, channels=some
    ),
    st.builds(
        RemoveChannelsOperation,
        subscribe_key=st.just(KEY),
        group=channel,
        channels=some,
    ),
    st.builds(DeleteGroupOperation, subscribe_key=st.just(KEY), group=channel),
    st.builds(ListChannelsOperation, subscribe_key=st.just(KEY), group=channel),
    st.builds(ListGroupsOperation, subscribe_key=st.just(KEY)),
)


@given(operations)
def test_an_operation_survives_its_request(operation: Any) -> None:
    me = Identity(subscribe_key=KEY, user_id="me")
    request = me.stamp(operation.to_request(), user_id=operation.acting_user_id)

    assert type(operation).from_request(request) == operation
    assert re.fullmatch(r"[!-~]*", request.target)
    assert "/../" not in request.path


HERE = HereNow(
    channels={
        "a": ChannelOccupancy.of("a", {"bob": {"x": 1}, "eve": {}}),
        "b": ChannelOccupancy.of("b", {}),
    },
    total_channels=1,
    total_occupancy=2,
)


def test_here_now_survives_the_reply() -> None:
    with_state = HereNowOperation(
        subscribe_key=KEY, channels=("a", "b"), include_state=True
    )
    counts = HereNowOperation(
        subscribe_key=KEY, channels=("a", "b"), include_user_ids=False
    )

    assert with_state.from_reply(with_state.to_reply(HERE)) == HERE
    found = counts.from_reply(counts.to_reply(HERE))
    assert isinstance(found, HereNowCounts)
    assert found.to_dict()["channels"] == {"a": 2, "b": 0}


@given(st.lists(name, unique=True, max_size=5))
def test_where_now_survives_the_reply(found: list[str]) -> None:
    operation = WhereNowOperation(subscribe_key=KEY, user_id="bob")
    value = WhereNow(user_id="bob", channels=tuple(found))

    assert operation.from_reply(operation.to_reply(value)) == value


@given(channels.filter(bool), state)
def test_states_survive_the_reply(
    named: tuple[str, ...], stored: dict[str, Any]
) -> None:
    get = GetStateOperation(subscribe_key=KEY, user_id="bob", channels=named)
    put = SetStateOperation(
        subscribe_key=KEY, user_id="bob", channels=named, state=stored
    )
    value = UserState(user_id="bob", states=dict.fromkeys(named, stored))

    assert get.from_reply(get.to_reply(value)) == value
    assert put.from_reply(put.to_reply(stored)) == stored


@pytest.mark.parametrize(
    "value", [HERE, HERE.channels["a"], Occupant(user_id="bob", state={"a": 1})]
)
def test_values_pickle_copy_compare_and_become_json(value: Any) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301  # our own
    assert copy.deepcopy(value) == value
    assert isinstance(value.to_dict(), dict)


def test_states_are_compared_by_what_they_mean() -> None:
    operation = HereNowOperation(subscribe_key=KEY, channels=("a",), include_state=True)

    def heard(text: bytes) -> Any:
        body = b'{"occupancy":1,"uuids":[{"uuid":"bob","state":' + text + b"}]}"
        return operation.from_reply(HttpReply(status=200, body=body))

    assert heard(b'{"a":1,"b":2}') == heard(b'{ "b": 2, "a": 1 }')
    assert heard(b'{"a":1}') != heard(b'{"a":2}')
    assert heard(b"[1]") == heard(b"[1]")


def test_a_long_list_of_ids_has_a_short_repr() -> None:
    many = ChannelOccupancy.of("lobby", [f"user-{n}" for n in range(1000)])

    assert len(repr(many)) < 400
    assert "<1000: 'user-0'" in repr(many)


@pytest.mark.parametrize(
    "hostile", [b'{"a":"\\ud800"}', b"NaN", b"[1]", b'"x"', b"1e999", b"7"]
)
def test_a_hostile_state_spoils_only_that_occupant(hostile: bytes) -> None:
    operation = HereNowOperation(
        subscribe_key=KEY, channels=("lobby",), include_state=True
    )
    body = (
        b'{"occupancy":3,"uuids":[{"uuid":"bob","state":' + hostile + b"},"
        b'{"uuid":"eve","state":{"ok":true}},"carol"]}'
    )

    here = operation.from_reply(HttpReply(status=200, body=body))

    bob, eve, carol = here.channels["lobby"].occupants or ()
    assert bob.state is None
    assert bob.state_error
    assert eve == Occupant(user_id="eve", state={"ok": True})
    assert carol == Occupant(user_id="carol", state={})


BAD_BODIES = [
    b"",
    b"<html>busy</html>",
    b'{"status": 200, "message": "OK"',
    b"[]",
    b"null",
    b'{"status":200}',
    b'{"error":true}',
    b'{"status":200,"occupancy":"3","uuids":[]}',
    b'{"status":200,"occupancy":-1,"uuids":[]}',
    b'{"status":200,"occupancy":2}',
    b'{"status":200,"occupancy":1,"uuids":[7]}',
    b'{"status":200,"payload":{"channels":[]}}',
    b"\xff\xfe{}",
    '{"status":200,"occupancy":0,"uuids":[]}'.encode("utf-16"),
    b"[" * 1_000_000,
    b'{"a":' * 1_000_000,
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_an_undocumented_success_is_an_error_never_an_empty_result(
    body: bytes,
) -> None:
    operation = HereNowOperation(subscribe_key=KEY, channels=("lobby",))

    with pytest.raises(ReplyFormatError) as caught:
        operation.from_reply(HttpReply(status=200, body=body))

    assert len(caught.value.excerpt) <= 200
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "operation",
    [
        WhereNowOperation(subscribe_key=KEY, user_id="bob"),
        GetStateOperation(subscribe_key=KEY, user_id="bob", channels=("a",)),
        GetStateOperation(subscribe_key=KEY, user_id="bob", channels=("a", "b")),
        SetStateOperation(subscribe_key=KEY, user_id="b", channels=("a",), state={}),
        HeartbeatOperation(subscribe_key=KEY, user_id="bob", channels=("a",)),
        LeaveOperation(subscribe_key=KEY, user_id="bob", channels=("a",)),
        ListChannelsOperation(subscribe_key=KEY, group="g"),
        ListGroupsOperation(subscribe_key=KEY),
    ],
    ids=lambda operation: f"{operation.name} {len(getattr(operation, 'channels', ()))}",
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b"[1]",
        b'{"payload":7}',
        b'{"error":true}',
        b'{"status":200,"error":1,"message":"no","payload":{"channels":[]}}',
        b'{"status":-1,"payload":{}}',
        b'{"status":302,"payload":{}}',
        b'{"status":"403","payload":{}}',
        '{"status":200,"message":"nö"}'.encode("latin-1"),
        '{"status":200,"message":"no"}'.encode("utf-16"),
        b'{"status":200,"payload":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
    ],
    ids=lambda body: str(body[:30]),
)
def test_no_operation_takes_an_undocumented_success(
    operation: Any, body: bytes
) -> None:
    with pytest.raises(ReplyFormatError):
        operation.from_reply(HttpReply(status=200, body=body))


def test_an_acknowledgement_may_hold_any_utf8() -> None:
    operation = HeartbeatOperation(subscribe_key=KEY, user_id="bob", channels=("a",))
    body = '{"status":200,"message":"schön","error":false}'.encode()

    operation.from_reply(HttpReply(status=200, body=body))


@pytest.mark.parametrize("status", [101, 304])
def test_a_status_other_than_success_is_raised_as_it_is(status: int) -> None:
    operation = HeartbeatOperation(subscribe_key=KEY, user_id="bob", channels=("a",))

    with pytest.raises(RejectedRequestError) as caught:
        operation.from_reply(HttpReply(status=status, body=b'{"status":200}'))

    assert caught.value.status == status


def test_a_state_that_is_not_an_object_has_an_error() -> None:
    operation = GetStateOperation(subscribe_key=KEY, user_id="bob", channels=("a",))

    with pytest.raises(ReplyFormatError, match="not an object"):
        operation.from_reply(
            HttpReply(status=200, body=b'{"status":200,"payload":[1]}')
        )


@pytest.mark.parametrize(
    ("query", "timeout_s"),
    [
        ("heartbeat=8", 8),
        ("heartbeat=", 300),
        ("", 300),
        ("heartbeat=0", 300),
        ("heartbeat=-5", 300),
        ("heartbeat=1e3", 300),
        ("heartbeat=99999999999999", 300),
    ],
)
def test_an_invalid_timeout_is_the_default(query: str, timeout_s: int) -> None:
    request = HttpRequest(
        path=f"/v2/presence/sub_key/{KEY}/channel/a,a-pnpres/heartbeat",
        query=f"uuid=bob&{query}",
    )

    operation = HeartbeatOperation.from_request(request)

    assert operation.presence_timeout_s == timeout_s
    assert operation.channels == ("a",)


@pytest.mark.parametrize(
    ("kind", "path", "query"),
    [
        (HeartbeatOperation, "/channel/a/heartbeat", "heartbeat=8"),
        (HeartbeatOperation, "/channel/a/heartbeat", "uuid=b&state=[1]"),
        (HeartbeatOperation, "/channel/a/heartbeat", 'uuid=b&state={"a":7}'),
        (SetStateOperation, "/channel/a/uuid/b/data", ""),
        (SetStateOperation, "/channel/a/uuid/b/data", "state=7"),
        (HereNowOperation, "/channel/a", "limit=1001"),
        (HereNowOperation, "/channel/a", "limit=-1"),
        (HereNowOperation, "/channel/a", "offset=x"),
        (HereNowOperation, "/channel/..", ""),
        (WhereNowOperation, "/channel/a", ""),
    ],
)
def test_invalid_requests_are_refused(kind: Any, path: str, query: str) -> None:
    request = HttpRequest(path=f"/v2/presence/sub-key/{KEY}{path}", query=query)

    with pytest.raises(InvalidArgumentError):
        kind.from_request(request)


def test_the_spellings_of_other_sdks_are_parsed() -> None:
    request = HttpRequest(
        path=f"/v2/presence/sub_key/{KEY}/channel/,",
        query='channel-group=g1,g2&disable-uuids=1&limit=0&x={"raw":1}',
    )

    operation = HereNowOperation.from_request(request)

    assert operation.channel_groups == ("g1", "g2")
    assert not operation.include_user_ids
    assert operation.channels == ()


def test_parts_are_put_together_and_counted_again() -> None:
    operation = HereNowOperation(subscribe_key=KEY, channels=("a", "b", "c"))

    merged = operation.merged([HERE, HERE])

    assert merged.total_occupancy == 2
    assert merged.channels["c"].occupancy == 0
    assert operation.about(("a",), ()).channels == ("a",)
    assert operation.is_divisible


def test_a_page_from_an_offset_on_is_not_complete() -> None:
    operation = HereNowOperation(subscribe_key=KEY, channels=("a",), offset=1000)
    body = b'{"occupancy":1001,"uuids":["x"]}'

    here = operation.from_reply(HttpReply(status=200, body=body))

    assert here.channels["a"].is_complete is False
    assert not operation.is_divisible
