"""A captive portal is an outage like any other; promises 1, 4 and 5."""

from __future__ import annotations

import asyncio
import math

import pytest

from presence_async import (
    LeaseHealth,
    PresenceClient,
    RejectedRequestError,
    ReplyFormatError,
    RequestError,
)
from presence_async.emulator import Fault, PresenceEmulator

from .outages import SIGN_IN

OUTAGE_S = 600
RECOVERY_S = 15
PORTALS = {
    "redirect": Fault(status=302, for_s=OUTAGE_S),
    "permanent redirect": Fault(status=308, for_s=OUTAGE_S),
    "page": Fault(body=SIGN_IN, for_s=OUTAGE_S),
    "empty page": Fault(body=b"", for_s=OUTAGE_S),
    "page with 511": Fault(status=511, body=SIGN_IN, for_s=OUTAGE_S),
}


@pytest.fixture(params=PORTALS.values(), ids=list(PORTALS))
def portal(request: pytest.FixtureRequest) -> Fault:
    fault: Fault = request.param
    return fault


def users(emulator: PresenceEmulator) -> set[str]:
    return set(emulator.occupants("lobby"))


async def test_a_join_that_never_gives_up_waits_for_its_end(
    client: PresenceClient, emulator: PresenceEmulator, portal: Fault
) -> None:
    emulator.inject(portal)
    joining = asyncio.create_task(client.join("lobby", timeout_s=math.inf))
    await asyncio.sleep(OUTAGE_S - 1)
    was_done = joining.done()
    await asyncio.sleep(1 + RECOVERY_S)

    assert not was_done
    assert joining.result().health is LeaseHealth.FRESH
    assert users(emulator) == {"bob"}


@pytest.mark.parametrize("presence_timeout_s", [20, 300])
async def test_a_held_lease_is_not_refused_and_comes_back(
    client: PresenceClient,
    emulator: PresenceEmulator,
    portal: Fault,
    presence_timeout_s: int,
) -> None:
    lease = await client.join("lobby", presence_timeout_s=presence_timeout_s)
    seen: list[LeaseHealth] = []

    async def watch() -> None:
        seen.extend([change.health async for change in lease.changes()])

    watching = asyncio.create_task(watch())
    await asyncio.sleep(1)
    emulator.inject(portal)
    await asyncio.sleep(OUTAGE_S + RECOVERY_S)
    health = lease.health
    is_present = users(emulator) == {"bob"}
    await lease.leave()
    await watching

    assert (health, is_present) == (LeaseHealth.FRESH, True)
    assert seen == ["fresh", "at_risk", "lost", "fresh", "released"]


async def test_a_leave_raises_and_is_sent_all_the_same(
    client: PresenceClient, emulator: PresenceEmulator, portal: Fault
) -> None:
    lease = await client.join("lobby", presence_timeout_s=1000)
    emulator.inject(portal)
    with pytest.raises(RequestError):
        await lease.leave()
    await asyncio.sleep(OUTAGE_S)

    assert users(emulator) == {"bob"}
    await asyncio.sleep(RECOVERY_S)
    assert not users(emulator)
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_client_leave_raises_and_is_sent_all_the_same(
    client: PresenceClient, emulator: PresenceEmulator, portal: Fault
) -> None:
    await client.heartbeat("lobby", presence_timeout_s=1000)
    lease = await client.join("news", presence_timeout_s=1000)
    emulator.inject(portal)
    with pytest.raises(RequestError):
        await client.leave(["lobby", "news"])
    await asyncio.sleep(OUTAGE_S + RECOVERY_S)

    assert lease.health is LeaseHealth.RELEASED
    assert not users(emulator)
    assert not emulator.occupants("news")


async def test_a_state_fails_and_the_next_heartbeat_carries_it(
    client: PresenceClient, emulator: PresenceEmulator, portal: Fault
) -> None:
    lease = await client.join("lobby", state={"n": 1})
    emulator.inject(portal)
    with pytest.raises((RejectedRequestError, ReplyFormatError, RequestError)):
        await lease.set_state({"n": 2})
    with pytest.raises(RequestError):
        await lease.patch_state(m=3)
    await asyncio.sleep(OUTAGE_S + RECOVERY_S)

    assert lease.state == {"n": 2, "m": 3}
    assert emulator.occupants("lobby") == {"bob": {"n": 2, "m": 3}}


async def test_closing_says_that_nothing_was_left(
    emulator: PresenceEmulator, portal: Fault
) -> None:
    client = await PresenceClient(emulator.config()).start()
    await client.join("lobby")
    emulator.inject(portal)

    report = await client.close()

    assert [presence.user_id for presence in report.failed] == ["tester"]
    assert report.left == ()
