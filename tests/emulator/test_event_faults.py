"""Events that get lost, come twice, late or in another order; occupants stay true."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from presence_async import InvalidArgumentError
from presence_async.emulator import EventFault, PresenceEmulator
from presence_async.emulator.event_faults import EventFaults

USERS = [f"u{number}" for number in range(40)]


async def heard(sdk: Any, cursor: str, for_s: float = 30) -> list[dict[str, Any]]:
    """PendingPoll for a while, as a client that goes on from each cursor."""
    messages: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(for_s):
            while True:
                cursor, more = await sdk.subscribe("a-pnpres", tt=cursor)
                messages += more
    except TimeoutError:
        return messages


async def joins(
    sdk: Any, emulator: PresenceEmulator, fault: EventFault
) -> list[dict[str, Any]]:
    emulator.inject(fault)
    cursor, _ = await sdk.subscribe("a-pnpres")
    for user in USERS:
        await sdk.beat(user, "a", "&heartbeat=1000")
    return await heard(sdk, cursor)


@pytest.fixture
def presence_emulator_options() -> dict[str, Any]:
    return {"announce_max": 1000}


def who(messages: list[dict[str, Any]]) -> list[str]:
    return [message["d"]["uuid"] for message in messages]


async def test_a_share_is_dropped_and_events_stay_true(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    seen = who(await joins(sdk, emulator, EventFault(drop=0.5)))

    assert 10 < len(seen) < 30
    assert [event.user_id for event in emulator.events("a")] == USERS


async def test_a_share_comes_twice_with_one_timetoken(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    messages = await joins(sdk, emulator, EventFault(duplicate=0.5))

    assert 50 < len(messages) < 70
    assert len({message["p"]["t"] for message in messages}) == len(USERS)
    assert set(who(messages)) == set(USERS)


async def test_a_share_comes_in_another_order(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    seen = who(await joins(sdk, emulator, EventFault(reorder=0.5)))

    assert sorted(seen) == sorted(USERS)
    assert seen != USERS


async def test_all_come_late(sdk: Any, emulator: PresenceEmulator) -> None:
    emulator.inject(EventFault(delay_s=3))
    cursor, _ = await sdk.subscribe("a-pnpres")
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    await sdk.beat("bob", "a")

    _, [join] = await sdk.subscribe("a-pnpres", tt=cursor)

    assert loop.time() - started_s == pytest.approx(3)
    assert int(join["p"]["t"]) - int(cursor) < 1e7


async def test_the_same_seed_hits_the_same_events(sdk: Any) -> None:
    runs = []
    for seed in (1, 1, 2):
        async with PresenceEmulator(announce_max=1000) as emulator:
            fault = EventFault(drop=0.3, duplicate=0.2, seed=seed)
            runs.append(who(await joins(sdk.to(emulator), emulator, fault)))

    assert runs[0] == runs[1] != runs[2]


async def test_it_ends_in_time_and_by_reset(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    emulator.inject(EventFault(drop=1))
    emulator.reset()
    emulator.inject(EventFault(drop=1, for_s=5))
    cursor, _ = await sdk.subscribe("a-pnpres")
    await sdk.beat("bob", "a")
    await asyncio.sleep(5)
    await sdk.beat("kim", "a")

    assert who((await sdk.subscribe("a-pnpres", tt=cursor))[1]) == ["kim"]


def test_an_event_fault_may_concern_one_channel_of_one_key() -> None:
    faults = EventFaults()
    faults.inject(EventFault(drop=1, channel="a"), now_s=0, subscribe_key="mine")

    assert faults.delays_s("mine", "a", 0) == []
    assert faults.delays_s("mine", "b", 0) == [0.0]
    assert faults.delays_s("other", "a", 0) == [0.0]


def test_an_event_fault_is_read_from_data() -> None:
    fault = EventFault(drop=0.2, delay_s=3, for_s=60, seed=4)

    assert fault.to_dict() == {"drop": 0.2, "delay_s": 3, "for_s": 60, "seed": 4}
    assert EventFault.from_dict(fault.to_dict()) == fault
    with pytest.raises(InvalidArgumentError):
        EventFault.from_dict({"dorp": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"drop": 2},
        {"duplicate": -0.1},
        {"reorder": "x"},
        {"delay_s": -1},
        {"spread_s": float("inf")},
        {"for_s": 0},
        {"channel": 5},
        {"seed": 1.5},
    ],
    ids=str,
)
def test_an_event_fault_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        EventFault(**fields)


async def test_lost_messages_are_gone_for_good(
    sdk: Any, emulator: PresenceEmulator
) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    await sdk.beat("bob", "a")
    emulator.inject(EventFault(delay_s=5, for_s=1))
    await sdk.beat("amy", "a")
    emulator.lose_messages()
    await asyncio.sleep(10)
    await sdk.beat("kim", "a")

    assert who((await sdk.subscribe("a-pnpres", tt=cursor))[1]) == ["kim"]


@pytest.mark.parametrize("shift_s", [-3600.0, 0.0, 3600.0])
async def test_a_restart_cuts_polls_and_gives_other_timetokens(
    sdk: Any, wire: Any, emulator: PresenceEmulator, shift_s: float
) -> None:
    cursor, _ = await sdk.subscribe("a-pnpres")
    # Not by aiohttp's client, which would ask again by itself.
    target = f"/v2/subscribe/demo/a-pnpres/0?uuid=eve&tt={cursor}"
    held = asyncio.create_task(
        wire.exchange(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    )
    await asyncio.sleep(1)
    assert emulator.open_polls == 1
    emulator.restart_timetokens(shift_s)
    assert await held == b""
    assert emulator.open_polls == 0

    poll = asyncio.create_task(sdk.subscribe("a-pnpres", tt=cursor))
    await asyncio.sleep(1)
    await sdk.beat("bob", "a")
    later, messages = await poll

    assert who(messages) == ["bob"]
    assert int(later) - int(cursor) == pytest.approx((shift_s + 2) * 1e7, abs=1e6)
