"""How the public names are typed, as a user's type checker sees them; never run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import assert_type

from presence_async import (
    ChannelOccupancy,
    CloseReport,
    Decision,
    EventStream,
    Explanation,
    GapEvent,
    HereNow,
    HereNowCounts,
    Lease,
    LeaseChange,
    LeaseHealth,
    LiveCount,
    LiveCountChanges,
    Occupant,
    PresenceClient,
    PresenceConfig,
    PresenceEvent,
    RequestError,
    Roster,
    RosterChanges,
    StreamHealth,
    UserEvent,
    UserState,
    WhereNow,
    run,
)
from presence_async.emulator import PresenceEmulator
from presence_async.protocol.json_codec import Json
from presence_async.testing import LeakCheck, MakePresenceClient, VirtualLoop


async def questions(client: PresenceClient) -> None:
    here = await client.here_now(["a", "b"], include_state=True)
    assert_type(here, HereNow)
    assert_type(here.channels["a"], ChannelOccupancy)
    assert_type(here.channels["a"].occupants, tuple[Occupant, ...] | None)
    assert_type(await client.here_now(include_user_ids=False), HereNowCounts)
    assert_type(await client.where_now(), WhereNow)
    assert_type(await client.get_state("a"), UserState)
    stored = await client.set_state("a", state={"n": [1, None, {"deep": True}]})
    assert_type(stored, Mapping[str, Json])
    assert_type(await client.list_groups(), tuple[str, ...])
    async for occupant in client.occupants("a"):
        assert_type(occupant, Occupant)


def why(client: PresenceClient) -> None:
    told = client.explain("alice", at=datetime.now().astimezone())
    assert_type(told, Explanation)
    assert_type(told.decisions, tuple[Decision, ...])
    assert_type(client.explain(at=1.5).verdict, str)


async def presence(client: PresenceClient) -> None:
    async with client.join({"a", "b"}, state={"mood": "ok"}) as lease:
        assert_type(lease, Lease)
        assert_type(lease.health, LeaseHealth)
        assert_type(lease.remaining_s, float)
        async for change in lease.changes():
            assert_type(change, LeaseChange)
    task = asyncio.create_task(client.join("a"))
    assert_type(await task, Lease)
    both = await asyncio.gather(client.join("a"), client.join("b"))
    assert_type(both, tuple[Lease, Lease])
    assert_type(await client.close(5, hand_over_s=20), CloseReport)


async def events(client: PresenceClient) -> None:
    async with client.events("a", channel_groups=["g"], buffer_size=10) as stream:
        assert_type(stream, EventStream)
        assert_type(stream.health, StreamHealth)
        assert_type(stream.error, RequestError | None)
        async for event in stream:
            assert_type(event, PresenceEvent)
            match event:
                case UserEvent(user_id=user_id, state=state):
                    assert_type(user_id, str)
                    assert_type(state, Mapping[str, Json] | None)
                case GapEvent(dropped=dropped):
                    assert_type(dropped, int | None)
                case _:
                    pass


async def rosters(client: PresenceClient) -> None:
    async with client.roster("a") as roster:
        assert_type(roster, Roster)
        assert_type(roster.occupants, tuple[Occupant, ...])
        assert_type(roster.user_ids, frozenset[str])
        assert_type(roster.as_of, datetime)
        assert_type(roster.health, StreamHealth)
        await roster.wait_for(lambda r: "bob" in r.user_ids and r.is_synced)
        async for event in roster:
            assert_type(event, PresenceEvent)
        assert_type(roster.changes(buffer_size=10), RosterChanges)


async def counts(client: PresenceClient) -> None:
    async with client.live_count("a") as live:
        assert_type(live, LiveCount)
        assert_type(live.count, int)
        assert_type(live.as_of, datetime)
        await live.wait_for(lambda x: x.count > 2 and x.is_synced, timeout_s=1)
        async for count in live:
            assert_type(count, int)
        assert_type(live.changes(), LiveCountChanges)


async def tests(make_presence_client: MakePresenceClient, loop: VirtualLoop) -> None:
    alice = await make_presence_client("alice", presence_timeout_s=20)
    assert_type(alice, PresenceClient)
    async with LeakCheck() as check:
        assert_type(check, LeakCheck)
    with loop.real_time():
        assert_type(loop.wall_time(), float)


async def main() -> int:
    async with (
        PresenceEmulator() as emulator,
        PresenceClient(emulator.config(user_id="bob")) as client,
    ):
        assert_type(client, PresenceClient)
        assert_type(client.config, PresenceConfig)
        await questions(client)
        await presence(client)
        await events(client)
        await rosters(client)
        await counts(client)
    return 0


assert_type(run(main()), int)
