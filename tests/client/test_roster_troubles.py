"""Rosters in trouble: lost events, failing polls, outages, restarts, crowds."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from presence_async import (
    AccessDeniedError,
    GapEvent,
    JoinEvent,
    LeaveEvent,
    PresenceClient,
    PresenceEvent,
    Roster,
    RosterChanges,
    SnapshotEvent,
    StateChangeEvent,
    StreamHealth,
    TimeoutEvent,
    UserEvent,
)
from presence_async.client.roster import RECONCILE_PERIOD_S
from presence_async.emulator import EventFault, Fault, Grant, PresenceEmulator
from presence_async.roster.schedule import SETTLE_S

from .outages import KINDS, outage

pytestmark = pytest.mark.slow

CHANNEL = "lobby"
LONG_OUTAGE_S = 30
# Where a poll notices late that the outage is over: it hangs, or was asked to wait.
HELD_UP = {"half-open", "slow", "503"}
TROUBLE_S = 30.0


class Observer:
    """Knows the roster from a reader's events alone."""

    def __init__(self, changes: RosterChanges) -> None:
        self.changes = changes
        self.seen: dict[str, object] = {}
        self.heard: list[PresenceEvent] = []

    async def read(self) -> None:
        async for event in self.changes:
            self.heard.append(event)
            self.hear(event)

    def hear(self, event: PresenceEvent) -> None:
        if isinstance(event, SnapshotEvent):
            self.seen = {o.user_id: o.state or {} for o in event.occupants}
        if not isinstance(event, UserEvent):
            return
        is_here = event.user_id in self.seen
        match event:
            case JoinEvent():
                assert not is_here, f"a second join of {event.user_id}"
                self.seen[event.user_id] = event.state or {}
            case LeaveEvent() | TimeoutEvent():
                assert is_here, f"a second leave of {event.user_id}"
                del self.seen[event.user_id]
            case _:
                assert isinstance(event, StateChangeEvent)
                assert is_here, f"a state of {event.user_id}, who is absent"
                self.seen[event.user_id] = event.state or {}


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[PresenceEmulator, PresenceClient, Roster]]:
    """A service, a client for the users of the channel, and a roster of it."""
    async with (
        PresenceEmulator() as emulator,
        PresenceClient(emulator.config(user_id="watcher")) as watcher,
        PresenceClient(emulator.config(user_id="users")) as users,
        watcher.roster(CHANNEL) as roster,
    ):
        yield emulator, users, roster


def held(roster: Roster) -> dict[str, object]:
    return {o.user_id: o.state or {} for o in roster.occupants}


async def act(
    client: PresenceClient, emulator: PresenceEmulator, rng: random.Random, users: int
) -> None:
    """Let one user of several come, go or change."""
    user_id = f"user-{rng.randrange(users)}"
    if user_id not in emulator.occupants(CHANNEL):
        state = rng.choice((None, {"n": rng.random()}))
        timeout_s = rng.choice((3, 300))
        await client.heartbeat(
            CHANNEL, user_id=user_id, state=state, presence_timeout_s=timeout_s
        )
    elif rng.random() < 0.3:
        state = {"n": rng.random()}
        await client.set_state(CHANNEL, user_id=user_id, state=state)
    else:
        await client.leave(CHANNEL, user_id=user_id)


async def come_and_go(
    client: PresenceClient,
    emulator: PresenceEmulator,
    rng: random.Random,
    *,
    for_s: float,
    pace_s: float,
    users: int = 12,
) -> None:
    loop = asyncio.get_running_loop()
    end_s = loop.time() + for_s
    while (pause_s := rng.expovariate(1 / pace_s)) < end_s - loop.time():
        await asyncio.sleep(pause_s)
        await act(client, emulator, rng, users)
    await asyncio.sleep(max(0, end_s - loop.time()))


async def troubled_schedule(seed: int, *, here_now_cache_s: float = 0) -> None:
    rng = random.Random(seed)  # noqa: S311  # repeatable, guards nothing
    async with (
        PresenceEmulator(here_now_cache_s=here_now_cache_s) as emulator,
        PresenceClient(emulator.config(user_id="users")) as users,
        PresenceClient(emulator.config(user_id="watcher")) as client,
        client.roster(CHANNEL) as roster,
    ):
        observer = Observer(roster.changes())
        reading = asyncio.create_task(observer.read())
        share = 0.2 / 3
        emulator.inject(
            EventFault(
                drop=share,
                duplicate=share,
                reorder=share,
                spread_s=rng.choice((0.5, 3.0, 8.0)),
                for_s=TROUBLE_S,
                seed=seed,
            )
        )
        emulator.inject(
            Fault(
                operation="subscribe",
                probability=0.1,
                for_s=TROUBLE_S,
                seed=seed,
                **rng.choice(({"status": 503}, {"cut": True}, {"body": b"<html>"})),
            )
        )
        pace_s = rng.choice((0.1, 0.5, 3.0))
        await come_and_go(users, emulator, rng, for_s=TROUBLE_S, pace_s=pace_s)

        # Users who came for three seconds are timed out meanwhile.
        await asyncio.sleep(RECONCILE_PERIOD_S)
        assert held(roster) == dict(emulator.occupants(CHANNEL))
        assert roster.is_synced
        await come_and_go(users, emulator, rng, for_s=5, pace_s=0.3)
        await asyncio.sleep(1)
        assert set(roster.user_ids) == set(emulator.occupants(CHANNEL))

        await roster.close()
        await reading
        assert observer.seen == held(roster)


@pytest.mark.parametrize("seed", range(30))
async def test_a_reconcile_period_after_the_trouble_it_is_right(seed: int) -> None:
    await troubled_schedule(seed, here_now_cache_s=3 * (seed % 2))


@pytest.mark.parametrize("has_deltas", [True, False], ids=["deltas", "none"])
async def test_a_crowd_crossing_into_interval_mode_and_back_is_followed(
    has_deltas: bool,
) -> None:
    """A small version of 5,000 users who come and go."""
    rng = random.Random(1)  # noqa: S311  # repeatable, guards nothing
    async with (
        PresenceEmulator(
            announce_max=20, interval_s=10, presence_deltas=has_deltas
        ) as emulator,
        PresenceClient(emulator.config(user_id="users")) as users,
        PresenceClient(emulator.config(user_id="watcher")) as client,
        client.roster(CHANNEL) as roster,
    ):
        observer = Observer(roster.changes(buffer_size=100_000))
        reading = asyncio.create_task(observer.read())
        names = [f"user-{n}" for n in range(60)]
        for user_id in names:
            await users.heartbeat(CHANNEL, user_id=user_id, state={"of": user_id})
            await asyncio.sleep(rng.uniform(0, 0.5))
        await asyncio.sleep(10 + RECONCILE_PERIOD_S)
        assert held(roster) == dict(emulator.occupants(CHANNEL))
        assert roster.occupancy == 60

        for user_id in names[:55]:
            await users.leave(CHANNEL, user_id=user_id)
            await asyncio.sleep(rng.uniform(0, 0.5))
        await asyncio.sleep(10 + RECONCILE_PERIOD_S)
        assert set(roster.user_ids) == set(names[55:])
        assert roster.is_synced

        await users.leave(CHANNEL, user_id=names[55])
        await roster.wait_for(lambda r: names[55] not in r.user_ids, timeout_s=1)
        await roster.close()
        await reading
        assert set(observer.seen) == set(names[56:])


@pytest.mark.parametrize("outage_s", [1, 20, 300, 1800])
@pytest.mark.parametrize("kind", KINDS)
async def test_after_an_outage_it_is_right_again(kind: str, outage_s: float) -> None:
    async with watched() as (emulator, users, roster):
        await users.heartbeat(CHANNEL, user_id="goes", presence_timeout_s=3000)
        await asyncio.sleep(6)
        assert roster.is_synced
        for operation in ("subscribe", "here now"):
            emulator.inject(outage(kind, operation, for_s=outage_s))
        # A poll that is held would only notice with the next event.
        emulator.inject(EventFault(drop=1, for_s=outage_s))
        await users.leave(CHANNEL, user_id="goes")
        await users.heartbeat(CHANNEL, user_id="comes", presence_timeout_s=3000)

        before = len(emulator.requests.of("here now"))
        await asyncio.sleep(outage_s + RECONCILE_PERIOD_S)

        assert set(roster.user_ids) == {"comes"}
        asked = len(emulator.requests.of("here now")) - before
        assert asked <= (outage_s + RECONCILE_PERIOD_S) / 3 + 1
        if kind in HELD_UP and outage_s > LONG_OUTAGE_S:
            # Events are back only at the end of these 15 s. What was missed is settled
            # by a snapshot asked for SETTLE_S later, or 3 s more.
            await asyncio.sleep(SETTLE_S + 4)
        assert roster.is_synced


async def test_after_a_long_outage_it_is_not_trusted_unasked() -> None:
    async with (
        PresenceEmulator() as emulator,
        PresenceClient(emulator.config(user_id="watcher")) as client,
        client.roster(CHANNEL) as roster,
    ):
        await roster.wait_for(lambda r: r.is_synced)
        emulator.inject(Fault(operation="subscribe", status=503, for_s=60))
        await client.heartbeat(CHANNEL, user_id="alice")
        await roster.wait_for(lambda r: r.health is StreamHealth.RECONNECTING)

        await roster.wait_for(lambda r: r.health is StreamHealth.LIVE)

        assert not roster.is_synced
        await roster.wait_for(lambda r: r.is_synced, timeout_s=RECONCILE_PERIOD_S)


async def test_a_restart_with_other_timetokens_is_survived() -> None:
    async with watched() as (emulator, users, roster):
        await users.heartbeat(CHANNEL, user_id="alice")
        await asyncio.sleep(30)

        emulator.restart_timetokens(-3600)
        await asyncio.sleep(5)
        await users.leave(CHANNEL, user_id="alice")
        await users.heartbeat(CHANNEL, user_id="bob")
        await roster.wait_for(lambda r: r.user_ids == {"bob"}, timeout_s=2)

        await asyncio.sleep(RECONCILE_PERIOD_S)
        assert roster.is_synced


async def test_a_poll_that_hangs_is_bridged_by_here_now() -> None:
    async with watched() as (emulator, users, roster):
        emulator.inject(Fault(operation="subscribe", delay_s=math.inf, for_s=600))
        # The poll held already brings this one, the next hangs.
        await users.heartbeat(CHANNEL, user_id="first")
        await asyncio.sleep(1)

        await users.heartbeat(CHANNEL, user_id="alice")
        await roster.wait_for(
            lambda r: "alice" in r.user_ids, timeout_s=RECONCILE_PERIOD_S
        )

        assert roster.health is StreamHealth.LIVE


async def test_an_event_lost_without_a_trace_costs_one_period() -> None:
    async with watched() as (emulator, users, roster):
        changes = roster.changes()
        await anext(changes)
        emulator.inject(EventFault(drop=1, for_s=1))
        await users.heartbeat(CHANNEL, user_id="alice", state={"a": 1})

        event = await anext(changes)

        assert isinstance(event, JoinEvent)
        assert (event.user_id, event.state, event.synthesized) == (
            "alice",
            {"a": 1},
            True,
        )


async def test_a_count_that_does_not_fit_is_checked_before_the_regular_time() -> None:
    async with watched() as (emulator, users, roster):
        await asyncio.sleep(7200)
        # All went well for long, so the regular time is every five minutes.
        await roster.wait_for(lambda r: not r.occupancy)
        emulator.inject(EventFault(drop=1, for_s=1))
        await users.heartbeat(CHANNEL, user_id="lost")
        await asyncio.sleep(1)
        asked = sum(r.operation == "here now" for r in emulator.requests)
        await users.heartbeat(CHANNEL, user_id="alice")
        await roster.wait_for(lambda r: "alice" in r.user_ids)
        assert not roster.is_synced

        await roster.wait_for(lambda r: r.is_synced, timeout_s=7)

        assert set(roster.user_ids) == {"lost", "alice"}
        assert sum(r.operation == "here now" for r in emulator.requests) <= asked + 1


async def test_on_a_busy_and_healthy_channel_it_hardly_asks() -> None:
    async with watched() as (emulator, users, roster):
        for _ in range(180):
            await asyncio.sleep(20)
            await users.heartbeat(CHANNEL, user_id="alice")
            await asyncio.sleep(20)
            await users.leave(CHANNEL, user_id="alice")

        assert roster.is_synced
        assert len(emulator.requests.of("here now")) <= 85


async def test_after_a_failed_poll_an_event_lost_without_a_trace_is_found() -> None:
    async with watched() as (emulator, users, roster):
        await asyncio.sleep(7200)
        emulator.inject(Fault(operation="subscribe", status=503, times=1))
        await users.heartbeat(CHANNEL, user_id="alice")
        await asyncio.sleep(60)
        emulator.inject(EventFault(drop=1, for_s=1))
        await users.leave(CHANNEL, user_id="alice")

        await roster.wait_for(lambda r: not r.occupancy, timeout_s=RECONCILE_PERIOD_S)


async def test_a_gap_is_checked_soon() -> None:
    async with watched() as (_, users, roster):
        await asyncio.sleep(30)
        roster._sync.deliver([
            GapEvent(timetoken=1, timestamp_ms=1, reason="service_queue")
        ])
        was_synced = roster.is_synced
        await users.heartbeat(CHANNEL, user_id="alice")

        await roster.wait_for(lambda r: r.is_synced, timeout_s=9)

        assert not was_synced


async def test_trouble_causes_no_storm_of_questions() -> None:
    async with (
        PresenceEmulator() as emulator,
        PresenceClient(emulator.config(user_id="watcher")) as client,
        client.roster(CHANNEL) as roster,
    ):
        gap = GapEvent(timetoken=1, timestamp_ms=1, reason="service_queue")
        for _ in range(600):
            await asyncio.sleep(0.1)
            roster._sync.deliver([gap])

        asked = sum(r.operation == "here now" for r in emulator.requests)
        assert asked <= 2 + 60 / 3


async def test_many_rosters_in_trouble_ask_no_faster_than_the_service_allows() -> None:
    gap = GapEvent(timetoken=1, timestamp_ms=1, reason="service_queue")
    async with (
        PresenceEmulator() as emulator,
        PresenceClient(emulator.config(user_id="watcher")) as client,
        AsyncExitStack() as stack,
    ):
        rosters = [client.roster(f"room-{n}") for n in range(100)]
        await asyncio.gather(*map(stack.enter_async_context, rosters))
        await asyncio.sleep(60)
        opened = len(emulator.requests.of("here now"))
        for roster in rosters:
            roster._sync.deliver([gap])
        await asyncio.sleep(RECONCILE_PERIOD_S)

        asked = emulator.requests.of("here now")[opened:]
        seconds = Counter(int(request.at_s) for request in asked)
        assert max(seconds.values()) <= 26
        assert all(roster.is_synced for roster in rosters)


async def test_refused_it_keeps_what_it_knew_and_goes_on_with_a_new_token() -> None:
    grants = {"old": Grant(channels="*"), "new": Grant(channels="*")}
    async with (
        PresenceEmulator(access=grants) as emulator,
        PresenceClient(emulator.config(user_id="watcher", auth="old")) as client,
        PresenceClient(emulator.config(user_id="users", auth="new")) as users,
        client.roster(CHANNEL) as roster,
    ):
        changes = roster.changes()
        await users.heartbeat(CHANNEL, user_id="alice", presence_timeout_s=3000)
        await roster.wait_for(lambda r: r.is_synced)
        emulator.revoke("old")
        await users.heartbeat(CHANNEL, user_id="bob", presence_timeout_s=3000)
        await roster.wait_for(lambda r: r.health is StreamHealth.REFUSED, timeout_s=60)
        refusal = roster.error
        assert not roster.is_synced
        await users.leave(CHANNEL, user_id="alice")
        await asyncio.sleep(600)
        assert "alice" in roster.user_ids

        client.set_auth("new")
        await roster.wait_for(
            lambda r: r.is_synced and r.user_ids == {"bob"},
            timeout_s=RECONCILE_PERIOD_S,
        )

        assert isinstance(refusal, AccessDeniedError)
        await roster.close()
        heard = [event async for event in changes if isinstance(event, UserEvent)]
        assert [(e.action, e.user_id) for e in heard] == [
            ("join", "alice"),
            ("join", "bob"),
            ("leave", "alice"),
        ]


async def test_it_is_right_after_a_suspend() -> None:
    loop = asyncio.get_running_loop()
    async with watched() as (emulator, users, roster):
        await users.heartbeat(CHANNEL, user_id="alice")
        await roster.wait_for(lambda r: r.is_synced)
        emulator.inject(EventFault(drop=1, for_s=1))
        await users.leave(CHANNEL, user_id="alice")
        loop.suspend(3600)  # type: ignore[attr-defined]  # the virtual loop's

        await asyncio.sleep(RECONCILE_PERIOD_S)

        assert roster.user_ids == frozenset()
        assert roster.is_synced
