"""Outages of every kind: presence comes back by itself; promises 1 and 2."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import socket
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presence_async import (
    AuthToken,
    ConnectError,
    Lease,
    LeaseHealth,
    PresenceClient,
    RequestError,
)
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.testing.virtual_loop import VirtualLoop

from .outages import KINDS, outage

pytestmark = pytest.mark.slow

RECOVERY_S = 15


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def join_many(client: PresenceClient, number: int) -> list[Lease]:
    return [
        await client.join("lobby", user_id=f"user-{n:03}", state={"n": n})
        for n in range(number)
    ]


def timeouts(emulator: PresenceEmulator) -> int:
    return sum(e.action == "timeout" for e in emulator.events("lobby"))


# One of a day is in tests/presence/test_long_outage.py.
@pytest.mark.parametrize("outage_s", [40, 1000])
@pytest.mark.parametrize("kind", KINDS)
async def test_everybody_is_fresh_soon_after_any_outage(
    client: PresenceClient, emulator: PresenceEmulator, kind: str, outage_s: int
) -> None:
    leases = await join_many(client, 5)
    await asyncio.sleep(100)
    emulator.inject(outage(kind, "heartbeat", for_s=outage_s))
    await asyncio.sleep(outage_s + RECOVERY_S)

    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    assert emulator.occupants("lobby") == {f"user-{n:03}": {"n": n} for n in range(5)}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_join_that_never_gives_up_outlasts_any_outage(
    client: PresenceClient, emulator: PresenceEmulator, kind: str
) -> None:
    emulator.inject(outage(kind, for_s=600))
    joining = asyncio.create_task(client.join("lobby", timeout_s=math.inf))
    await asyncio.sleep(599)
    was_joined = joining.done()
    await asyncio.sleep(1 + RECOVERY_S)

    assert not was_joined
    assert joining.result().health is LeaseHealth.FRESH
    assert set(emulator.occupants("lobby")) == {"bob"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_leave_that_failed_in_any_outage_is_repeated(
    client: PresenceClient, emulator: PresenceEmulator, kind: str
) -> None:
    lease = await client.join("lobby")
    emulator.inject(outage(kind, for_s=100))
    with pytest.raises(RequestError):
        await lease.leave()
    still_leaving = client.heartbeats.stats().leaving
    await asyncio.sleep(100 + RECOVERY_S)

    assert still_leaving == 1
    assert not emulator.occupants("lobby")
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]
    assert client.heartbeats.stats().leaving == 0


async def test_a_bot_deployed_while_no_name_can_be_looked_up_joins_afterwards(
    emulator: PresenceEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo
    is_down = asyncio.Event()
    is_down.set()

    async def answer(_: str, port: int, **options: Any) -> Any:
        if is_down.is_set():
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return await look_up("127.0.0.1", port, **options)

    monkeypatch.setattr(loop, "getaddrinfo", answer)
    origin = emulator.origin.replace("127.0.0.1", "presence.test")
    async with PresenceClient(emulator.config(origin=origin)) as client:
        with pytest.raises(ConnectError):
            await client.where_now()
        joining = asyncio.create_task(client.join("lobby", timeout_s=math.inf))
        await asyncio.sleep(600)
        was_joined = joining.done()

        is_down.clear()
        await asyncio.sleep(RECOVERY_S)

        assert (was_joined, joining.done()) == (False, True)
        assert joining.result().health is LeaseHealth.FRESH
        assert set(emulator.occupants("lobby")) == {"tester"}


async def test_an_outage_of_all_is_probed_by_one_at_a_time(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = await join_many(client, 200)
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=1200))
    began = len(emulator.requests)
    await asyncio.sleep(1199)

    per_second = Counter(int(e.at_s) for e in emulator.requests[began:])
    assert per_second.total() < 1200
    assert max(per_second.values()) <= 10
    # Users take turns, lest one with a fault of its own keeps everybody down.
    assert len({e.user_id for e in emulator.requests[began:]}) == 200
    assert {lease.health for lease in leases} == {LeaseHealth.LOST}
    assert {lease.remaining_s for lease in leases} == {0.0}

    await asyncio.sleep(1 + RECOVERY_S)
    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    assert len(emulator.occupants("lobby")) == 200


async def test_a_user_with_a_fault_of_its_own_keeps_nobody_down(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = await join_many(client, 3)
    emulator.inject(Fault(operation="heartbeat", status=500, times=6))
    await asyncio.sleep(400)

    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}


class Vault:
    """Gives every user a token for three minutes, and the hanging ones no other."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.served: set[str] = set()

    async def token(self, user_id: str) -> AuthToken:
        if user_id in self.served and user_id.startswith("ill"):
            if self.fails:
                raise ValueError("vault sealed")
            await asyncio.Event().wait()
        self.served.add(user_id)
        wall_s = asyncio.get_running_loop().wall_time()  # type: ignore[attr-defined]
        end = dt.datetime.fromtimestamp(wall_s + 180, tz=dt.UTC)
        return AuthToken(value=f"of-{user_id}", expires_at=end)


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "hangs"])
async def test_users_whose_token_cannot_be_fetched_hold_nobody_back(
    emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture, fails: bool
) -> None:
    vault = Vault(fails=fails)
    names = [f"ill-{n}" for n in range(70)] + [f"well-{n}" for n in range(100)]
    async with PresenceClient(emulator.config(auth=vault.token)) as client:
        leases = [await client.join("lobby", user_id=name) for name in names]
        with caplog.at_level("INFO", "presence_async"):
            await asyncio.sleep(1800)
        present = set(emulator.occupants("lobby"))
        healths = [lease.health for lease in leases]
        # The users with a token come and go as ever.
        began_s = now_s()
        await client.join("news", user_id="well-new")
        assert now_s() == began_s

    absent = [e for e in emulator.events("lobby") if e.action == "timeout"]
    assert present == set(names[70:])
    assert set(healths[70:]) == {LeaseHealth.FRESH}
    assert LeaseHealth.FRESH not in healths[:70]
    assert not fails or set(healths[:70]) == {LeaseHealth.REFUSED}
    assert sorted(e.user_id for e in absent) == sorted(names[:70])
    assert "cannot be reached" not in caplog.text


async def test_refusals_of_a_token_provider_end_no_outage(
    emulator: PresenceEmulator,
) -> None:
    vault = Vault(fails=True)
    async with PresenceClient(emulator.config(auth=vault.token)) as client:
        for name in [f"{kind}-{n}" for kind in ("ill", "well") for n in range(5)]:
            await client.join("lobby", user_id=name)
        emulator.inject(Fault(operation="heartbeat", cut=True))
        await asyncio.sleep(1800)
        began = emulator.requests.total
        await asyncio.sleep(60)

        # One probe every few seconds, and nobody else.
        assert emulator.requests.total - began <= 60
        assert client.heartbeats.stats().fresh == 0


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "hangs"])
async def test_users_without_a_token_do_not_keep_others_from_coming_back(
    emulator: PresenceEmulator, fails: bool
) -> None:
    vault = Vault(fails=fails)
    async with PresenceClient(emulator.config(auth=vault.token)) as client:
        names = [f"{kind}-{n}" for kind in ("ill", "well") for n in range(5)]
        leases = [await client.join("lobby", user_id=name) for name in names]
        emulator.inject(Fault(operation="heartbeat", cut=True, for_s=1800))
        await asyncio.sleep(1800 + RECOVERY_S)

        assert {lease.health for lease in leases[5:]} == {LeaseHealth.FRESH}


async def test_tokens_that_come_at_once_pass_the_places_one_by_one(
    emulator: PresenceEmulator,
) -> None:
    async def token(user_id: str) -> str:
        await asyncio.sleep(0.1)
        return user_id

    async with PresenceClient(emulator.config(max_beats_in_flight=8)) as client:
        for n in range(60):
            await client.join("lobby", user_id=f"user-{n}", presence_timeout_s=20)
        client.set_auth(token)
        emulator.inject(Fault(operation="heartbeat", delay_s=1, for_s=60))
        began = emulator.requests.total
        await asyncio.sleep(60)

        # Each takes a second, so those of one second are under way at once.
        times_s = [entry.at_s for entry in emulator.requests[began:]]
        most = max(sum(t - 0.99 < x <= t for x in times_s) for t in times_s)
        assert most == 8
        assert client.heartbeats.stats().fresh == 60


async def test_health_tells_the_truth_while_others_probe(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = await join_many(client, 20)
    emulator.inject(Fault(operation="heartbeat", cut=True))

    for _ in range(60):
        await asyncio.sleep(10)
        for lease in leases:
            if lease.remaining_s == 0:
                # One attempt may be under way when the time runs out.
                late_s = now_s() - lease.expires_at_s
                assert lease.health is LeaseHealth.LOST or late_s < 11
            else:
                assert lease.health is not LeaseHealth.LOST


@settings(max_examples=12)
@given(
    start_s=st.floats(0, 400),
    share=st.floats(0.05, 0.99),
    kind=st.sampled_from(list(KINDS)),
)
def test_observers_see_no_timeout_in_a_short_outage(
    start_s: float, share: float, kind: str
) -> None:
    async def story() -> None:
        async with (
            PresenceEmulator() as emulator,
            PresenceClient(emulator.config(user_id="bob")) as client,
        ):
            leases = await join_many(client, 4)
            await asyncio.sleep(start_s)
            outage_s = share * (300 - 149 - 10)
            emulator.inject(outage(kind, "heartbeat", for_s=outage_s))
            await asyncio.sleep(outage_s + 320)
            assert timeouts(emulator) == 0
            assert {lease.health for lease in leases} == {LeaseHealth.FRESH}

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(story())


async def test_flapping_every_second_keeps_presence(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await join_many(client, 10)
    for _ in range(300):
        emulator.inject(Fault(operation="heartbeat", cut=True, for_s=1))
        await asyncio.sleep(2)

    assert timeouts(emulator) == 0
    assert len(emulator.occupants("lobby")) == 10


async def test_a_join_that_succeeds_ends_the_outage(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = await join_many(client, 10)
    emulator.inject(Fault(operation="heartbeat", cut=True, for_s=1000))
    await asyncio.sleep(1000)

    async with client.join("lobby", user_id="late"):
        await asyncio.sleep(0.5)
        assert {lease.health for lease in leases} == {LeaseHealth.FRESH}


async def test_those_who_left_in_an_outage_do_not_probe(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    leases = await join_many(client, 5)
    emulator.inject(Fault(operation="heartbeat", cut=True))
    await asyncio.sleep(1000)
    for lease in leases:
        await lease.leave()
    asked = len(emulator.requests.of("heartbeat"))
    await asyncio.sleep(1000)

    assert len(emulator.requests.of("heartbeat")) == asked
    assert client.heartbeats.stats().leases == 0
