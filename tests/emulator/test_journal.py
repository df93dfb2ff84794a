"""The journal of requests, above all the status of each answer."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import attrs
import pytest

from presence_async.emulator import Fault, PresenceEmulator
from presence_async.emulator.journal import Journal, JournalEntry

KEY = "/v2/presence/sub-key/demo"
BEAT = f"{KEY}/channel/a/heartbeat?uuid=bob"
POLL = "/v2/subscribe/demo/a-pnpres/0?uuid=eve&tt=1"


def entry(**fields: Any) -> JournalEntry:
    plain: dict[str, Any] = {
        "at_s": 0.0,
        "operation": "heartbeat",
        "subscribe_key": "demo",
        "path": "/",
        "query": "",
        "params": {},
        "user_id": "bob",
    }
    return JournalEntry(**{**plain, **fields})


async def hang_up(emulator: PresenceEmulator, target: str) -> None:
    """Send a request, and close the connection while it is pending."""
    host, port = emulator.origin.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await asyncio.sleep(1)
    assert [entry.status for entry in emulator.requests] == [None]
    writer.close()
    await asyncio.sleep(1)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", BEAT, 200),
        ("GET", "/time/0", 200),
        ("GET", f"{KEY}/channel/a/heartbeat", 400),
        ("GET", "/nowhere", 404),
        ("GET", "http://user:word@h/time/0", 400),
        ("POST", BEAT, 405),
        ("OPTIONS", "*", 200),
        ("GET", f"{BEAT}&x={'x' * 33_000}", 414),
    ],
    ids=["beat", "time", "no user", "path", "target", "method", "options", "long"],
)
async def test_each_answer_is_recorded(
    wire: Any, emulator: PresenceEmulator, method: str, target: str, status: int
) -> None:
    found, _, _ = await wire.ask(target, method=method)

    assert [found, *[entry.status for entry in emulator.requests]] == [status, status]


async def test_refusals_at_the_door_are_recorded(wire: Any) -> None:
    async with PresenceEmulator(access={}, max_requests_per_s=1) as emulator:
        for _ in range(2):
            await wire.to(emulator).ask(BEAT)

        assert [entry.status for entry in emulator.requests] == [403, 429]


@pytest.mark.parametrize("at", ["before_effect", "after_effect"])
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"status": 503}, 503),
        ({"body": b"<html>"}, 200),
        ({"delay_s": 3600}, 200),
        ({"cut": True}, "cut"),
    ],
    ids=["status", "body", "delay", "cut"],
)
async def test_the_answer_of_a_fault_is_recorded(
    wire: Any, emulator: PresenceEmulator, fault: Any, status: int | str, at: Any
) -> None:
    emulator.inject(Fault(at=at, **fault))

    asking = asyncio.create_task(
        wire.exchange(b"GET %s HTTP/1.0\r\n\r\n" % BEAT.encode())
    )
    await asking

    assert [entry.status for entry in emulator.requests] == [status]


async def test_a_poll_is_pending_until_it_is_answered(
    wire: Any, emulator: PresenceEmulator
) -> None:
    polling = asyncio.create_task(wire.ask(POLL))
    await asyncio.sleep(100)
    pending = [entry.status for entry in emulator.requests]

    await wire.ask(BEAT)
    await polling

    assert pending == [None]
    assert [entry.status for entry in emulator.requests] == [200, 200]


@pytest.mark.parametrize(
    "fault",
    [None, {"delay_s": math.inf}, {"delay_s": math.inf, "at": "after_effect"}],
    ids=["poll", "stall", "stall after the effect"],
)
async def test_a_client_that_hangs_up_got_no_answer(
    emulator: PresenceEmulator, fault: Any
) -> None:
    if fault is not None:
        emulator.inject(Fault(**fault))

    await hang_up(emulator, POLL if fault is None else BEAT)

    assert [entry.status for entry in emulator.requests] == ["cut"]


async def test_an_answer_after_the_client_hung_up_is_recorded_as_cut(
    emulator: PresenceEmulator,
) -> None:
    emulator.inject(Fault(delay_s=60))

    await hang_up(emulator, BEAT)
    await asyncio.sleep(60)

    assert set(emulator.occupants("a")) == {"bob"}
    assert [entry.status for entry in emulator.requests] == ["cut"]


async def test_requests_pending_when_the_emulator_closes_are_cut(wire: Any) -> None:
    emulator = await PresenceEmulator().start()
    emulator.inject(Fault(operation="heartbeat", delay_s=3600))
    here = wire.to(emulator)
    asking = [asyncio.create_task(here.ask(target)) for target in (POLL, BEAT)]
    await asyncio.sleep(1)

    await emulator.close()
    await asyncio.wait(asking)

    assert [entry.status for entry in emulator.requests] == ["cut", "cut"]
    assert all(task.exception() is not None for task in asking)


async def test_the_control_path_tells_each_status(
    wire: Any, emulator: PresenceEmulator
) -> None:
    polling = asyncio.create_task(wire.ask(POLL))
    await asyncio.sleep(1)
    emulator.inject(Fault(cut=True, times=1))
    await wire.exchange(b"GET /time/0 HTTP/1.0\r\n\r\n")

    _, body = await wire.get("/_emulator/requests")
    await wire.ask(BEAT)
    await polling

    assert [entry["status"] for entry in body["requests"]] == [None, "cut"]
    assert emulator.requests[0].status == 200


def test_only_the_status_of_an_entry_changes() -> None:
    changed = entry()

    changed.status = 200

    assert changed == entry(status=200)
    with pytest.raises(attrs.exceptions.FrozenAttributeError):
        changed.user_id = "eve"


def test_the_newest_entries_are_kept_and_all_are_counted() -> None:
    journal = Journal(2)
    for number in range(5):
        journal.add(entry(operation=f"o{number}"))

    assert (journal.total, len(journal)) == (5, 2)
    assert [e.operation for e in journal] == ["o3", "o4"]
    assert [e.operation for e in journal[::-1]] == ["o4", "o3"]
    assert [e.operation for e in journal[1:]] == ["o4"]
    assert (journal[-1].operation, journal.of("o3")) == ("o4", [journal[0]])
