"""The buffer of one reader: bounded, and every loss is a gap in its place."""

from __future__ import annotations

import asyncio

import pytest

from presence_async import (
    ConcurrencyError,
    GapEvent,
    JoinEvent,
    PresenceEvent,
    SnapshotEvent,
)
from presence_async.client.event_buffer import EventBuffer


def join(number: int) -> JoinEvent:
    return JoinEvent(
        channel="lobby",
        occupancy=1,
        timetoken=number,
        timestamp_ms=0,
        user_id=f"u{number}",
    )


def snapshot() -> SnapshotEvent:
    return SnapshotEvent(
        channel="lobby", occupancy=0, timetoken=99, timestamp_ms=0, occupants=()
    )


async def read_all(buffer: EventBuffer) -> list[str]:
    """Read an ended buffer; each event as its user, or as its kind and numbers."""
    found = []
    while True:
        try:
            found.append(shown(await buffer.get()))
        except StopAsyncIteration:
            return found


def shown(event: PresenceEvent) -> str:
    match event:
        case JoinEvent():
            return event.user_id
        case GapEvent():
            return f"{event.reason} {event.dropped} at {event.timetoken}"
        case _:
            return event.action


async def test_events_come_in_order_and_then_the_end() -> None:
    buffer = EventBuffer("stream", 3)
    buffer.put([join(1), join(2)])
    buffer.end()
    buffer.put([join(3)])

    assert await read_all(buffer) == ["u1", "u2"]
    assert await read_all(buffer) == []


async def test_a_full_buffer_drops_the_oldest_and_tells_so_first() -> None:
    buffer = EventBuffer("stream", 3)
    buffer.put([join(n) for n in range(1, 6)])
    buffer.put([join(6)])
    buffer.end()

    assert await read_all(buffer) == ["slow_consumer 3 at 3", "u4", "u5", "u6"]


async def test_a_full_buffer_of_changes_begins_again_with_a_snapshot() -> None:
    buffer = EventBuffer("changes", 3, snapshot)
    buffer.put([join(n) for n in range(1, 5)])
    buffer.put([join(5)])
    first = await buffer.get()
    buffer.put([join(6)])
    buffer.end()

    assert shown(first) == "slow_consumer 5 at 99"
    assert await read_all(buffer) == ["snapshot", "u6"]


async def test_starting_over_is_a_gap_even_where_nothing_waits() -> None:
    buffer = EventBuffer("changes", 3, snapshot)
    buffer.start_over()
    buffer.put([join(1)])
    buffer.end()
    buffer.start_over()

    assert await read_all(buffer) == ["reconnect 1 at 99", "snapshot"]


async def test_what_is_cleared_is_not_told() -> None:
    buffer = EventBuffer("stream", 1)
    buffer.put([join(1), join(2)])
    buffer.clear()
    buffer.put([join(3)])
    buffer.end()

    assert await read_all(buffer) == ["u3"]


@pytest.mark.parametrize("how", ["put", "end", "start_over"])
async def test_a_reader_that_waits_is_woken(how: str) -> None:
    buffer = EventBuffer("changes", 3, snapshot)
    reading = asyncio.create_task(buffer.get())
    await asyncio.sleep(1)
    match how:
        case "put":
            buffer.put([join(1)])
        case "end":
            buffer.end()
        case _:
            buffer.start_over()
    await asyncio.wait({reading}, timeout=1)

    assert reading.done()
    if how == "end":
        assert isinstance(reading.exception(), (StopAsyncIteration, RuntimeError))


async def test_two_readers_at_once_are_an_error_and_the_first_goes_on() -> None:
    buffer = EventBuffer("stream", 3)
    reading = asyncio.create_task(buffer.get())
    await asyncio.sleep(1)
    with pytest.raises(ConcurrencyError, match="stream: has a reader already"):
        await buffer.get()
    buffer.put([join(1)])

    assert shown(await reading) == "u1"


async def test_a_reader_cancelled_at_any_step_loses_nothing() -> None:
    buffer = EventBuffer("stream", 3)
    for steps in range(4):
        reading = asyncio.create_task(buffer.get())
        await asyncio.sleep(0)
        buffer.put([join(1)])
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})
        event = await buffer.get() if reading.cancelled() else reading.result()

        assert shown(event) == "u1"
