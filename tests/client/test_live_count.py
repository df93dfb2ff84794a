"""Live counts: opening, following, healing, closing; and what they cost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from yarl import URL

from presence_async import (
    ClientClosedError,
    ConcurrencyError,
    DeadlineError,
    InvalidArgumentError,
    LiveCount,
    PresenceClient,
    PresenceConfig,
    StreamHealth,
    UnavailableError,
)
from presence_async.client.roster import RECONCILE_PERIOD_S
from presence_async.emulator import EventFault, Fault, PresenceEmulator

from .outages import KINDS, outage
from .test_events_other_loop import check, read_one

CHANNEL = "lobby"


@asynccontextmanager
async def watched(
    **options: Any,
) -> AsyncIterator[tuple[PresenceEmulator, PresenceClient, LiveCount]]:
    """A service, a client for the users of the channel, and a count of it."""
    async with (
        PresenceEmulator(**options) as emulator,
        PresenceClient(emulator.config(user_id="watcher")) as watcher,
        PresenceClient(emulator.config(user_id="users")) as users,
        watcher.live_count(CHANNEL) as live,
    ):
        yield emulator, users, live


async def come(client: PresenceClient, users: int, first: int = 0) -> None:
    gate = asyncio.Semaphore(50)

    async def one(n: int) -> None:
        async with gate:
            await client.heartbeat(
                CHANNEL, user_id=f"user-{n}", presence_timeout_s=3000
            )

    await asyncio.gather(*map(one, range(first, first + users)))


async def test_entering_subscribes_asks_for_the_number_and_keeps_it(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    await come(client, 3)
    emulator.requests.clear()

    async with client.live_count(CHANNEL) as live:
        asked = [
            (r.operation, r.params.get("disable_uuids")) for r in emulator.requests
        ]
        assert asked[0][0] == "subscribe"
        assert ("here now", "1") in asked
        assert ("here now", None) not in asked
        assert (live.channel, live.count, live.health) == (
            CHANNEL,
            3,
            StreamHealth.LIVE,
        )
        before = live.health
        assert repr(live) == "<LiveCount of 'lobby': 3 here, not in sync>"
        entered = live.as_of
        await live.wait_for(lambda x: x.is_synced, timeout_s=6)

        await client.leave(CHANNEL, user_id="user-0")
        await live.wait_for(lambda x: x.count == 2, timeout_s=1)
        assert live.as_of > entered
    assert (before, live.health) == (StreamHealth.LIVE, StreamHealth.CLOSED)
    assert live.count == 2
    assert "bob" not in emulator.occupants(CHANNEL), "watching makes nobody present"


async def test_readers_get_the_present_number_then_changes_the_slow_one_the_latest(
    client: PresenceClient,
) -> None:
    read: list[int] = []

    async def follow(live: LiveCount) -> None:
        async for count in live:
            read.append(count)  # noqa: PERF401  # as it comes

    async with client.live_count(CHANNEL) as live:
        slow = live.changes()
        reading = asyncio.create_task(follow(live))
        assert await anext(slow) == 0
        for n in range(3):
            await client.heartbeat(CHANNEL, user_id=f"user-{n}")
            await asyncio.sleep(1)
        await client.set_state(CHANNEL, state={"n": 1}, user_id="user-0")
        await asyncio.sleep(1)

        assert await anext(slow) == 3
        late = live.changes()
    await reading

    assert read == [0, 1, 2, 3]
    assert [count async for count in late] == [3]
    assert [count async for count in slow] == []
    assert [count async for count in live] == [3]


async def test_a_cancelled_reader_loses_nothing(client: PresenceClient) -> None:
    async with client.live_count(CHANNEL) as live:
        changes = live.changes()
        assert await anext(changes) == 0
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait({waiting})
        await client.heartbeat(CHANNEL, user_id="amy")

        assert await anext(changes) == 1
    assert waiting.cancelled()


async def test_what_never_opened_says_so(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    live = client.live_count(CHANNEL)
    assert live.health is StreamHealth.CLOSED
    assert repr(live) == f"<LiveCount of {CHANNEL!r}: not open>"
    for use in (lambda: live.as_of, lambda: live.count, live.changes, live.__aiter__):
        with pytest.raises(ClientClosedError, match="not open; use 'async with'"):
            use()
    with pytest.raises(ClientClosedError):
        await live.wait_for(lambda x: x.count)

    emulator.inject(Fault(operation="here now", status=503))
    with pytest.raises(UnavailableError):
        await live.__aenter__()
    with pytest.raises(ConcurrencyError, match=r"live_count\(\)"):
        await live.__aenter__()
    with pytest.raises(InvalidArgumentError, match="a live count is of one channel"):
        client.live_count("a.*")


async def test_waiting_in_vain_and_an_opening_without_answer_end_in_time(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    async with client.live_count(CHANNEL) as live:
        with pytest.raises(DeadlineError, match="waiting for a live count failed"):
            await live.wait_for(lambda x: x.count == 9, timeout_s=2)
    emulator.inject(Fault(operation="here now", delay_s=math.inf))
    with pytest.raises(DeadlineError):
        async with client.live_count(CHANNEL, timeout_s=3):
            pass


async def test_cancelling_the_opening_anywhere_leaves_nothing(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    for steps in range(40):
        live = client.live_count(CHANNEL)
        opening = asyncio.create_task(live.__aenter__())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled():
            await live.close()
        assert live.health is StreamHealth.CLOSED
    await asyncio.sleep(1)

    names = [task.get_name() for task in asyncio.all_tasks()]
    assert not [name for name in names if "live count" in name]
    polls = len(emulator.requests.of("subscribe"))
    await asyncio.sleep(600)
    assert len(emulator.requests.of("subscribe")) == polls


async def test_closing_the_client_ends_readers_and_waiters(
    config: PresenceConfig,
) -> None:
    async with PresenceClient(config) as client:
        live = await client.live_count(CHANNEL).__aenter__()
        changes = live.changes()
        await anext(changes)
        reading = asyncio.ensure_future(anext(changes, None))
        waiting = asyncio.create_task(live.wait_for(lambda x: x.count))
        await asyncio.sleep(1)

    assert await reading is None
    with pytest.raises(ClientClosedError):
        await waiting


async def test_it_belongs_to_its_loop(client: PresenceClient) -> None:
    async with client.live_count(CHANNEL) as live:
        changes = live.changes()
        for make in (
            live.close,
            live.__aenter__,
            lambda: live.wait_for(lambda x: True),  # noqa: ARG005  # always
            lambda: read_one(live),
            lambda: read_one(changes),
        ):
            check(make)
        assert await anext(changes) == 0


# Healing.


@pytest.mark.parametrize("kind", ["cut", "half-open", "503"])
async def test_after_an_outage_it_is_right_again(kind: str) -> None:
    assert kind in KINDS
    async with watched() as (emulator, users, live):
        await come(users, 4)
        await asyncio.sleep(6)
        assert live.is_synced
        for operation in ("subscribe", "here now"):
            emulator.inject(outage(kind, operation, for_s=300))
        # A poll that is held would only notice with the next event.
        emulator.inject(EventFault(drop=1, for_s=300))
        await users.leave(CHANNEL, user_id="user-0")
        await asyncio.sleep(299)
        assert live.count == 4

        await asyncio.sleep(1 + RECONCILE_PERIOD_S)

        assert live.count == 3
        await live.wait_for(lambda x: x.is_synced, timeout_s=10)


async def test_an_event_lost_without_a_trace_costs_one_period() -> None:
    async with watched() as (emulator, users, live):
        await live.wait_for(lambda x: x.is_synced)
        emulator.inject(EventFault(drop=1, for_s=1))
        await come(users, 1)

        await live.wait_for(lambda x: x.count == 1, timeout_s=RECONCILE_PERIOD_S)


async def test_a_restart_with_other_timetokens_is_survived() -> None:
    async with watched() as (emulator, users, live):
        await come(users, 2)
        await asyncio.sleep(30)

        emulator.restart_timetokens(-3600)
        await asyncio.sleep(5)
        await users.leave(CHANNEL, user_id="user-0")
        await live.wait_for(lambda x: x.count == 1, timeout_s=2)

        await asyncio.sleep(RECONCILE_PERIOD_S)
        assert (live.count, live.is_synced) == (1, True)


async def test_a_cached_answer_undoes_no_event() -> None:
    async with watched(here_now_cache_s=3) as (_, users, live):
        await asyncio.sleep(7)
        changes = live.changes()
        read = [await anext(changes)]
        for n in range(8):
            await come(users, 1, n)
            await asyncio.sleep(2.5)
            read.append(await anext(changes))

        assert read == list(range(9))


async def test_an_answer_that_says_it_is_old_confirms_nothing() -> None:
    nobody = b'{"status":200,"message":"OK","service":"Presence","occupancy":0}'
    async with watched() as (emulator, _, live):
        emulator.inject(Fault(operation="here now", body=nobody, age_s=60, for_s=60))
        await asyncio.sleep(59)
        assert not live.is_synced
        await live.wait_for(lambda x: x.is_synced, timeout_s=RECONCILE_PERIOD_S)


async def test_a_crowd_crossing_into_interval_mode_and_back_is_followed() -> None:
    async with watched(announce_max=20, interval_s=10) as (_, users, live):
        await come(users, 60)
        await live.wait_for(lambda x: x.count == 60, timeout_s=10.5)
        for n in range(55):
            await users.leave(CHANNEL, user_id=f"user-{n}")
        await live.wait_for(lambda x: x.count == 5, timeout_s=1)
        await asyncio.sleep(RECONCILE_PERIOD_S)
        assert (live.count, live.is_synced) == (5, True)


async def test_a_crash_is_logged_and_healed(
    client: PresenceClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise OverflowError("nobody expected this")

    async with client.live_count(CHANNEL) as live:
        await live.wait_for(lambda x: x.is_synced)
        with monkeypatch.context() as patch:
            patch.setattr("presence_async.roster.count.CountState.apply", crash)
            await client.heartbeat(CHANNEL, user_id="amy", presence_timeout_s=900)
            await asyncio.sleep(1)
            was_synced = live.is_synced
        await live.wait_for(
            lambda x: x.is_synced and x.count == 1, timeout_s=RECONCILE_PERIOD_S
        )

    assert not was_synced
    assert "the live count of lobby crashed on events" in caplog.text


# What it costs.


def crowd(emulator: PresenceEmulator, users: int) -> None:
    """Put users on the channel, without the time that their heartbeats take."""
    occupancy = emulator._server.service.keyset("demo").occupancy
    for n in range(users):
        occupancy.heartbeat(f"user-{n}", [CHANNEL], timeout_s=1e6, states={}, now_s=0.0)


async def answer_bytes(emulator: PresenceEmulator) -> int:
    """Ask once more what was asked last; return the size of the whole answer."""
    last = emulator.requests.of("here now")[-1]
    url = URL(f"http://{emulator.origin}{last.path}?{last.query}", encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        headers = sum(len(k) + len(v) for k, v in response.raw_headers)
        return headers + len(await response.read())


async def test_a_room_of_thousands_costs_the_same_and_calm_costs_little() -> None:
    async with watched() as (emulator, _, live):
        before = await answer_bytes(emulator)
        crowd(emulator, 5000)
        await live.wait_for(lambda x: x.count == 5000, timeout_s=RECONCILE_PERIOD_S)
        after = await answer_bytes(emulator)
        state = live._sync._state
        kept = [*vars(state).values(), *vars(state._clock).values()]
        asked = len(emulator.requests.of("here now"))
        await asyncio.sleep(3600)

        # Of the number itself, and of the length in the headers.
        assert 0 <= after - before <= 4
        assert not [x for x in kept if isinstance(x, Collection) and x != CHANNEL]
        requests = emulator.requests.of("here now")[asked:]
        assert 12 <= len(requests) <= 65
        assert {request.params.get("disable_uuids") for request in requests} == {"1"}
