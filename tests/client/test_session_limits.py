"""A given session of few connections: heartbeats come first there, too; promise 3."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from presence_async import (
    InvalidArgumentError,
    LeaseHealth,
    PresenceClient,
    RequestError,
)
from presence_async.client.shares import Shares
from presence_async.emulator import Fault, PresenceEmulator

LIMITS: dict[str, dict[str, Any]] = {
    "four": {"limit": 4},
    "six": {"limit": 6},
    "six to a host": {"limit": 0, "limit_per_host": 6},
    "both": {"limit": 50, "limit_per_host": 5},
    "aiohttp's default": {},
}


@contextlib.asynccontextmanager
async def limited(
    emulator: PresenceEmulator, limits: dict[str, Any], **settings: Any
) -> AsyncIterator[PresenceClient]:
    """Start a client on a session of the caller's with such limits."""
    connector = aiohttp.TCPConnector(**limits)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        PresenceClient(emulator.config(**settings), session=session) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def hanging(client: PresenceClient, number: int) -> AsyncIterator[None]:
    """Ask again and again what is never answered."""

    async def ask() -> None:
        while True:
            with contextlib.suppress(RequestError):
                await client.where_now()

    asking = [asyncio.create_task(ask()) for _ in range(number)]
    await asyncio.sleep(1)
    yield
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)


def timeouts(emulator: PresenceEmulator) -> int:
    return sum(e.action == "timeout" for e in emulator.events("lobby"))


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
async def test_hanging_queries_hold_no_heartbeat_back(
    emulator: PresenceEmulator, limits: dict[str, Any]
) -> None:
    emulator.inject(Fault(operation="where now", delay_s=math.inf))
    async with (
        limited(emulator, limits, presence_timeout_s=20) as client,
        hanging(client, 120),
    ):
        lease = await client.join("lobby", user_id="amy")
        for _ in range(20):
            await asyncio.sleep(5)
            assert lease.health is LeaseHealth.FRESH

    assert timeouts(emulator) == 0


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS)
async def test_hanging_queries_hold_no_event_back(
    emulator: PresenceEmulator, limits: dict[str, Any]
) -> None:
    emulator.inject(Fault(operation="where now", delay_s=math.inf))
    async with (
        limited(emulator, limits) as client,
        hanging(client, 120),
        client.events("lobby") as stream,
        # Its handshake goes out while the poll of the first one is held.
        client.events("garden") as other,
    ):
        await client.heartbeat(["lobby", "garden"], user_id="amy")
        async with asyncio.timeout(5):
            assert (await anext(stream)).action == "join"
            assert (await anext(other)).action == "join"


async def test_held_polls_leave_room_for_heartbeats_and_queries(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        limited(emulator, {"limit": 6}, presence_timeout_s=20) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        for n in range(4):
            # Other parameters make a poll of its own.
            events = client.events("lobby", query_params={"n": str(n)})
            await stack.enter_async_context(events)
        lease = await client.join("lobby", user_id="amy")
        for _ in range(20):
            await asyncio.sleep(5)
            await client.here_now("lobby")
            assert lease.health is LeaseHealth.FRESH

    assert timeouts(emulator) == 0
    assert caplog.text.count("its session allows only 6") == 1


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"limit": 3}, "has limit=3,"),
        ({"limit": 1, "limit_per_host": 9}, "has limit=1,"),
        ({"limit_per_host": 2}, "has limit_per_host=2,"),
    ],
)
async def test_too_few_connections_are_refused_by_name_at_the_start(
    emulator: PresenceEmulator, limits: dict[str, Any], words: str
) -> None:
    connector = aiohttp.TCPConnector(**limits)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = PresenceClient(emulator.config(), session=session)

        with pytest.raises(InvalidArgumentError, match=words) as caught:
            await client.start()

    assert caught.value.argument == "session"
    assert "at least 4" in caught.value.rule


# The gates.


@pytest.mark.parametrize("limit", [4, 5, 6, 7, 12, 100, 1000])
async def test_the_shares_never_pass_the_limit(limit: int) -> None:
    beats = min(64, limit // 3)
    shares = Shares(limit, max_connections=100, max_beats=64)

    while shares.queries.try_enter():
        pass
    assert 1 <= shares.queries.inside <= 100
    while shares.events.try_enter():
        pass
    assert shares.events.inside >= 2
    assert shares.queries.inside + shares.events.inside == limit - beats

    # However many polls there are, one query at a time goes out.
    while shares.queries.inside:
        shares.queries.leave()
        while shares.events.try_enter():
            pass
    assert shares.queries.try_enter()
    assert shares.queries.inside + shares.events.inside == limit - beats


async def test_a_poll_waits_for_the_next_place_before_any_query() -> None:
    shares = Shares(5, max_connections=100, max_beats=64)
    while shares.queries.try_enter():
        pass
    while shares.events.try_enter():
        pass
    query = asyncio.ensure_future(shares.queries.enter())
    poll = asyncio.ensure_future(shares.events.enter())
    await asyncio.sleep(0)

    shares.queries.leave()
    async with asyncio.timeout(1):
        await poll
    assert not query.done()

    shares.events.leave()
    async with asyncio.timeout(1):
        await query


async def test_a_place_given_to_one_who_is_cancelled_goes_to_the_next() -> None:
    shares = Shares(4, max_connections=100, max_beats=64)
    assert shares.queries.try_enter()
    waiters = [asyncio.ensure_future(shares.queries.enter()) for _ in range(3)]
    await asyncio.sleep(0)

    waiters[0].cancel()
    await asyncio.wait(waiters[:1])
    shares.queries.leave()
    waiters[1].cancel()
    await asyncio.wait(waiters[:2])

    await waiters[2]
    shares.queries.leave()
    assert shares.queries.inside == 0


async def test_hanging_heartbeats_take_no_more_than_their_share(
    emulator: PresenceEmulator,
) -> None:
    async with limited(emulator, {"limit": 6}, presence_timeout_s=20) as client:
        for n in range(30):
            await client.join("lobby", user_id=f"user-{n}")
        emulator.inject(Fault(operation="heartbeat", delay_s=math.inf))
        for _ in range(60):
            await asyncio.sleep(1)
            asked_s = asyncio.get_running_loop().time()
            await client.where_now()
            assert asyncio.get_running_loop().time() == asked_s
