"""Recorded events: the same changes at the same times send the same events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from presence_async.emulator import PresenceEmulator

SAMPLES = Path(__file__).parent.parent / "samples"
CHANNEL = "/v2/presence/sub-key/demo/channel/test-channel"
GROUPS = "/v1/channel-registration/sub-key/demo/channel-group"
WATCHED = "test-channel1-pnpres,other-pnpres"
GROUP_WATCHED = "channel-group=test-channel-group2-pnpres"

# What is asked how many seconds before the event, the last one making it; and how it is
# listened to.
HAPPENED: dict[str, tuple[list[tuple[int, str]], str]] = {
    "join_2025": ([(0, f"{CHANNEL}1/heartbeat?uuid=serhii")], f"{WATCHED}/0?"),
    "leave_2025": (
        [
            (9, f"{CHANNEL}1/heartbeat?uuid=serhii"),
            (9, f"{CHANNEL}1/heartbeat?uuid=david"),
            (0, f"{CHANNEL}1/leave?uuid=serhii"),
        ],
        f"{WATCHED}/0?",
    ),
    "timeout_2025": (
        [(20, f"{CHANNEL}1/heartbeat?uuid=david&heartbeat=20"), (0, "/time/0")],
        f"{WATCHED}/0?",
    ),
    "group_2025": (
        [
            (20, f"{GROUPS}/test-channel-group2?add=test-channel2"),
            (20, f"{CHANNEL}2/heartbeat?uuid=david&heartbeat=20"),
            (0, "/time/0"),
        ],
        f",/0?{GROUP_WATCHED}&",
    ),
}


@pytest.mark.parametrize("name", HAPPENED)
async def test_a_recorded_event_is_sent_in_the_recorded_form(
    sdk: Any, name: str
) -> None:
    text = SAMPLES.joinpath(f"subscribe_{name}.json").read_text(encoding="utf-8")
    [recorded] = json.loads(json.loads(text)["reply"]["body"])["m"]
    # In the middle of the millisecond.
    event_s = recorded["d"]["precise_timestamp"] / 1000 + 0.0005
    asked, listened = HAPPENED[name]
    loop = asyncio.get_running_loop()
    ahead_s = event_s - 60 - loop.time()

    async with PresenceEmulator(clock=lambda: ahead_s + loop.time()) as emulator:
        other = sdk.to(emulator)
        for before_s, target in asked:
            await asyncio.sleep(event_s - before_s - ahead_s - loop.time())
            await other.get(target)
        reply = await other.get(f"/v2/subscribe/demo/{listened}uuid=eve&tt=1")

    message = reply["m"][-1]
    assert message == {**recorded, "a": message["a"], "p": message["p"]}
    assert list(message["d"]) == list(recorded["d"])
    assert int(message["p"]["t"]) / 1e7 == pytest.approx(event_s, abs=1e-4)
    assert reply["t"]["t"] == message["p"]["t"]
