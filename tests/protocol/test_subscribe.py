"""Subscribe: recorded replies, requests and replies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import (
    IntervalEvent,
    InvalidArgumentError,
    JoinEvent,
    LeaveEvent,
    ReplyFormatError,
    StateChangeEvent,
    TimeoutEvent,
    UnknownEvent,
)
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.messages import Message, Published, read_event
from presence_async.protocol.subscribe import Delivery, SubscribeOperation
from presence_async.protocol.timetoken import TIMETOKENS_PER_S

Samples = Callable[[str], Any]
RECORDED = {
    "handshake": [],
    "idle": [],
    "lone_2016": [
        JoinEvent(
            channel="demo",
            occupancy=2,
            timetoken=14654014742440386,
            timestamp_ms=1465401474000,
            user_id="ruby-test-uuid-client-two",
        )
    ],
    "join_2025": [
        JoinEvent(
            channel="test-channel1",
            occupancy=1,
            timetoken=17579696193377821,
            timestamp_ms=1757969619336,
            user_id="serhii",
        )
    ],
    "leave_2025": [
        LeaveEvent(
            channel="test-channel1",
            occupancy=1,
            timetoken=17579696232990000,
            timestamp_ms=1757969623297,
            user_id="serhii",
        )
    ],
    "leave_state": [
        LeaveEvent(
            channel="test-channel1",
            occupancy=1,
            timetoken=15917398120000000,
            timestamp_ms=1591739812000,
            user_id="someUser",
            state={"stateKey": "Slkjasdflkj"},
        )
    ],
    "timeout_2016": [
        TimeoutEvent(
            channel="test-channel1",
            occupancy=1,
            timetoken=14720341360000000,
            timestamp_ms=1472034136000,
            user_id="heartbeat-tornado-messenger",
        )
    ],
    "timeout_2025": [
        TimeoutEvent(
            channel="test-channel1",
            occupancy=0,
            timetoken=17579696395351413,
            timestamp_ms=1757969639531,
            user_id="david",
            state={},
        )
    ],
    "group_2025": [
        TimeoutEvent(
            channel="test-channel2",
            subscription="test-channel-group2",
            occupancy=0,
            timetoken=17579696395351413,
            timestamp_ms=1757969639531,
            user_id="david",
            state={},
        )
    ],
    "wildcard_2020": [
        JoinEvent(
            channel="nul-channel.*",
            subscription="nul-channel.*",
            occupancy=1,
            timetoken=15800701740000000,
            timestamp_ms=1580070174000,
            user_id="serhii",
        )
    ],
    "state_change_2020": [
        StateChangeEvent(
            channel="test-channel1",
            occupancy=1,
            timetoken=15800701770000000,
            timestamp_ms=1580070177000,
            user_id="serhii",
            state={"channel1-state": ["channel-1-updated-random-value"]},
        )
    ],
    "interval_2017": [
        IntervalEvent(
            channel="test-channel1",
            occupancy=occupancy,
            timetoken=second * TIMETOKENS_PER_S,
            timestamp_ms=second * 1000,
            joined=joined,
            left=left,
        )
        for second, occupancy, joined, left in [
            (1490958575, 3, (), ()),
            (1490958585, 4, ("Client-d39lr",), ()),
            (1490958595, 3, (), ("another-client",)),
            (1490958605, 2, ("another-client",), ("Client-d39lr", "client0")),
        ]
    ],
    "interval_timeout": [
        IntervalEvent(
            channel="test-channel1",
            occupancy=1,
            timetoken=15917376040000000,
            timestamp_ms=1591737604000,
            timed_out=("otherSub",),
        )
    ],
    "interval_documented": [
        IntervalEvent(
            channel="test-channel1",
            occupancy=30,
            timetoken=15917376030000000,
            timestamp_ms=1591737603000,
            joined=("a",),
            left=("b",),
            timed_out=("c",),
        ),
        IntervalEvent(
            channel="test-channel1",
            occupancy=30,
            timetoken=15917376040000000,
            timestamp_ms=1591737604000,
            here_now_refresh=True,
        ),
    ],
}


def heard(request: HttpRequest) -> SubscribeOperation:
    return SubscribeOperation.from_request(request)


def asked(path: str, query: str = "uuid=bob") -> SubscribeOperation:
    return heard(HttpRequest(path=f"/v2/subscribe/demo/{path}/0", query=query))


def reply(body: object) -> HttpReply:
    return HttpReply(status=200, body=json.dumps(body).encode())


def test_every_recorded_reply_is_read(sample_names: list[str]) -> None:
    names = [name for name in sample_names if name.startswith("subscribe_")]

    assert names == [f"subscribe_{name}" for name in sorted(RECORDED)]


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_reply_is_a_cursor_and_its_events(
    sample: Samples, name: str
) -> None:
    one = sample(f"subscribe_{name}")

    delivery = heard(one.request).from_reply(one.reply)

    cursor = json.loads(one.reply.body)["t"]
    assert (str(delivery.timetoken), delivery.region) == (cursor["t"], cursor["r"])
    assert [read_event(message) for message in delivery.messages] == RECORDED[name]


@pytest.mark.parametrize("name", RECORDED)
def test_a_delivery_read_is_encoded_again_key_by_key(
    sample: Samples, name: str
) -> None:
    """All but ``u``, which is made of the event and did not exist before 2020."""
    one = sample(f"subscribe_{name}")
    operation = heard(one.request)

    said = json.loads(operation.to_reply(operation.from_reply(one.reply)).body)

    recorded = json.loads(one.reply.body)
    assert said["t"] == recorded["t"]
    for ours, theirs in zip(said["m"], recorded["m"], strict=True):
        metadata = ours.pop("u")
        assert metadata == theirs.pop("u", metadata)
        assert ours == {**theirs, "a": ours["a"]}
        assert isinstance(ours["a"], str)


def test_an_operation_is_encoded_into_its_request() -> None:
    operation = SubscribeOperation(
        subscribe_key="demo",
        user_id="bob",
        channels=("a", "a/b-pnpres"),
        channel_groups=("g", "g-pnpres"),
        timetoken=17579696193377821,
        region=43,
        presence_timeout_s=20,
        state={"a": {"x": 1}},
    )

    request = operation.to_request()

    assert request.path == "/v2/subscribe/demo/a,a%2Fb-pnpres/0"
    assert request.query == (
        "tt=17579696193377821&tr=43&channel-group=g,g-pnpres"
        "&heartbeat=20&state=%7B%22a%22%3A%7B%22x%22%3A1%7D%7D"
    )
    with_user = HttpRequest(path=request.path, query=f"{request.query}&uuid=bob")
    assert heard(with_user) == operation


@pytest.mark.parametrize(
    ("query", "timetoken", "region"),
    [
        ("uuid=u", 0, None),
        ("uuid=u&tt=0", 0, None),
        ("uuid=u&tt=&tr=", 0, None),
        ("uuid=u&tt=0&tr=0", 0, 0),
        ("uuid=u&tt=5&tr=12", 5, 12),
        ("uuid=u&t={}", 0, None),
        ("uuid=u&t=no+json", 0, None),
        ("uuid=u&t=%7B%22r%22:12,%22t%22:%2214651%22%7D", 14651, 12),
    ],
)
def test_a_cursor_is_parsed_in_every_spelling(
    query: str, timetoken: int, region: int | None
) -> None:
    operation = asked("a", query)

    assert (operation.timetoken, operation.region) == (timetoken, region)


@pytest.mark.parametrize(
    "query", ["tt=-1", "tt=x", "tt=1.5", "tr=x", "tt=" + "9" * 40, "state=[]"]
)
def test_invalid_numbers_and_states_are_refused(query: str) -> None:
    with pytest.raises(InvalidArgumentError):
        asked("a", f"uuid=u&{query}")


@pytest.mark.parametrize("state", ["", "&state", "&state=", "&state=null"])
def test_a_subscribe_may_say_in_every_way_that_it_has_no_state(state: str) -> None:
    operation = asked("a", f"uuid=u&channel-group=&filter-expr=&ee=&heartbeat=0{state}")

    assert (operation.state, operation.presence_timeout_s) == (None, None)
    assert operation.channel_groups == ()


def test_a_subscribe_without_a_user_is_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        asked("a", "tt=0")


@pytest.mark.parametrize(
    ("path", "groups", "is_said"),
    [
        ("a-pnpres", "", False),
        ("a", "", False),
        ("a,a-pnpres", "", True),
        ("a-pnpres", "g", True),
        (",", "g-pnpres", True),
        ("a.*", "", True),
        ("a.*-pnpres", "", True),
        ("a.b", "", False),
    ],
)
def test_the_match_is_sent_unless_one_plain_channel_is_named(
    path: str, groups: str, *, is_said: bool
) -> None:
    operation = asked(path, f"uuid=u&channel-group={groups}")
    message = Message(
        channel="a-pnpres",
        payload=msgspec.Raw(b'{"action":"join"}'),
        published=Published(5, 1),
        subscription="a-pnpres",
    )

    said = json.loads(
        operation.to_reply(Delivery(timetoken=5, region=1, messages=(message,))).body
    )

    assert ("b" in said["m"][0]) is is_said


def test_a_region_stays_within_eight_bits() -> None:
    said = asked("a").to_reply(Delivery(timetoken=5, region=300))

    assert json.loads(said.body) == {"t": {"t": "5", "r": 127}, "m": []}


ODD_MESSAGES: list[Any] = [
    None,
    5,
    "x",
    [],
    {},
    {"c": "a-pnpres"},
    {"c": "a-pnpres", "d": {}, "p": {}},
    {"c": "a-pnpres", "d": {}, "p": {"t": "x"}},
    {"c": "a-pnpres", "d": {}, "p": {"t": -1}},
    {"c": 5, "d": {}, "p": {"t": "5"}},
    {"c": "a-pnpres", "d": {}, "p": {"t": "5", "r": []}},
    {"c": "a-pnpres", "d": {}, "p": {"t": "5"}, "b": 7},
]


@pytest.mark.parametrize("odd", ODD_MESSAGES, ids=json.dumps)
def test_one_odd_message_does_not_spoil_the_others(odd: object) -> None:
    join = {"action": "join", "uuid": "amy", "timestamp": 1, "occupancy": 1}
    good = {"c": "a-pnpres", "d": join, "p": {"t": "7"}}

    delivery = asked("a-pnpres").from_reply(reply({"t": {"t": "9"}, "m": [odd, good]}))

    events = [read_event(message) for message in delivery.messages]
    assert [type(event) for event in events] == [UnknownEvent, JoinEvent]
    assert delivery.timetoken == 9


@pytest.mark.parametrize(
    "body", [[], {}, {"t": {}, "m": []}, {"t": {"t": "x"}, "m": []}, {"t": {"t": "1"}}]
)
def test_a_reply_without_cursor_or_messages_is_an_error(body: object) -> None:
    with pytest.raises(ReplyFormatError):
        asked("a").from_reply(reply(body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["t", "m", "c", "d", "p", "r", "b", "action", "uuid"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values, json_values)
def test_any_reply_is_read_or_refused(cursor: object, messages: object) -> None:
    try:
        delivery = asked("a").from_reply(reply({"t": cursor, "m": messages}))
    except ReplyFormatError:
        return
    for message in delivery.messages:
        read_event(message).to_dict()
