"""Recorded exchanges: the same request, primed alike, gets the same body.

Compared as JSON text with sorted keys, so that keys, types and values must agree; the
order of lists of names carries no meaning.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from presence_async.emulator import Fault, Grant, PresenceEmulator

SAMPLES = Path(__file__).parent.parent / "samples"
KEY = "/v2/presence/sub-key/demo"
REGISTRY = "/v1/channel-registration/sub-key/demo/channel-group"
STATE = "%7B%22channel1-state%22%3A%5B%22channel-1-random-value%22%5D%7D"
ALEX = "%7B%22count%22%3A5%2C%22name%22%3A%22Alex%22%7D"
USER = "test-here-now-asyncio-uuid1"
CH = "test-here-now-asyncio-ch"
STATE_CH = "test-state-asyncio-ch"
STATE_USER = "test-state-asyncio-uuid"


def beat(channels: str, user: str) -> str:
    return f"{KEY}/channel/{channels}/heartbeat?uuid={user}"


def state(channels: str, user: str, value: str) -> str:
    return f"{KEY}/channel/{channels}/uuid/{user}/data?state={value}"


KIM_AND_GLEN = [
    beat("lobby", "Kim"),
    beat("lobby", "Glen"),
    state("lobby", "Kim", STATE),
]
PRIMED: dict[str, list[str]] = {
    "get_state_one": [state(STATE_CH, STATE_USER, ALEX)],
    "get_state_one_empty": [],
    "get_state_several": [state(f"{STATE_CH}1,{STATE_CH}2", STATE_USER, ALEX)],
    "group_add": [],
    "group_add_2025": [],
    "group_delete": [],
    "group_list": [f"{REGISTRY}/g?add=ch1,ch2"],
    "group_remove": [],
    "groups": [],
    "heartbeat": [],
    "heartbeat_cached": [],
    "heartbeat_empty_timeout": [],
    "here_now_counts_of_several": [beat("test-channel1,test-channel3", "Kim")],
    "here_now_flat": [beat(CH, USER)],
    "here_now_flat_counts": [beat("lobby", user) for user in ("a", "b", "c")],
    "here_now_flat_counts_empty": [],
    "here_now_flat_empty": [],
    "here_now_flat_state": KIM_AND_GLEN,
    "here_now_global": [beat("test-channel1", "Kim"), beat("test-channel2", "Earline")],
    "here_now_group": [
        f"{REGISTRY}/test-channel-group1?add=test-channel1",
        beat("test-channel1", "Kim"),
    ],
    "here_now_nobody_on_several": [],
    "here_now_two_channels": [beat(f"{CH}1,{CH}2", USER)],
    "here_now_two_channels_state": [
        beat("a", "Kim"),
        beat("a", "Glen"),
        state("a", "Kim", STATE),
    ],
    "leave": [],
    "leave_2025": [],
    "set_state": [],
    "set_state_group": [],
    "where_now": [
        beat(
            "test-where-now-asyncio-ch1,test-where-now-asyncio-ch2",
            "test-where-now-asyncio-uuid",
        )
    ],
    "where_now_nowhere": [],
}
# What the emulator itself refuses: its options and the request.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "error_400_no_state": ({}, f"{KEY}/channel/a/uuid/b/data?uuid=b"),
    "error_400_reserved_character": ({}, f"{REGISTRY}/a%2Cb?add=c"),
    "error_400_subscribe_key": ({"subscribe_keys": ["other"]}, KEY),
    "error_403_channels": ({"access": {}}, beat("test-channel1", "bob")),
    "error_403_groups": (
        {"access": {"t": Grant(channels="*")}},
        f"{KEY}/channel/,/leave?channel-group=test-channel-group1&uuid=bob&auth=t",
    ),
    "error_414": ({}, f"{KEY}/channel/{'x' * 33_000}"),
    "error_429": ({"max_requests_per_s": 0.1}, KEY),
}
# What it says when a fault wants the status.
INJECTED = ["error_413", "error_414", "error_429", "error_503", "error_504"]


def recorded(name: str) -> Any:
    return json.loads(SAMPLES.joinpath(f"{name}.json").read_text(encoding="utf-8"))


def canonical(body: bytes | str) -> str:
    return json.dumps(unordered(json.loads(body)), sort_keys=True)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def unordered(value: Any) -> Any:
    if isinstance(value, list):
        return sorted(map(unordered, value), key=_text)
    if isinstance(value, dict):
        return {key: unordered(item) for key, item in value.items()}
    return value


def test_every_recorded_success_is_compared() -> None:
    names = {path.stem for path in SAMPLES.glob("*.json")}
    successes = {name for name in names if not name.startswith("error_")}

    answered = {n for n in successes if recorded(n)["operation"] != "subscribe"}
    assert answered == set(PRIMED)


@pytest.mark.parametrize("name", PRIMED)
async def test_a_recorded_request_gets_the_recorded_body(wire: Any, name: str) -> None:
    facts = recorded(name)
    for target in PRIMED[name]:
        assert (await wire.ask(target))[0] == 200

    request = facts["request"]
    status, headers, body = await wire.ask(f"{request['path']}?{request['query']}")

    assert status == facts["reply"]["status"]
    assert canonical(body) == canonical(facts["reply"]["body"])
    assert headers["content-type"] == 'text/javascript; charset="utf-8"'


@pytest.mark.parametrize("name", REFUSED)
async def test_a_recorded_refusal_is_answered_in_the_same_words(
    wire: Any, name: str
) -> None:
    options, target = REFUSED[name]
    reply = recorded(name)["reply"]

    async with PresenceEmulator(**options) as emulator:
        if "max_requests_per_s" in options:
            await wire.to(emulator).ask(target)
        status, headers, body = await wire.to(emulator).ask(target)

    assert status == reply["status"]
    assert canonical(body) == canonical(reply["body"])
    assert body.endswith(b"\n") == reply["body"].endswith("\n")
    assert ("retry-after" in headers) == (name == "error_429")


async def test_an_unknown_path_is_named(wire: Any) -> None:
    status, _, body = await wire.ask("/v2/presence/other?x=1")

    assert status == 404
    known = recorded("error_404")["reply"]["body"].replace("...", "other")
    assert canonical(body) == canonical(known)


async def test_a_revoked_token_is_refused_as_revoked(
    wire: Any, emulator: PresenceEmulator
) -> None:
    emulator.grant("t", Grant(channels="*"))
    before, _, _ = await wire.ask(f"{KEY}/channel/a?auth=t")
    emulator.revoke("t")

    status, headers, body = await wire.ask(f"{KEY}/channel/a?auth=t")

    assert (before, status) == (200, 403)
    assert canonical(body) == canonical(recorded("error_403_revoked")["reply"]["body"])
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-store, must-revalidate"


@pytest.mark.parametrize("name", INJECTED)
async def test_an_injected_status_comes_with_its_known_body(
    wire: Any, emulator: PresenceEmulator, name: str
) -> None:
    reply = recorded(name)["reply"]
    fault = Fault(status=reply["status"])
    emulator.inject(attrs.evolve(fault, retry_after_s=30))

    status, headers, body = await wire.ask(KEY)

    assert (status, headers["retry-after"]) == (reply["status"], "30")
    assert canonical(body) == canonical(reply["body"])
