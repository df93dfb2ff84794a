"""An outage is a handful of lines however many users there are; promise 19."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from presence_async import Lease, LeaseHealth, PresenceClient, RequestError
from presence_async.emulator import Fault, PresenceEmulator

from .outages import KINDS, outage

pytestmark = pytest.mark.slow

USERS = 500
FEW = 60
OUTAGE_S = 600


@pytest.fixture(autouse=True)
def _info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "presence_async.client")


def loud(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines at WARNING and above."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


async def join_many(client: PresenceClient, number: int) -> list[Lease]:
    joins = (client.join("lobby", user_id=f"user-{n}") for n in range(number))
    return list(await asyncio.gather(*joins))


@pytest.mark.parametrize("kind", KINDS)
async def test_an_outage_of_many_users_is_a_handful_of_lines(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    leases = await join_many(client, FEW)
    await asyncio.sleep(60)
    emulator.inject(outage(kind, for_s=OUTAGE_S))
    await asyncio.sleep(OUTAGE_S + 15)

    lines = loud(caplog)
    kinds = Counter(
        next(
            (
                x
                for x in ("cannot be", "out of reach", "can be reached again")
                if x in line
            ),
            "own",
        )
        for line in lines
    )
    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    assert (kinds["cannot be"], kinds["can be reached again"]) == (1, 1), lines
    assert kinds["own"] <= 3, lines
    assert 7 <= kinds["out of reach"] <= 10, lines


async def test_five_hundred_users_are_a_handful_of_lines_with_counts(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    await join_many(client, USERS)
    emulator.inject(Fault(status=503, for_s=OUTAGE_S))
    await asyncio.sleep(OUTAGE_S + 15)

    lines = loud(caplog)
    (began,) = [line for line in lines if "cannot be reached" in line]
    minutes = [line for line in lines if "out of reach for" in line]
    (ended,) = [line for line in lines if "can be reached again" in line]
    assert f"one of {USERS} users" in began
    assert "out of reach for 60 s" in minutes[0]
    assert " leases at risk, 0 lost" in minutes[0]
    assert f"0 leases at risk, {USERS} lost" in minutes[-1]
    assert f"each of {USERS} users, " in ended
    assert len(lines) <= 3 + 1 + 10 + 1


async def test_single_leases_are_lines_at_debug_while_an_outage_is_on(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "presence_async.client")
    await join_many(client, FEW)
    emulator.inject(Fault(status=503, for_s=OUTAGE_S))
    await asyncio.sleep(OUTAGE_S + 15)

    own = [r for r in caplog.records if r.getMessage().startswith("<Lease of")]
    loud_ones = [r for r in own if r.levelno > logging.DEBUG]
    lost = [r for r in own if ": lost>" in r.getMessage()]
    fresh = [r for r in own if "heartbeat acknowledged" in r.getMessage()]
    assert len(loud_ones) <= 3  # as long as it may be their own fault
    assert (len(lost), len(fresh)) == (FEW, FEW)


async def test_the_failure_of_one_user_is_one_warning_and_its_recovery_one_line(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    await client.join("lobby", user_id="amy", presence_timeout_s=20)
    await join_many(client, 10)
    emulator.inject(Fault(operation="heartbeat", status=500, times=1))
    await asyncio.sleep(300)

    own = [r for r in caplog.records if r.levelno >= logging.INFO]
    assert [(r.levelname, "amy" in r.getMessage()) for r in own] == [
        ("WARNING", True),
        ("INFO", True),
    ]
    assert "at_risk" in own[0].getMessage()
    assert "500" in own[0].getMessage()
    assert "fresh" in own[1].getMessage()


async def test_two_users_with_faults_of_their_own_are_lines_of_their_own(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    for user in ("amy", "eve"):
        await client.join("lobby", user_id=user, presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", status=500, for_s=60))
    await asyncio.sleep(80)

    lines = loud(caplog)
    assert len(lines) == 4
    assert sum("amy" in line for line in lines) == 2
    assert sum("at_risk" in line for line in lines) == 2
    assert sum("lost" in line for line in lines) == 2


async def test_leaves_that_fail_in_an_outage_are_no_storm(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    leases = await join_many(client, FEW)
    emulator.inject(Fault(status=503, for_s=150))
    await asyncio.sleep(120)

    async def end(lease: Lease) -> None:
        async with lease:
            pass

    before = len(loud(caplog))
    await asyncio.gather(*(end(lease) for lease in leases[:-10]))
    await asyncio.sleep(150)

    lines = loud(caplog)[before:]
    assert len(lines) <= 10, lines[:20]
    assert set(emulator.occupants("lobby")) == {x.user_id for x in leases[-10:]}


async def test_leaves_that_fail_by_themselves_are_no_storm(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    leases = await join_many(client, FEW)
    emulator.inject(Fault(operation="leave", status=503))
    results = await asyncio.gather(
        *(lease.leave() for lease in leases), return_exceptions=True
    )
    await asyncio.sleep(30)

    assert all(isinstance(result, RequestError) for result in results)
    assert loud(caplog) == []  # every caller knows


async def test_a_leave_given_up_after_its_caller_was_cancelled_is_a_warning(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    emulator.inject(Fault(operation="leave", status=503))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await lease.leave()

    await asyncio.sleep(60)

    assert len(loud(caplog)) == 1
    assert "will time out instead" in loud(caplog)[0]


async def test_a_refusal_of_one_user_is_one_line(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    await client.join("lobby", user_id="amy", presence_timeout_s=20)
    emulator.inject(Fault(operation="heartbeat", status=403, for_s=200))
    await asyncio.sleep(300)

    own = [r for r in caplog.records if r.levelno >= logging.INFO]
    assert [r.levelname for r in own] == ["ERROR", "INFO"]
