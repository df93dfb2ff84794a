"""Leases used from another event loop: refused at once, and unharmed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from presence_async import (
    ClientClosedError,
    Lease,
    LeaseHealth,
    PresenceClient,
)
from presence_async.emulator import Fault, PresenceEmulator

Call = Callable[[PresenceClient, Lease], Awaitable[Any]]


async def enter(context: Any) -> None:
    async with context:
        pass


CALLS: dict[str, Call] = {
    "lease.leave": lambda _, x: x.leave(),
    "lease.add": lambda _, x: x.add("news"),
    "lease.add what it has": lambda _, x: x.add("lobby"),
    "lease.remove": lambda _, x: x.remove("lobby"),
    "lease.remove what it has not": lambda _, x: x.remove("other"),
    "lease.set_state": lambda _, x: x.set_state({"n": 2}),
    "lease.patch_state": lambda _, x: x.patch_state(n=2),
    "lease.changes": lambda _, x: anext(x.changes()),
    "async with lease": lambda _, x: enter(x),
    "end of a block": lambda _, x: x.__aexit__(None, None, None),
    "close": lambda c, _: c.close(),
    "start": lambda c, _: c.start(),
    "async with client": lambda c, _: enter(c),
    "end of the client's block": lambda c, _: c.__aexit__(None, None, None),
    "join": lambda c, _: c.join("news"),
    "async with join": lambda c, _: enter(c.join("news")),
    "heartbeat": lambda c, _: c.heartbeat("news"),
    "leave": lambda c, _: c.leave("lobby"),
    "set_state": lambda c, _: c.set_state("lobby", state={"n": 2}),
    "here_now": lambda c, _: c.here_now("lobby"),
}


@pytest.fixture(params=CALLS.values(), ids=list(CALLS))
def call(request: pytest.FixtureRequest) -> Call:
    chosen: Call = request.param
    return chosen


def raised_in_thread(main: Callable[[], object]) -> BaseException | None:
    """Run something in a thread; return what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            main()
        except BaseException as error:  # noqa: BLE001  # whatever it is
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    return raised[0] if raised else None


def in_another_loop(make: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Await something in the loop of another thread; return what it raised."""

    async def main() -> None:
        async with asyncio.timeout(5):
            await make()

    return raised_in_thread(lambda: asyncio.run(main()))


async def test_a_call_in_another_loop_is_refused_and_harms_nothing(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
    call: Call,
) -> None:
    lease = await client.join("lobby", state={"n": 1}, presence_timeout_s=20)
    asked = emulator.requests.total

    error = in_another_loop(lambda: call(client, lease))

    assert isinstance(error, ClientClosedError)
    assert "event loop" in str(error)
    assert repr(asyncio.get_running_loop()) in str(error)
    assert emulator.requests.total == asked
    await asyncio.sleep(100)
    assert (lease.health, lease.channels) == (LeaseHealth.FRESH, ("lobby",))
    assert lease.state == {"n": 1}
    assert emulator.occupants("lobby") == {"bob": {"n": 1}}
    assert [e.action for e in emulator.events("lobby")] == ["join"]
    assert not emulator.occupants("news")
    await lease.set_state({"n": 3})
    report = await client.close()
    assert len(report.left) == 1
    assert not emulator.occupants("lobby")
    assert caplog.records == []


async def test_a_reader_in_another_loop_does_not_disturb_one_that_waits(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    changes = lease.changes()
    await anext(changes)
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(1)

    for iterator in (changes, lease.changes()):
        error = in_another_loop(lambda it=iterator: anext(it))  # type: ignore[misc]
        assert isinstance(error, ClientClosedError)
    emulator.inject(Fault(operation="heartbeat", status=500, times=1))

    assert (await waiting).health is LeaseHealth.AT_RISK


async def test_closing_from_another_loop_while_closing_is_refused(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.join("lobby")
    emulator.inject(Fault(operation="leave", delay_s=5, times=1))
    closing = asyncio.ensure_future(client.close())
    await asyncio.sleep(1)

    error = in_another_loop(client.close)

    assert isinstance(error, ClientClosedError)
    assert len((await closing).left) == 1


async def test_a_token_set_in_another_thread_is_refused(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", status=403, for_s=60))
    await asyncio.sleep(30)
    assert lease.health == "refused"

    for call in (lambda: client.set_auth("token"), client.refresh_auth):
        error = raised_in_thread(call)
        assert isinstance(error, ClientClosedError)
    await asyncio.sleep(60)

    assert lease.health == "fresh"
    assert "auth" not in emulator.requests[-1].params


@pytest.mark.real_time
def test_a_lease_of_a_loop_that_has_ended_says_so() -> None:
    async def main() -> tuple[PresenceClient, Lease]:
        async with PresenceEmulator() as emulator:
            config = emulator.config(presence_timeout_s=20)
            async with PresenceClient(config) as client:
                return client, await client.join("lobby")

    client, lease = asyncio.run(main())

    assert lease.health is LeaseHealth.RELEASED
    assert lease.remaining_s == 0
    for make in (lease.leave, lambda: lease.add("a"), lambda: client.join("a")):
        with pytest.raises(ClientClosedError):
            asyncio.run(make())
