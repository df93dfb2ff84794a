from __future__ import annotations

import json
from typing import Any

import pytest

from presence_async import (
    ChannelOccupancy,
    HereNow,
    HereNowCounts,
    Occupant,
    RejectedRequestError,
    ReplyFormatError,
    UnavailableError,
)
from presence_async.protocol.exchange import HttpReply
from presence_async.protocol.here_now import HereNowOperation


def ask(*channels: str, **options: Any) -> HereNowOperation:
    return HereNowOperation(subscribe_key="demo", channels=channels, **options)


def ok(**fields: object) -> HttpReply:
    return HttpReply(status=200, body=json.dumps({"status": 200, **fields}).encode())


def ok_payload(channels: dict[str, object], total: int = 1) -> HttpReply:
    return ok(
        payload={"channels": channels, "total_channels": total, "total_occupancy": 9}
    )


def test_strings_and_objects_in_one_list_are_both_occupants() -> None:
    entries = ["bob", {"uuid": "eve", "state": {"n": 1}}, {"uuid": "kim"}]
    reply = ok(occupancy=4, uuids=[*entries, {"uuid": "ann", "state": None}])

    here = ask("lobby", include_state=True).from_reply(reply)

    assert here.channels["lobby"].user_ids == ("bob", "eve", "kim", "ann")
    assert here.channels["lobby"].occupants == (
        Occupant(user_id="bob", state={}),
        Occupant(user_id="eve", state={"n": 1}),
        Occupant(user_id="kim", state={}),
        Occupant(user_id="ann", state={}),
    )


def test_a_state_that_was_not_asked_for_is_none() -> None:
    reply = ok(occupancy=1, uuids=[{"uuid": "eve", "state": {"n": 1}}])

    here = ask("lobby").from_reply(reply)

    assert here.channels["lobby"].occupants == (Occupant(user_id="eve"),)


def test_totals_are_the_services_own() -> None:
    reply = ok_payload({"a": {"occupancy": 2, "uuids": ["x"]}}, total=7)

    here = ask("a", "b").from_reply(reply)

    assert (here.total_channels, here.total_occupancy) == (7, 9)


@pytest.mark.parametrize(("occupancy", "channels"), [(0, 0), (3, 1)])
def test_totals_of_one_channel_follow_from_its_occupancy(
    occupancy: int, channels: int
) -> None:
    here = ask("a", include_user_ids=False).from_reply(ok(occupancy=occupancy))

    assert (here.total_channels, here.total_occupancy) == (channels, occupancy)


def test_a_payload_for_one_channel_is_understood_too() -> None:
    here = ask("a").from_reply(ok_payload({"a": {"occupancy": 1, "uuids": ["x"]}}))

    assert here.channels["a"].user_ids == ("x",)


@pytest.mark.parametrize(
    "operation", [ask(), ask("a", "b"), ask("a", channel_groups=("g",))]
)
def test_one_count_for_several_places_is_refused(operation: HereNowOperation) -> None:
    with pytest.raises(ReplyFormatError):
        operation.from_reply(ok(occupancy=1, uuids=["x"]))


def test_only_channels_named_by_name_are_there_with_nobody_on_them() -> None:
    operation = ask("a", channel_groups=("g",), include_state=True)

    here = operation.from_reply(ok_payload({}, total=0))

    nobody = ChannelOccupancy.of("a", {})
    assert here == HereNow(channels={"a": nobody}, total_channels=0, total_occupancy=9)
    assert here.channels["a"].occupants == ()


@pytest.mark.parametrize(
    ("offset", "occupancy", "ids", "is_complete"),
    [
        (0, 2, ["x", "y"], True),
        (0, 3, ["x", "y"], False),
        (0, 0, [], True),
        (1, 2, ["y"], False),
        (2, 2, [], False),
    ],
)
def test_a_page_is_complete_only_if_it_holds_everybody(
    offset: int, occupancy: int, ids: list[str], is_complete: bool
) -> None:
    reply = ok(occupancy=occupancy, uuids=ids)

    here = ask("a", offset=offset).from_reply(reply)

    assert here.channels["a"].is_complete is is_complete


@pytest.mark.parametrize("offset", [0, 5])
def test_an_empty_channel_may_come_without_a_list(offset: int) -> None:
    here = ask("a", offset=offset).from_reply(ok(occupancy=0))

    assert here.channels["a"].user_ids == ()
    assert here.channels["a"].is_complete is (offset == 0)


def test_counts_leave_a_list_aside_that_comes_anyway() -> None:
    operation = ask("a", "b", include_user_ids=False)

    here = operation.from_reply(ok_payload({"a": {"occupancy": 1, "uuids": ["x"]}}))

    assert here == HereNowCounts(
        channels={
            "a": ChannelOccupancy(channel="a", occupancy=1),
            "b": ChannelOccupancy(channel="b", occupancy=0),
        },
        total_channels=1,
        total_occupancy=9,
    )
    assert here.channels["a"].occupants is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"occupancy": 2},
        {"occupancy": 2, "uuids": None},
        {"occupancy": -1, "uuids": []},
        {"occupancy": "1", "uuids": ["x"]},
        {"occupancy": True, "uuids": ["x"]},
        {"occupancy": 1, "uuids": [7]},
        {"occupancy": 1, "uuids": {"x": 1}},
        {"occupancy": 1, "uuids": [{"state": {}}]},
        {"uuids": ["x"]},
        {"payload": []},
        {"payload": {"channels": {}}},
        {"payload": {"channels": {}, "total_channels": -1, "total_occupancy": 0}},
        {"payload": {"channels": {}, "total_channels": 0, "total_occupancy": -1}},
        {
            "payload": {
                "channels": {"a": {"occupancy": 1}},
                "total_channels": 1,
                "total_occupancy": 1,
            }
        },
    ],
    ids=repr,
)
def test_an_undocumented_answer_is_an_error(fields: dict[str, object]) -> None:
    with pytest.raises(ReplyFormatError) as caught:
        ask("a").from_reply(ok(**fields))

    assert caught.value.cause
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b'{"occupancy":1,"uu', b"[]", b"\xff", b'{"a":' * 10**6],
    ids=lambda body: str(body[:12]),
)
def test_a_body_that_is_not_json_is_an_error_with_a_short_excerpt(body: bytes) -> None:
    with pytest.raises(ReplyFormatError) as caught:
        ask("a").from_reply(HttpReply(status=200, body=body))

    assert caught.value.excerpt == body[:200].decode(errors="replace")


@pytest.mark.parametrize(
    ("status", "kind"), [(402, RejectedRequestError), (503, UnavailableError)]
)
def test_an_error_inside_a_success_is_that_error(status: int, kind: type) -> None:
    body = {"status": status, "error": 1, "occupancy": 0, "uuids": []}

    with pytest.raises(kind):
        ask("a").from_reply(ok(**body))
