"""The spellings of other SDKs: each is understood as it is meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from presence_async.emulator import PresenceEmulator

KEY = "/v2/presence/sub-key/demo"
UNDERSCORED = "/v2/presence/sub_key/demo"
REGISTRY = "/v1/channel-registration/sub-key/demo/channel-group"
BEAT = f"{KEY}/channel/a,b/heartbeat?uuid=bob"


async def body_of(wire: Any, target: str) -> Any:
    status, _, body = await wire.ask(target)
    assert status == 200, body
    return json.loads(body)


@pytest.mark.parametrize(
    "target",
    [
        f"{KEY}/channel/a,b/heartbeat?uuid=bob&heartbeat=300",
        f"{UNDERSCORED}/channel/a,b/heartbeat?heartbeat=20&uuid=bob&requestid=1&ee=1",
        f"{KEY}/channel/a,,b,/heartbeat?uuid=bob&heartbeat=&channel-group=",
        f"{KEY}/channel/a,b,a-pnpres/heartbeat?uuid=bob&channel-group=g-pnpres",
        f"{KEY}/channel/%61,%62/heartbeat?uuid=%62ob",
        f'{KEY}/channel/a,b/heartbeat?uuid=bob&state={{"a":{{"x":"1,2"}},"b":{{}}}}',
        f"{KEY}/channel/a/heartbeat?uuid=bob&channel-group=g",
        f"{KEY}/channel/,/heartbeat?uuid=bob&channel-group=g,h",
        f"{KEY}/channel/,/heartbeat?uuid=bob&channel-group=g%2Ch",
        f"{KEY}/channel//heartbeat?uuid=bob&channel-group=g,h",
        f"{KEY}/channel/b,a/heartbeat?state=%7B%22g%22:%7B%22x%22:1%7D%7D&uuid=bob"
        "&pnsdk=PubNub-Go/9.0.3&l_pres=0.012&instanceid=pn-1&on-demand=1",
    ],
    ids=[
        *("plain", "underscore and event engine", "empty parts", "pnpres", "escaped"),
        *("bare json", "channel and group", "bare comma", "escaped comma", "no comma"),
        "bare colon",
    ],
)
async def test_a_heartbeat_is_understood(
    wire: Any, emulator: PresenceEmulator, target: str
) -> None:
    await body_of(wire, f"{REGISTRY}/g?add=a,b")

    await body_of(wire, target)

    assert (await body_of(wire, f"{KEY}/uuid/bob"))["payload"]["channels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("query", "hides"),
    [
        ("disable_uuids=1", True),
        ("disable-uuids=1", True),
        ("disable-uuids=0&disable_uuids=0&limit=1000&state=0", False),
        ("disable_uuids=0&disable-uuids=1", False),
        ("limit=0", True),
        ("channel-group=", False),
    ],
)
async def test_here_now_takes_every_spelling(
    wire: Any, query: str, hides: bool
) -> None:
    await body_of(wire, BEAT)

    said = await body_of(wire, f"{UNDERSCORED}/channel/a?{query}")

    assert said["occupancy"] == 1
    assert ("uuids" not in said) is hides


async def test_state_of_groups_only_takes_an_empty_or_a_comma_segment(
    wire: Any,
) -> None:
    await body_of(wire, f"{REGISTRY}/g?add=a,b")
    groups = "channel-group=g"
    await body_of(
        wire, f"{KEY}/channel/,/uuid/bob/data?state=%7B%22x%22%3A1%7D&{groups}"
    )

    go = await body_of(wire, f"{KEY}/channel//uuid/bob?{groups}")
    others = await body_of(wire, f"{KEY}/channel/,/uuid/bob?{groups}")

    assert go == others
    assert go["payload"] == {"channels": {"a": {"x": 1}, "b": {"x": 1}}}
    assert "channel" not in go


async def test_an_empty_group_parameter_does_not_change_the_shape(wire: Any) -> None:
    said = await body_of(wire, f"{KEY}/channel/a/uuid/bob?channel-group=")

    assert (said["channel"], said["payload"]) == ("a", {})


async def test_a_plus_is_a_plus(wire: Any, emulator: PresenceEmulator) -> None:
    await body_of(wire, f"{KEY}/channel/a+b,c%20d/heartbeat?uuid=x+y%2Bz")

    assert set(emulator.occupants("a+b")) == {"x+y+z"}
    assert set(emulator.occupants("c d")) == {"x+y+z"}


@pytest.mark.parametrize(
    "user",
    [
        "a%21%40%23%24%25%5E%26%28%29%C5%BB%C3%93%C5%81%5B%5D%7B%7D%22%22%3C%3E%3F%3F~%60Z",
        "with%2Fslash",
        "a%2Cb",
        "..%2E.",
        "%20",
        "x" * 200,
        "%F0%9F%90%99",
    ],
    ids=["recorded", "slash", "comma", "dots", "blank", "long", "emoji"],
)
async def test_odd_user_ids_are_accepted_or_refused_politely(
    wire: Any, user: str
) -> None:
    status, _, _ = await wire.ask(f"{KEY}/channel/a/heartbeat?uuid={user}")

    assert status == (400 if user == "%20" else 200)


async def test_a_channel_with_odd_characters_keeps_its_state(wire: Any) -> None:
    # Accepted by the service in 2017 though documented as forbidden.
    odd = "%21%40%23%24%25%5E%26%2A%28%29%5B%5D%7B%7D%22%3C%3E%3F~%60%C5%BB"
    await body_of(wire, f"{KEY}/channel/{odd}/uuid/bob/data?state=%7B%22x%22%3A1%7D")

    said = await body_of(wire, f"{KEY}/channel/{odd}/uuid/bob")

    assert (said["channel"], said["payload"]) == ('!@#$%^&*()[]{}"<>?~`Ż', {"x": 1})


async def test_presence_names_are_answered_as_nobody(wire: Any) -> None:
    await body_of(wire, BEAT)

    alone = await body_of(wire, f"{KEY}/channel/a-pnpres")
    beside = await body_of(wire, f"{KEY}/channel/a,a-pnpres")
    state = await body_of(wire, f"{KEY}/channel/a-pnpres/uuid/bob")

    assert (alone["occupancy"], alone["uuids"]) == (0, [])
    assert list(beside["payload"]["channels"]) == ["a"]
    assert state["payload"] == {}


@pytest.mark.parametrize("value", ["-1", "nan", "1e309", "x", "0", "99999999999999"])
async def test_an_invalid_timeout_is_the_services_own(
    wire: Any, emulator: PresenceEmulator, value: str
) -> None:
    await body_of(wire, f"{BEAT}&heartbeat={value}")

    assert set(emulator.occupants("a")) == {"bob"}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ('{"x":"\\ud83d\\udc19"}', 200),
        ('{"x":1,"x":2}', 200),
        ('{"x":"\\ud800"}', 400),
        ('{"x":1e999}', 400),
        ("[1]", 400),
        ("null", 400),
        ('"x"', 400),
        ("{", 400),
        ('{"x":' + "[" * 9_000 + "]" * 9_000 + "}", 400),
        ("%FF", 400),
    ],
    ids=[
        *("surrogate pair", "same key twice", "lone surrogate", "beyond numbers"),
        *("list", "null", "text", "cut", "deep", "no text"),
    ],
)
async def test_a_state_is_an_object_of_plain_json(
    wire: Any, state: str, status: int
) -> None:
    found, _, _ = await wire.ask(f"{KEY}/channel/a/uuid/bob/data?state={state}")

    assert found == status


async def test_browsers_get_permission(wire: Any) -> None:
    status, headers, body = await wire.ask(
        f"{KEY}/channel/a",
        method="OPTIONS",
        headers={
            "Origin": "http://app.example",
            "Access-Control-Request-Method": "GET",
        },
    )

    assert (status, body) == (200, b"")
    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-allow-methods"] == "options, get, post"


async def test_no_permission_is_given_for_the_control_path(wire: Any) -> None:
    status, headers, _ = await wire.ask("/_emulator/faults", method="OPTIONS")

    assert status == 404
    assert "access-control-allow-origin" not in headers


async def test_a_head_request_gets_no_body(wire: Any) -> None:
    status, _, body = await wire.ask(KEY, method="HEAD")

    assert (status, body) == (405, b"")


STATED = f"{KEY}/channel/a/uuid/bob/data?state=%7B%22x%22%3A1%7D"
NOTHING = {
    "Go": "heartbeat=20&state=null",
    "JavaScript": "heartbeat=300&state=%7B%7D",
    "JavaScript after null": "heartbeat=300&state=%7B%22a%22:null%7D",
    "Ruby": "heartbeat=&state=%7B%22channel%22:%7B%7D,%22group%22:%7B%7D%7D",
    "Python": "heartbeat=300&ee=1",
    "C": "pnsdk=PubNub-C-core%2F7.2.1",
    "C#": "heartbeat=300",
    "Swift and Kotlin": "heartbeat=300&ee",
    "no values": "heartbeat=&state=&channel-group=&auth=&ee=",
}
"""The query of a heartbeat without state, by the SDK that sends it."""


@pytest.mark.parametrize("sdk", NOTHING)
async def test_a_heartbeat_without_state_changes_none(
    wire: Any, emulator: PresenceEmulator, sdk: str
) -> None:
    await body_of(wire, f"{KEY}/channel/a/heartbeat?uuid=bob")
    await body_of(wire, STATED)

    await body_of(wire, f"{KEY}/channel/a/heartbeat?uuid=bob&{NOTHING[sdk]}")

    assert emulator.occupants("a") == {"bob": {"x": 1}}
    assert [e.action for e in emulator.events("a")] == ["join", "state-change"]


@pytest.mark.parametrize("sdk", NOTHING)
async def test_a_subscribe_without_state_changes_none(
    wire: Any, emulator: PresenceEmulator, sdk: str
) -> None:
    await body_of(wire, STATED)

    query = f"uuid=bob&{NOTHING[sdk]}&filter-expr=&tr=&tt="
    await body_of(wire, f"/v2/subscribe/demo/a/0?{query}")

    assert emulator.occupants("a") == {"bob": {"x": 1}}


@pytest.mark.parametrize("state", ["%7B%7D", "[]"], ids=["most SDKs", "PHP"])
async def test_an_empty_state_clears(
    wire: Any, emulator: PresenceEmulator, state: str
) -> None:
    await body_of(wire, f"{KEY}/channel/a/heartbeat?uuid=bob")
    await body_of(wire, STATED)

    said = await body_of(wire, f"{KEY}/channel/a/uuid/bob/data?state={state}")

    assert said["payload"] == {}
    assert emulator.occupants("a") == {"bob": {}}


@pytest.mark.parametrize(
    ("target", "channels"),
    [
        (f"{KEY}/channel/a/leave?uuid=bob&channel-group=,&ee", ()),
        (f"{KEY}/channel/a/leave?uuid=bob&channel-group=", ()),
        (f"{KEY}/channel/,/leave?uuid=bob&channel-group=g", ()),
        (f"{KEY}/channel//leave?uuid=bob&channel-group=g", ()),
        (f"{KEY}/channel/,/leave?uuid=bob", ("a",)),
    ],
    ids=["Kotlin", "empty value", "most SDKs", "empty segment", "nothing named"],
)
async def test_a_leave_takes_every_spelling_of_no_names(
    wire: Any, target: str, channels: tuple[str, ...]
) -> None:
    await body_of(wire, f"{REGISTRY}/g?add=a")
    await body_of(wire, f"{KEY}/channel/a/heartbeat?uuid=bob")

    await body_of(wire, target)

    said = await body_of(wire, f"{KEY}/uuid/bob")
    assert tuple(said["payload"]["channels"]) == channels


@pytest.mark.parametrize(
    "query",
    [
        "state=0&disable-uuids=0&limit=1000",
        "state=0&disable_uuids=0&limit=1000&offset=0",
        "state=&disable_uuids=&limit=&offset=&channel-group=",
        "channel-group=,",
        "",
    ],
    ids=["Go", "Swift", "empty values", "comma", "Java"],
)
async def test_here_now_without_options_names_every_user(wire: Any, query: str) -> None:
    await body_of(wire, BEAT)

    said = await body_of(wire, f"{KEY}/channel/a?uuid=bob&{query}")

    assert (said["occupancy"], said["uuids"]) == (1, ["bob"])
