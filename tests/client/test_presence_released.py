"""Leases that were released, and clients that are closed; promises 4, 5 and 14."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from presence_async import (
    ClientClosedError,
    DeadlineError,
    Lease,
    LeaseHealth,
    LeaseReleasedError,
    PresenceClient,
)
from presence_async.emulator import Fault, PresenceEmulator

CHANGES: dict[str, Callable[[Lease], Awaitable[Any]]] = {
    "add": lambda x: x.add("news"),
    "add what it had": lambda x: x.add("lobby"),
    "remove": lambda x: x.remove("lobby"),
    "remove what it never had": lambda x: x.remove("other"),
    "set_state": lambda x: x.set_state({"n": 2}),
    "patch_state": lambda x: x.patch_state(n=2),
}
ENDS: dict[str, Callable[[PresenceClient, Lease], Awaitable[Any]]] = {
    "leave": lambda _, x: x.leave(),
    "client.leave": lambda c, _: c.leave("lobby"),
    "remove": lambda _, x: x.remove("lobby"),
    "end of a block": lambda _, x: x.__aexit__(None, None, None),
    "close": lambda c, _: c.close(),
}
CALLS: dict[str, Callable[[PresenceClient], Awaitable[Any]]] = {
    "join": lambda c: c.join("lobby"),
    "heartbeat": lambda c: c.heartbeat("lobby"),
    "leave": lambda c: c.leave("lobby"),
    "set_state": lambda c: c.set_state("lobby", state={}),
    "here_now": lambda c: c.here_now("lobby"),
    "start": lambda c: c.start(),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=list(ENDS))
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
async def test_a_released_lease_cannot_be_changed(
    client: PresenceClient,
    emulator: PresenceEmulator,
    change: Callable[[Lease], Awaitable[Any]],
    end: Callable[[PresenceClient, Lease], Awaitable[Any]],
) -> None:
    lease = await client.join("lobby", state={"n": 1})
    await end(client, lease)
    asked = emulator.requests.total

    with pytest.raises(LeaseReleasedError):
        await change(lease)

    assert lease.health is LeaseHealth.RELEASED
    assert (lease.remaining_s, lease.expires_at_s) == (0.0, 0.0)
    assert emulator.requests.total == asked
    assert not emulator.occupants("lobby")


async def test_what_a_lingering_lease_held_cannot_be_changed(
    client: PresenceClient,
) -> None:
    lease = await client.join("lobby", linger_s=60)
    await lease.leave()

    for change in CHANGES.values():
        with pytest.raises(LeaseReleasedError):
            await change(lease)


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
async def test_a_change_under_way_when_its_lease_is_released_ends(
    client: PresenceClient,
    emulator: PresenceEmulator,
    change: Callable[[Lease], Awaitable[Any]],
) -> None:
    lease = await client.join(["lobby", "sport"], state={"n": 1})
    emulator.inject(Fault(delay_s=2, times=1))
    changing = asyncio.ensure_future(change(lease))
    await asyncio.sleep(1)
    await lease.leave()
    await asyncio.wait({changing}, timeout=60)

    assert changing.done()
    error = changing.exception()
    assert error is None or isinstance(error, LeaseReleasedError)
    await asyncio.sleep(60)
    for channel in ("lobby", "sport", "news"):
        assert not emulator.occupants(channel)
    assert client.heartbeats.stats().leaving == 0


async def test_leaving_twice_is_leaving_once(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")

    await lease.leave()
    await lease.leave()
    async with lease:
        pass

    assert len(emulator.requests.of("leave")) == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
async def test_a_closed_client_takes_no_calls(
    client: PresenceClient, call: Callable[[PresenceClient], Awaitable[Any]]
) -> None:
    await client.close()

    with pytest.raises(ClientClosedError, match="is closed"):
        await call(client)


async def test_a_closed_client_stays_closed_whatever_its_leases_are_asked(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    gone = await client.join("news", user_id="eve", linger_s=60)
    await gone.leave()
    # A request in doubt, whose repeat is owed.
    emulator.inject(Fault(operation="heartbeat", delay_s=8, times=1))
    with pytest.raises(DeadlineError):
        await client.heartbeat("lobby", timeout_s=1)
    await client.heartbeat("lobby", state={"n": 1})
    first = await client.close()
    asked = emulator.requests.total

    for each in (lease, gone):
        await each.leave()
        async with each:
            pass
        seen = [change.health async for change in each.changes()]
        assert seen == [LeaseHealth.RELEASED]
    client.set_auth("token")
    client.refresh_auth()
    second = await client.close()
    await asyncio.sleep(100)

    assert first is second
    assert emulator.requests.total == asked
    assert client.heartbeats.leases == ()
    assert client.heartbeats.stats().leaving == 0


async def test_closing_while_closing_takes_no_calls(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=5, times=1))
    closing = asyncio.ensure_future(client.close())
    await asyncio.sleep(1)

    with pytest.raises(ClientClosedError):
        await client.heartbeat("lobby")
    with pytest.raises(LeaseReleasedError):
        await lease.set_state({"n": 1})
    await lease.leave()
    assert (await client.close()) is (await closing)


async def test_a_close_that_ran_out_of_time_sends_nothing_later(
    emulator: PresenceEmulator,
) -> None:
    config = emulator.config(max_requests_per_s=1)
    client = await PresenceClient(config).start()
    await client.join("lobby", user_id="eve")
    lease = await client.join("lobby", presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", delay_s=8, times=1))
    with pytest.raises(DeadlineError):
        await client.heartbeat("lobby", timeout_s=2)
    await client.heartbeat("news", state={"n": 1})
    emulator.inject(Fault(delay_s=1000))
    await client.close(timeout_s=0.1)
    asked = emulator.requests.total

    for _ in range(30):
        await asyncio.sleep(1)
        await lease.leave()
        client.refresh_auth()
        tasks = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in tasks if name.startswith("presence ")]

    assert emulator.requests.total == asked


async def test_a_released_lease_has_no_time_left_though_another_holds_its_channel(
    client: PresenceClient,
) -> None:
    first = await client.join("lobby")
    second = await client.join("lobby")
    await first.leave()

    assert (first.remaining_s, first.expires_at_s) == (0.0, 0.0)
    assert second.remaining_s > 0
