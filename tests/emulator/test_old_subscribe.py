"""The old subscribe, asked as PubNub's C SDK 7.2.2 asks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from presence_async.emulator import Fault, PresenceEmulator

SDK = "pnsdk=POSIX-PubNub-C-core%2F7.2.2"


async def asked(sdk: Any, channels: str, cursor: str = "0", more: str = "") -> Any:
    return await sdk.get(f"/subscribe/demo/{channels}/0/{cursor}?{SDK}&uuid=sub{more}")


async def test_it_makes_present_and_delivers_events_and_messages(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    first, cursor = await asked(sdk, "a,a-pnpres", more="&heartbeat=20")
    present = dict(emulator.occupants("a"))
    await sdk.beat("bob", "a")
    await sdk.get("/publish/demo/demo/0/a/0/%7B%22x%22%3A[1,2]%7D?uuid=bob")

    messages, later, channels = await asked(sdk, "a,a-pnpres", cursor)

    assert (first, present) == ([], {"sub": {}})
    events = [(m["action"], m["uuid"], m["occupancy"]) for m in messages[:2]]
    assert events == [("join", "sub", 1), ("join", "bob", 2)]
    assert messages[2] == {"x": [1, 2]}
    assert channels == "a-pnpres,a-pnpres,a"
    assert int(later) > int(cursor)


async def test_its_user_times_out_after_its_own_heartbeat_value(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    await asked(sdk, "a", more="&heartbeat=20")
    await asyncio.sleep(19)
    before = dict(emulator.occupants("a"))
    await asyncio.sleep(2)

    assert (before, emulator.occupants("a")) == ({"sub": {}}, {})
    assert emulator.events("a")[-1].action == "timeout"


async def test_a_held_poll_ends_with_the_first_message(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    _, cursor = await asked(sdk, "a")
    await asyncio.sleep(1)
    async with asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(asked(sdk, "a", cursor))
        await asyncio.sleep(1)
        is_held = emulator.open_polls
        await sdk.get("/publish/demo/demo/0/a/0/5?uuid=bob")

    messages, _ = poll.result()
    assert (is_held, messages) == (1, [5])


async def test_an_idle_poll_gives_its_cursor_back(sdk: Any) -> None:
    _, cursor = await asked(sdk, "a")
    _, cursor = await asked(sdk, "quiet", cursor)

    assert await asked(sdk, "quiet", cursor) == [[], cursor]


async def test_groups_are_named_and_empty_ones_refused(sdk: Any, wire: Any) -> None:
    group = "&channel-group=g,g-pnpres"
    await sdk.get("/v1/channel-registration/sub-key/demo/channel-group/g?add=a")
    _, cursor = await asked(sdk, ",", more=group)

    reply = await asked(sdk, ",", cursor, group)
    status, _, refused = await wire.ask(
        f"/subscribe/demo/,/0/{cursor}?uuid=sub&channel-group=none,none-pnpres"
    )

    assert reply[2:] == ["g-pnpres", "a-pnpres"]
    assert reply[0][0]["action"] == "join"
    assert status == 400
    assert json.loads(refused) == {
        "status": 400,
        "service": "PubSub",
        "error": True,
        "message": "Channel group or groups result in empty subscription set",
    }


async def test_faults_of_subscribe_hit_it_and_jsonp_is_refused(
    wire: Any, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="subscribe", status=503, times=1))

    faulty, _, _ = await wire.ask("/subscribe/demo/a/0/0?uuid=sub")
    wrapped, _, said = await wire.ask("/subscribe/demo/a/call/0?uuid=sub")

    assert (faulty, wrapped) == (503, 404)
    assert b"Not found" in said
    assert [entry.operation for entry in emulator.requests] == ["subscribe", ""]
