"""One warning where a user is acknowledged on a channel and nobody is listed there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from presence_async import PresenceClient
from presence_async.emulator import EmulatorProfile, Fault, PresenceEmulator

NOBODY = b'{"status":200,"message":"OK","service":"Presence","uuids":[],"occupancy":0}'
UNTRACKED: Mapping[str, Any] = {
    "profile": EmulatorProfile(tracked_channels=["tracked", "other-*"])
}


@asynccontextmanager
async def served(
    **options: Any,
) -> AsyncIterator[tuple[PresenceEmulator, PresenceClient]]:
    async with (
        PresenceEmulator(**options) as emulator,
        PresenceClient(emulator.config(user_id="bob")) as client,
    ):
        yield emulator, client


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    messages = [(r.levelname, r.getMessage()) for r in caplog.records]
    return [text for level, text in messages if "not listed" in text or level != "INFO"]


async def test_an_untracked_channel_is_warned_of_once_and_names_the_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(**UNTRACKED) as (_, client):
        lease = await client.join(["lobby", "tracked"])
        await client.here_now(["lobby", "tracked"])
        await asyncio.sleep(9)
        await client.here_now("lobby")
        assert not warnings(caplog)

        await asyncio.sleep(2)
        for _ in range(3):
            await client.here_now(["lobby", "tracked", "elsewhere"])
            await client.here_now("lobby", include_user_ids=False)
            await asyncio.sleep(60)
        await lease.leave()

    (warning,) = warnings(caplog)
    assert warning.startswith(
        "bob is acknowledged but not listed on channel 'lobby': the keyset may track"
    )
    assert "Presence Management" in warning


@pytest.mark.parametrize("follow", ["roster", "live_count"])
async def test_a_roster_and_a_live_count_notice_it_by_themselves(
    caplog: pytest.LogCaptureFixture, follow: str
) -> None:
    async with (
        served(**UNTRACKED) as (_, client),
        client.join("lobby"),
        getattr(client, follow)("lobby"),
    ):
        await asyncio.sleep(9)
        assert not warnings(caplog)
        await asyncio.sleep(600)

    assert len(warnings(caplog)) == 1


@pytest.mark.parametrize("timeout_s", [10, 20, 300])
async def test_however_often_heartbeats_are_sent(
    caplog: pytest.LogCaptureFixture, timeout_s: int
) -> None:
    async with (
        served(**UNTRACKED) as (_, client),
        client.join("lobby", presence_timeout_s=timeout_s),
    ):
        for _ in range(5):
            await asyncio.sleep(7)
            await client.here_now("lobby")

    assert len(warnings(caplog)) == 1


async def test_nothing_is_said_where_the_channel_is_tracked_and_answers_are_cached(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(profile=EmulatorProfile(here_now_cache_s=3)) as (_, client):
        for _ in range(30):
            async with client.join("lobby"), client.roster("lobby"):
                await client.here_now("lobby")
                await asyncio.sleep(0.7)
            await client.here_now("lobby")
            await asyncio.sleep(1.6)

    assert not warnings(caplog)


async def test_nothing_is_said_of_what_proves_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A partial list, an old answer, the whole key set, members of a group, others."""
    async with served() as (emulator, client):
        await client.add_channels("g", "lobby")
        await client.heartbeat("passing")
        lease = await client.join("lobby")
        await asyncio.sleep(20)
        emulator.inject(Fault(operation="here now", body=NOBODY, times=1))
        await client.here_now("lobby", offset=5)
        emulator.inject(Fault(operation="here now", body=NOBODY, age_s=30, times=1))
        await client.here_now("lobby")
        nobody = b'{"status":200,"payload":{"channels":{},"total_channels":0,'
        nobody += b'"total_occupancy":0}}'
        emulator.inject(Fault(operation="here now", body=nobody, times=2))
        await client.here_now()
        await client.here_now(channel_groups="g")
        emulator.inject(Fault(operation="here now", body=NOBODY, for_s=9))
        await client.here_now("passing")
        await client.here_now("elsewhere")
        await lease.leave()
        await client.here_now("lobby")

    assert not warnings(caplog)


async def test_nothing_is_said_after_it_was_listed_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another process may leave the user any time."""
    async with served() as (emulator, client), client.join("lobby"):
        await asyncio.sleep(20)
        await client.here_now("lobby")
        emulator.inject(Fault(operation="here now", body=NOBODY))
        await client.here_now("lobby")

    assert not warnings(caplog)


async def test_a_user_of_another_client_is_none_of_its_business(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with (
        served(**UNTRACKED) as (emulator, client),
        PresenceClient(emulator.config(user_id="watcher")) as watcher,
        client.join("lobby"),
        watcher.join("tracked"),
    ):
        await asyncio.sleep(20)
        await watcher.here_now("lobby")

    assert not warnings(caplog)


async def test_during_an_outage_and_soon_after_it_nothing_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served() as (emulator, client), client.join("lobby") as lease:
        emulator.inject(Fault(operation="heartbeat", status=503, for_s=400))
        emulator.inject(Fault(operation="here now", body=NOBODY, for_s=420))
        await asyncio.sleep(200)
        caplog.clear()
        while not lease.remaining_s or lease.health != "fresh":
            await client.here_now("lobby")
            await asyncio.sleep(1)
        for _ in range(9):
            await client.here_now("lobby")
            await asyncio.sleep(1)

    assert not [text for text in warnings(caplog) if "not listed" in text]
