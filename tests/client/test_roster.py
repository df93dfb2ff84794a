"""Rosters in good times: opening, following, waiting, closing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from presence_async import (
    ClientClosedError,
    ConnectError,
    DeadlineError,
    GapEvent,
    InvalidArgumentError,
    JoinEvent,
    LeaveEvent,
    Occupant,
    PresenceClient,
    PresenceConfig,
    RejectedRequestError,
    RequestError,
    Roster,
    SnapshotEvent,
    StateChangeEvent,
    StreamHealth,
    UnavailableError,
)
from presence_async.emulator import EventFault, Fault, PresenceEmulator


def asked(emulator: PresenceEmulator, operation: str) -> int:
    return sum(request.operation == operation for request in emulator.requests)


async def test_entering_says_who_is_there(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    await client.heartbeat("lobby", user_id="alice", state={"mood": "ok"})
    await client.heartbeat("lobby", user_id="carol")

    async with client.roster("lobby") as roster:
        assert roster.occupants == (
            Occupant(user_id="alice", state={"mood": "ok"}),
            Occupant(user_id="carol", state={}),
        )
        assert roster.user_ids == {"alice", "carol"}
        assert roster.occupancy == 2
        assert roster.health is StreamHealth.LIVE
        assert (roster.channel, roster.error) == ("lobby", None)
        assert "2 here, not in sync" in repr(roster)
    assert "bob" not in emulator.occupants("lobby"), "watching makes nobody present"


@pytest.mark.parametrize("what", ["occupants", "user_ids", "occupancy", "as_of"])
async def test_what_was_not_entered_is_not_an_empty_room(
    emulator: PresenceEmulator, client: PresenceClient, what: str
) -> None:
    roster = client.roster("lobby")

    with pytest.raises(ClientClosedError, match=r"roster is not open; use 'async with"):
        getattr(roster, what)
    assert not roster.is_synced
    assert repr(roster) == "<Roster of 'lobby': not open>"
    emulator.inject(Fault(operation="subscribe", status=403))
    with pytest.raises(RequestError):
        await roster.__aenter__()
    with pytest.raises(ClientClosedError, match="not open"):
        getattr(roster, what)


async def test_events_alone_do_not_tell_who_is_there(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    await client.join("lobby")
    emulator.inject(Fault(operation="here now", delay_s=5))
    roster, count = client.roster("lobby"), client.live_count("lobby")
    views = [roster, count]
    opening = [asyncio.create_task(view.__aenter__()) for view in views]
    uses: list[Callable[[], object]] = [
        *(lambda: roster.user_ids, lambda: roster.occupancy, lambda: roster.occupants),
        *(lambda: roster.as_of, roster.changes),
        *(lambda: count.count, lambda: count.as_of, count.changes),
    ]

    await asyncio.sleep(3)
    assert [view.health for view in views] == [StreamHealth.LIVE] * 2
    for use in uses:
        with pytest.raises(ClientClosedError, match="not open"):
            use()
    opening[0].cancel()
    await asyncio.wait(opening)

    for use in uses[:5]:
        with pytest.raises(ClientClosedError, match="not open"):
            use()
    assert count.count == 1
    await count.close()


async def test_it_subscribes_first_and_asks_second(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    async with client.roster("lobby"):
        pass

    order = [r.operation for r in emulator.requests]
    assert order.index("subscribe") < order.index("here now")


async def test_a_second_answer_five_seconds_later_confirms_it(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    async with client.roster("lobby") as roster:
        began_s = asyncio.get_running_loop().time()
        assert not roster.is_synced

        await roster.wait_for(lambda r: r.is_synced)

        waited_s = asyncio.get_running_loop().time() - began_s
        assert waited_s == pytest.approx(5, abs=0.1)
        assert asked(emulator, "here now") == 2


async def test_an_answer_that_says_it_is_old_confirms_nothing(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    nobody = (
        b'{"status":200,"message":"OK","service":"Presence","uuids":[],"occupancy":0}'
    )
    emulator.inject(Fault(operation="here now", body=nobody, age_s=60, for_s=60))
    async with client.roster("lobby") as roster:
        with pytest.raises(DeadlineError):
            await roster.wait_for(lambda r: r.is_synced, timeout_s=55)

        await roster.wait_for(lambda r: r.is_synced, timeout_s=20)


async def test_what_came_just_before_the_handshake_is_heard(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    """The first here now may come from a cache that does not know of it yet."""
    stale = (
        b'{"status":200,"message":"OK","service":"Presence","uuids":[],"occupancy":0}'
    )
    emulator.inject(Fault(operation="here now", body=stale, times=1))
    await client.heartbeat("lobby", user_id="alice")
    await asyncio.sleep(2)

    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: "alice" in r.user_ids, timeout_s=1)


async def test_events_change_the_list(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    async with client.roster("lobby") as roster:
        changes = roster.changes()
        lease = await client.join("lobby", user_id="alice", state={"n": 1})
        await lease.set_state({"n": 2})
        await roster.wait_for(
            lambda r: r.occupants == (Occupant(user_id="alice", state={"n": 2}),)
        )
        await lease.leave()
        await roster.wait_for(lambda r: not r.occupancy)

        heard = [await anext(changes) for _ in range(4)]

    kinds = [SnapshotEvent, JoinEvent, StateChangeEvent, LeaveEvent]
    assert [type(event) for event in heard] == kinds
    assert not any(event.synthesized for event in heard[1:])


async def test_setting_the_state_of_somebody_absent_adds_nobody(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:
        await client.set_state("lobby", state={"n": 1}, user_id="ghost")
        await asyncio.sleep(10)

        assert roster.user_ids == frozenset()
        assert roster.is_synced


async def test_as_of_is_when_the_service_was_last_heard(
    client: PresenceClient,
) -> None:
    loop = asyncio.get_running_loop()
    unopened = client.roster("lobby")
    async with client.roster("lobby") as roster:
        await asyncio.sleep(7)
        await client.heartbeat("lobby", user_id="alice")
        await roster.wait_for(lambda r: r.occupancy)

        now = datetime.fromtimestamp(loop.wall_time(), UTC)  # type: ignore[attr-defined]  # the virtual loop's
        assert abs(roster.as_of - now) < timedelta(seconds=1)
    with pytest.raises(ClientClosedError):
        unopened.as_of  # noqa: B018  # the access is the test


async def test_everybody_is_read_where_there_are_several_pages(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    users = [f"user-{n}" for n in range(1050)]
    gate = asyncio.Semaphore(50)

    async def come(user_id: str) -> None:
        async with gate:
            await client.heartbeat("lobby", user_id=user_id, presence_timeout_s=3000)

    await asyncio.gather(*map(come, users))
    async with client.roster("lobby") as roster:
        assert asked(emulator, "here now") == 2
        assert roster.user_ids == set(users)

        emulator.inject(EventFault(drop=1, for_s=1))
        await client.leave("lobby", user_id=users[0])
        await roster.wait_for(lambda r: r.occupancy == 1049, timeout_s=20)

        # Missing from two snapshots in a row, each of two pages.
        assert asked(emulator, "here now") == 6


# Opening.


async def test_a_refused_subscribe_fails_the_opening(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    emulator.inject(Fault(operation="subscribe", status=400))

    with pytest.raises(RejectedRequestError):
        async with client.roster("lobby"):
            pass


async def test_an_unanswered_here_now_fails_the_opening_and_leaves_no_poll(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    emulator.inject(Fault(operation="here now", status=503))

    with pytest.raises(UnavailableError) as raised:
        async with client.roster("lobby"):
            pass
    await asyncio.sleep(1)
    polls = asked(emulator, "subscribe")
    await client.heartbeat("lobby", user_id="alice")
    await asyncio.sleep(30)

    assert raised.value.attempts == 4
    assert asked(emulator, "subscribe") == polls


async def test_one_budget_covers_the_opening(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    emulator.inject(Fault(operation="here now", delay_s=math.inf))
    began_s = asyncio.get_running_loop().time()

    with pytest.raises(DeadlineError):
        async with client.roster("lobby", timeout_s=3):
            pass

    assert asyncio.get_running_loop().time() - began_s == pytest.approx(3, abs=0.1)


async def test_nobody_there_is_a_connect_error(config: PresenceConfig) -> None:
    nowhere = attrs.evolve(config, origin="127.0.0.1:9", call_timeout_s=1)
    async with PresenceClient(nowhere) as client:
        with pytest.raises((ConnectError, DeadlineError)):
            async with client.roster("lobby"):
                pass


@pytest.mark.parametrize("channel", ["", "a,b", "a.*", "lobby-pnpres", "..", 7])
async def test_a_name_that_is_no_channel_is_refused_at_the_call(
    channel: str, config: PresenceConfig
) -> None:
    with pytest.raises(InvalidArgumentError):
        PresenceClient(config).roster(channel)


async def test_a_roster_has_one_use(client: PresenceClient) -> None:
    roster = client.roster("lobby")
    async with roster:
        pass

    with pytest.raises(ClientClosedError):
        await roster.__aenter__()


async def test_cancelling_the_opening_anywhere_leaves_nothing(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    for steps in range(60):
        roster = client.roster("lobby")
        opening = asyncio.create_task(roster.__aenter__())
        for _ in range(steps):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled():
            await roster.close()
        assert roster.health is StreamHealth.CLOSED
    await asyncio.sleep(1)

    assert [t for t in asyncio.all_tasks() if "roster" in t.get_name()] == []
    polls = asked(emulator, "subscribe")
    await asyncio.sleep(600)
    assert asked(emulator, "subscribe") == polls


# Waiting.


async def test_waiting_for_what_is_true_already_returns_at_once(
    client: PresenceClient,
) -> None:
    await client.heartbeat("lobby", user_id="alice")
    async with client.roster("lobby") as roster:
        waiting = roster.wait_for(lambda r: "alice" in r.user_ids)

        with pytest.raises(StopIteration):
            waiting.send(None)


async def test_waiting_in_vain_ends_with_a_timeout_error(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:
        with pytest.raises(TimeoutError) as raised:
            await roster.wait_for(lambda r: "bob" in r.user_ids, timeout_s=2)

    assert isinstance(raised.value, DeadlineError)
    assert str(raised.value).startswith("waiting for a roster failed after 0 attempts")


async def test_what_the_predicate_raises_ends_the_waiting_only(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:

        def fails(_: Roster) -> bool:
            if not roster.occupancy:
                return False
            raise TimeoutError("mine")

        waiting = asyncio.create_task(roster.wait_for(fails, timeout_s=5))
        other = asyncio.create_task(roster.wait_for(lambda r: r.occupancy == 2))
        await client.heartbeat("lobby", user_id="alice")
        with pytest.raises(TimeoutError, match="mine"):
            await waiting
        await client.heartbeat("lobby", user_id="bob")
        await other


async def test_cancelling_one_waiter_does_not_end_another(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:
        first = asyncio.create_task(roster.wait_for(lambda r: r.occupancy))
        second = asyncio.create_task(roster.wait_for(lambda r: r.occupancy))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.wait({first})

        await client.heartbeat("lobby", user_id="alice")
        await second

    assert first.cancelled()


async def test_closing_ends_the_waiting(client: PresenceClient) -> None:
    async with client.roster("lobby") as roster:
        waiting = asyncio.create_task(roster.wait_for(lambda r: r.occupancy))
        await asyncio.sleep(1)

    with pytest.raises(ClientClosedError):
        await waiting


# Reading.


async def test_each_reader_begins_with_a_snapshot_and_sees_everything(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:
        early = roster.changes()
        await client.heartbeat("lobby", user_id="alice", state={"n": 1})
        await roster.wait_for(lambda r: r.occupancy)
        late = roster.changes()

        first, join = await anext(early), await anext(early)
        snapshot = await anext(late)

    assert isinstance(first, SnapshotEvent)
    assert first.occupants == ()
    assert isinstance(join, JoinEvent)
    assert isinstance(snapshot, SnapshotEvent)
    assert snapshot.occupants == (Occupant(user_id="alice", state={"n": 1}),)
    assert snapshot.occupancy == 1
    with pytest.raises(StopAsyncIteration):
        await anext(late)


async def test_a_slow_reader_gets_a_gap_and_a_fresh_snapshot(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:
        slow = roster.changes(buffer_size=3)
        for n in range(5):
            await client.heartbeat("lobby", user_id=f"user-{n}")
            await asyncio.sleep(0.1)
        gap, snapshot = await anext(slow), await anext(slow)
        await client.heartbeat("lobby", user_id="last")
        join = await anext(slow)

    assert isinstance(gap, GapEvent)
    assert (gap.reason, gap.dropped) == ("slow_consumer", 6)
    assert isinstance(snapshot, SnapshotEvent)
    assert len(snapshot.occupants) == 5
    assert isinstance(join, JoinEvent)
    assert join.user_id == "last"


async def test_a_reader_that_fails_ends_nobody_else(client: PresenceClient) -> None:
    async with client.roster("lobby") as roster:
        other = roster.changes()
        with pytest.raises(ZeroDivisionError):
            async for _ in roster:
                raise ZeroDivisionError
        await client.heartbeat("lobby", user_id="alice")
        assert isinstance(await anext(other), SnapshotEvent)
        assert isinstance(await anext(other), JoinEvent)


async def test_two_tasks_at_one_reader_is_an_error_at_once(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:
        changes = roster.changes()
        await anext(changes)
        reading = asyncio.create_task(changes.__anext__())
        await asyncio.sleep(1)
        with pytest.raises(InvalidArgumentError):
            await anext(changes)

        reading.cancel()
        await asyncio.wait({reading})
        await client.heartbeat("lobby", user_id="alice")
        assert isinstance(await anext(changes), JoinEvent), "cancelling loses nothing"


async def test_two_loops_over_one_roster_are_two_readers(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:

        async def first_join() -> str:
            async for event in roster:
                if isinstance(event, JoinEvent):
                    return event.user_id
            return ""

        loops = [asyncio.create_task(first_join()) for _ in range(2)]
        await asyncio.sleep(1)
        await client.heartbeat("lobby", user_id="alice")

        assert await asyncio.gather(*loops) == ["alice", "alice"]


async def test_a_closed_reader_reads_no_more(client: PresenceClient) -> None:
    async with client.roster("lobby") as roster:
        changes = roster.changes()
        await changes.close()
        await client.heartbeat("lobby", user_id="alice")
        await roster.wait_for(lambda r: r.occupancy)

        assert [event async for event in changes] == []


async def test_a_reader_nobody_holds_is_forgotten(client: PresenceClient) -> None:
    async with client.roster("lobby") as roster:
        async for _ in roster:
            break

        assert len(roster._sync.readers) == 0


# Closing.


async def test_leaving_the_block_frees_the_poll_at_once(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    before = asyncio.all_tasks()
    async with client.roster("lobby"):
        await asyncio.sleep(1)
        held = emulator.open_polls
    await asyncio.sleep(0.1)

    assert (held, emulator.open_polls) == (1, 0)
    ours = {t for t in asyncio.all_tasks() - before if "RequestHandler" not in repr(t)}
    assert ours == set()


async def test_closing_during_a_question_cuts_it(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    began_s = asyncio.get_running_loop().time()
    async with client.roster("lobby"):
        emulator.inject(Fault(operation="here now", delay_s=math.inf))
        await asyncio.sleep(6)

    assert asyncio.get_running_loop().time() - began_s == pytest.approx(6, abs=0.1)


async def test_closing_the_client_ends_its_rosters(config: PresenceConfig) -> None:
    client = PresenceClient(config)
    await client.start()
    roster = client.roster("lobby")
    await roster.__aenter__()
    changes = roster.changes()
    waiting = asyncio.create_task(roster.wait_for(lambda r: r.occupancy))
    await asyncio.sleep(1)

    await client.close()

    assert [t for t in asyncio.all_tasks() if "roster" in t.get_name()] == []
    assert roster.health is StreamHealth.CLOSED
    assert [type(event) async for event in changes] == [SnapshotEvent]
    with pytest.raises(ClientClosedError):
        await waiting
    with pytest.raises(ClientClosedError):
        await client.roster("lobby").__aenter__()
    await roster.close()


async def test_what_a_closed_roster_knew_can_be_read(client: PresenceClient) -> None:
    await client.heartbeat("lobby", user_id="alice")
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)

    assert roster.user_ids == {"alice"}
    assert not roster.is_synced
    assert [type(event) async for event in roster] == [SnapshotEvent]


async def test_rosters_and_streams_of_a_client_share_one_poll(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    async with (
        client.roster("lobby") as lobby,
        client.roster("news") as news,
        client.events(["lobby", "hall"]),
    ):
        await asyncio.sleep(5)
        polls = asked(emulator, "subscribe")
        await client.heartbeat(["lobby", "news"], user_id="alice")
        await lobby.wait_for(lambda r: r.occupancy)
        await news.wait_for(lambda r: r.occupancy)
        await asyncio.sleep(1)

        assert asked(emulator, "subscribe") <= polls + 2
