"""Joining and leaving: promises 4 and 5."""

from __future__ import annotations

import asyncio
import logging
import math

import pytest

from presence_async import (
    AccessDeniedError,
    ConnectError,
    InvalidArgumentError,
    Lease,
    LeaseHealth,
    PresenceClient,
    ReplyFormatError,
    UnavailableError,
)
from presence_async.emulator import Fault, PresenceEmulator


async def test_join_returns_after_the_first_acknowledged_heartbeat(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=2, times=1))
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    lease = await client.join("lobby", state={"mood": "ok"})

    assert loop.time() - began_s == pytest.approx(2)
    assert emulator.occupants("lobby") == {"bob": {"mood": "ok"}}
    assert lease.health is LeaseHealth.FRESH
    assert lease.remaining_s == pytest.approx(298)


async def test_the_end_of_a_block_leaves(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.join(["lobby", "news"]) as lease:
        assert set(emulator.occupants("news")) == {"bob"}

    assert lease.health is LeaseHealth.RELEASED
    assert lease.remaining_s == 0.0
    assert not emulator.occupants("lobby")
    assert [event.action for event in emulator.events("news")] == ["join", "leave"]


@pytest.mark.slow
async def test_a_lease_is_kept_for_hours_without_a_timeout(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)

    await asyncio.sleep(6 * 3600)

    assert [event.action for event in emulator.events("lobby")] == ["join"]
    assert lease.health is LeaseHealth.FRESH
    beats = len(emulator.requests.of("heartbeat"))
    assert beats == pytest.approx(6 * 3600 / 9, rel=0.01)


async def test_a_refused_join_raises_and_leaves_nothing_behind(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", status=403))

    with pytest.raises(AccessDeniedError):
        await client.join("lobby")

    assert client.heartbeats.leases == ()
    assert emulator.requests.of("leave") == []


async def test_a_join_that_may_have_been_heard_is_taken_back(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", status=503, at="after_effect"))

    with pytest.raises(UnavailableError):
        await client.join("lobby")
    await asyncio.sleep(1)

    assert not emulator.occupants("lobby")
    assert len(emulator.requests.of("leave")) == 1


async def test_a_join_that_never_connected_owes_no_leave(
    emulator: PresenceEmulator,
) -> None:
    async with PresenceClient(emulator.config()) as client:
        await emulator.close()

        with pytest.raises(ConnectError):
            await client.join("lobby")

        assert client.heartbeats.stats().leaving == 0


@pytest.mark.slow
async def test_a_patient_join_outlasts_an_outage(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=3600))

    lease = await client.join("lobby", timeout_s=math.inf)

    assert lease.health is LeaseHealth.FRESH
    assert set(emulator.occupants("lobby")) == {"bob"}


async def test_two_leases_of_a_user_leave_with_the_last(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    first = await client.join("lobby")
    second = await client.join("lobby")

    await first.leave()
    held_after_first = set(emulator.occupants("lobby"))
    await second.leave()

    assert held_after_first == {"bob"}
    assert not emulator.occupants("lobby")
    assert len(emulator.requests.of("leave")) == 1


async def test_leaving_a_group_brings_overlapping_channels_back(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.add_channels("floor", ["lobby", "news"])
    by_group = await client.join(channel_groups="floor")
    await client.join("lobby")

    await by_group.leave()
    await asyncio.sleep(1)

    assert set(emulator.occupants("lobby")) == {"bob"}
    assert not emulator.occupants("news")


async def test_client_leave_takes_the_channel_out_of_local_leases(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join(["lobby", "news"])

    await client.leave("lobby")
    await asyncio.sleep(3600)

    assert lease.channels == ("news",)
    assert not emulator.occupants("lobby")
    assert set(emulator.occupants("news")) == {"bob"}


async def test_client_leave_of_everything_releases_the_lease(
    client: PresenceClient,
) -> None:
    lease = await client.join("lobby")

    await client.leave("lobby")

    assert lease.health is LeaseHealth.RELEASED
    assert client.heartbeats.leases == ()


async def test_a_failed_leave_raises_and_is_tried_until_it_succeeds(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    emulator.inject(Fault(operation="leave", status=503, for_s=60))

    with pytest.raises(UnavailableError):
        await lease.leave()

    assert lease.health is LeaseHealth.RELEASED
    assert client.heartbeats.stats().leaving == 1
    await asyncio.sleep(70)
    assert not emulator.occupants("lobby")
    assert client.heartbeats.stats().leaving == 0


async def test_a_leave_answered_by_a_captive_portal_is_still_owed(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    emulator.inject(Fault(operation="leave", body=b"<html>sign in</html>", for_s=20))

    with pytest.raises(ReplyFormatError):
        await lease.leave()
    await asyncio.sleep(30)

    assert not emulator.occupants("lobby")


async def test_a_failed_leave_at_the_end_of_a_block_is_one_warning(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulator.inject(Fault(operation="leave", status=403))

    with caplog.at_level(logging.WARNING, "presence_async"):
        async with client.join("lobby"):
            pass

    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_a_lingering_leave_is_dropped_when_the_user_is_back(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.join("lobby", linger_s=5):
        pass
    await asyncio.sleep(2)
    await client.join("lobby", linger_s=5)
    await asyncio.sleep(60)

    assert [event.action for event in emulator.events("lobby")] == ["join"]
    assert emulator.requests.of("leave") == []


async def test_a_lingering_leave_goes_out_when_nobody_is_back(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.join("lobby", linger_s=5):
        pass
    await asyncio.sleep(4.9)
    still_there = set(emulator.occupants("lobby"))
    await asyncio.sleep(1)

    assert still_there == {"bob"}
    assert not emulator.occupants("lobby")


async def test_add_and_remove_change_what_a_lease_holds(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")

    await lease.add(["news", "lobby"])
    added = set(emulator.occupants("news"))
    await lease.remove("lobby")

    assert added == {"bob"}
    assert lease.channels == ("news",)
    assert not emulator.occupants("lobby")


async def test_a_released_lease_takes_no_more_channels(client: PresenceClient) -> None:
    lease = await client.join("lobby")
    await lease.leave()

    with pytest.raises(InvalidArgumentError, match="released"):
        await lease.add("news")


async def test_joining_is_a_coroutine(client: PresenceClient) -> None:
    first = asyncio.create_task(client.join("a"))
    second, third = await asyncio.gather(client.join("b"), client.join("c"))

    leases: list[Lease] = [await first, second, third]

    assert [lease.channels for lease in leases] == [("a",), ("b",), ("c",)]


async def test_arguments_are_refused_at_the_call(client: PresenceClient) -> None:
    with pytest.raises(InvalidArgumentError):
        client.join("lobby-pnpres")  # type: ignore[unused-awaitable]


async def test_users_of_one_client_are_told_apart(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await asyncio.gather(
        *(client.join("lobby", user_id=f"user-{n}") for n in range(50))
    )

    assert len(emulator.occupants("lobby")) == 50
    await client.close()
    assert not emulator.occupants("lobby")


async def test_an_outage_is_survived_and_reported(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20, state={"a": 1})
    seen: list[LeaseHealth] = []

    async def watch() -> None:
        seen.extend([change.health async for change in lease.changes()])

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(1)
    emulator.inject(Fault(operation="heartbeat", cut=True, for_s=120))
    await asyncio.sleep(120 + 15)

    assert emulator.occupants("lobby") == {"bob": {"a": 1}}
    assert lease.health is LeaseHealth.FRESH
    await lease.leave()
    await watcher
    assert seen == ["fresh", "at_risk", "lost", "fresh", "released"]
    actions = [event.action for event in emulator.events("lobby")]
    assert actions == ["join", "timeout", "join", "leave"]


async def test_remaining_is_never_more_than_the_services_own(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", status=503))
    await asyncio.sleep(10)
    loop = asyncio.get_running_loop()

    promised_until_s = loop.time() + lease.remaining_s
    await asyncio.sleep(30)

    (timeout,) = [e for e in emulator.events("lobby") if e.action == "timeout"]
    assert promised_until_s <= timeout.at_s


async def test_a_refused_lease_is_beaten_at_once_on_a_new_token(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", status=403, for_s=60))
    await asyncio.sleep(60.01)
    assert lease.health == "refused"

    client.set_auth("another-token")
    await asyncio.sleep(0.5)

    assert lease.health == "fresh"
    assert emulator.requests[-1].params["auth"] == "another-token"


async def test_a_patient_join_heeds_no_long_retry_after(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(
        Fault(operation="heartbeat", status=503, retry_after_s=3600, for_s=100)
    )
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    await client.join("lobby", timeout_s=math.inf)

    assert loop.time() - began_s <= 115


async def test_a_patient_join_lets_other_leases_of_the_user_be_beaten(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    kept = await client.join("lobby", presence_timeout_s=20)
    joining = asyncio.ensure_future(client.join("news", timeout_s=math.inf))
    emulator.inject(Fault(operation="heartbeat", status=500, for_s=15))
    await asyncio.sleep(12)
    beats = [e for e in emulator.requests.of("heartbeat") if "lobby" in e.channels]
    await asyncio.sleep(20)

    assert len(beats) >= 3
    assert kept.health is LeaseHealth.FRESH
    assert (await joining).health is LeaseHealth.FRESH


async def test_closing_ends_a_patient_join_at_once(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", status=503, retry_after_s=60))
    joining = asyncio.ensure_future(client.join("lobby", timeout_s=math.inf))
    await asyncio.sleep(1)
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    await client.close()
    await asyncio.wait({joining})

    assert loop.time() - began_s < 1
    assert type(joining.exception()).__name__ == "ClientClosedError"


async def test_leaving_what_is_being_joined_releases_it(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=2, times=1))
    joining = asyncio.ensure_future(client.join("lobby"))
    await asyncio.sleep(1)

    await client.leave("lobby")
    lease = await joining
    await asyncio.sleep(600)

    assert lease.health is LeaseHealth.RELEASED
    assert lease.remaining_s == 0
    assert client.heartbeats.leases == ()
    assert not emulator.occupants("lobby")


async def test_a_second_reload_begins_a_linger_of_its_own(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    for pause_s in (5, 8):
        async with client.join("lobby", linger_s=10):
            await asyncio.sleep(3)
        await asyncio.sleep(pause_s)
    await client.join("lobby", linger_s=10)
    await asyncio.sleep(30)

    assert [e.action for e in emulator.events("lobby")] == ["join"]
    assert client.heartbeats.stats().leaving == 0


async def test_a_cancelled_join_does_not_linger(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=2, times=1))
    joining = asyncio.ensure_future(client.join("lobby", linger_s=600))
    await asyncio.sleep(1)
    joining.cancel()
    await asyncio.sleep(15)

    assert joining.cancelled()
    assert not emulator.occupants("lobby")


async def test_removing_channels_waits_for_no_linger(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join(["lobby", "news"], linger_s=600)
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    await lease.remove("news")

    assert loop.time() - began_s < 1
    assert not emulator.occupants("news")


async def test_a_leave_is_not_kept_back_by_a_join_that_never_comes_about(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    first = await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=1, times=1))
    leaving = asyncio.ensure_future(first.leave())
    await asyncio.sleep(0.5)
    second = asyncio.ensure_future(client.join("lobby"))
    await asyncio.sleep(0.1)
    second.cancel()
    await leaving
    await asyncio.sleep(1)

    assert not emulator.occupants("lobby")


async def test_added_channels_have_the_state_that_was_set_meanwhile(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", state={"n": 1})
    emulator.inject(Fault(operation="heartbeat", delay_s=1, times=1))
    adding = asyncio.ensure_future(lease.add(["news", "sport"]))
    again = asyncio.ensure_future(lease.add("news"))
    await asyncio.sleep(0.5)

    await lease.set_state({"n": 2})
    await adding
    await again
    await asyncio.sleep(1)

    assert lease.channels == ("lobby", "news", "sport")
    assert emulator.occupants("news") == {"bob": {"n": 2}}


async def test_adding_a_channel_does_not_make_an_old_state_the_newest(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    old = await client.join("lobby", state={"n": 1})
    await client.join("news", state={"n": 2})

    await old.add("news")

    assert emulator.occupants("news") == {"bob": {"n": 2}}


async def test_changes_begin_with_now_and_end_with_released(
    client: PresenceClient,
) -> None:
    lease = await client.join("lobby")
    await asyncio.sleep(20)

    first = await anext(lease.changes())
    readers = [
        asyncio.ensure_future(_healths(lease)),
        asyncio.ensure_future(_healths(lease)),
    ]
    await asyncio.sleep(1)
    await lease.leave()

    assert first.remaining_s < 300
    assert first.at == pytest.approx(asyncio.get_running_loop().time() - 1, abs=0.1)
    assert await asyncio.gather(*readers) == [["fresh", "released"]] * 2
    assert [c.health async for c in lease.changes()] == ["released"]


async def _healths(lease: Lease) -> list[str]:
    return [change.health async for change in lease.changes()]
