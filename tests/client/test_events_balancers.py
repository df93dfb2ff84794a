"""Balancers and proxies that end idle polls: no trouble, and nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from presence_async import GapEvent, PresenceClient, StreamHealth
from presence_async.emulator import Fault, PresenceEmulator

from .subscribe_service import (
    HANG,
    UNITS_PER_S,
    Say,
    SubscribeService,
    read,
    read_all,
    users,
)

ENDS = {
    "cut": Say(None),
    "nginx": Say(b"<html>504 Gateway Time-out</html>", 504),
    "envoy": Say(b"stream timeout", 408),
    "cloudflare": Say(b"error code: 524", 524),
}


@pytest.mark.parametrize("idle_s", [10, 60, 240])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_idle_polls_that_are_ended_go_on_in_silence(
    watcher: PresenceClient,
    service: SubscribeService,
    caplog: pytest.LogCaptureFixture,
    end: Say,
    idle_s: float,
) -> None:
    caplog.set_level(logging.INFO, "presence_async.client")
    service.idle_s, service.idle_end = idle_s, end
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(3600)
        healths = {stream.health}
        asked = len(service.asked)
        service.publish("lobby", "amy")
        events = await read(stream, 1)

    assert users(events) == ["amy"]
    assert healths == {StreamHealth.LIVE}
    assert caplog.records == []
    assert asked <= 2 * 3600 / idle_s + 2


async def test_each_repeats_the_cursor_on_a_new_connection_and_says_so_at_debug(
    watcher: PresenceClient, service: SubscribeService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "presence_async.client")
    service.idle_s = 60
    async with watcher.events("lobby"):
        await asyncio.sleep(200)

    assert len({asked.tt for asked in service.polls}) == 1
    gaps_s = [b.at_s - a.at_s for a, b in itertools.pairwise(service.polls)]
    assert all(60 <= gap_s < 60.1 for gap_s in gaps_s)
    lines = [r for r in caplog.records if "idle event poll" in r.getMessage()]
    assert {line.levelname for line in lines} == {"DEBUG"}
    assert len(lines) == 3


async def test_what_is_published_while_a_poll_is_being_repeated_is_heard(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    service.idle_s = 10
    async with watcher.events("lobby") as stream:
        for n in range(100):
            await asyncio.sleep(9.9 + n / 500)
            service.publish("lobby", f"u{n}")
        await asyncio.sleep(1)

        assert users(await read_all(stream)) == [f"u{n}" for n in range(100)]


async def test_a_full_queue_after_idle_ends_is_a_gap(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    service.idle_s = 60
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(3601)
        service.script = lambda asked: HANG if asked.tt else None
        await asyncio.sleep(60)
        for n in range(150):
            service.publish("lobby", f"u{n}")
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        await asyncio.sleep(400)
        first, *others = await read_all(stream)

    assert isinstance(first, GapEvent)
    assert first.reason == "service_queue"
    assert users(others) == [f"u{n}" for n in range(50, 150)]


async def test_a_restart_that_ends_idle_polls_is_noticed(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.events("lobby") as stream:
        await asyncio.sleep(100)
        emulator.restart_timetokens(-3600)
        await asyncio.sleep(1)
        await client.heartbeat("lobby", user_id="bob")
        await asyncio.sleep(1)

        assert users(await read_all(stream)) == ["reconnect", "bob"]


async def test_a_service_restarted_behind_a_balancer_is_noticed(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    service.idle_s = 60
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(30)
        service.offset -= 3600 * UNITS_PER_S
        await asyncio.sleep(31)
        service.publish("lobby", "amy")
        await asyncio.sleep(1)

        assert users(await read_all(stream)) == ["reconnect", "amy"]


async def test_what_ends_polls_at_once_is_trouble(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    service.idle_s = 1
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(600)

        assert len(service.asked) < 600
        healths = set()
        for _ in range(100):
            await asyncio.sleep(0.3)
            healths.add(stream.health)
    assert StreamHealth.RECONNECTING in healths


async def test_an_outage_that_begins_with_an_idle_end_is_trouble(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.events("lobby") as stream:
        await asyncio.sleep(100)
        emulator.inject(Fault(operation="subscribe", cut=True, for_s=60))
        emulator.restart_timetokens(0)
        await asyncio.sleep(1)

        assert stream.health is StreamHealth.RECONNECTING


async def test_a_roster_in_calm_stays_calm(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.roster("lobby") as roster:
        await asyncio.sleep(7200)
        calm = len(emulator.requests.of("here now"))
        for _ in range(60):
            await asyncio.sleep(60)
            # It cuts every poll that is held.
            emulator.restart_timetokens(0)

        assert len(emulator.requests.of("here now")) - calm < 20
        assert roster.is_synced
