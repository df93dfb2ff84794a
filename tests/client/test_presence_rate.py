"""Everything that changes presence passes one gate; promises 3 and 6."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from presence_async import DeadlineError, NoRetry, PresenceClient, RequestError
from presence_async.emulator import Fault, PresenceEmulator


def now_s() -> float:
    return asyncio.get_running_loop().time()


def gaps_s(emulator: PresenceEmulator) -> list[float]:
    return [later.at_s - sooner.at_s for sooner, later in pairwise(emulator.requests)]


@pytest.fixture
async def slow_client(emulator: PresenceEmulator) -> AsyncIterator[PresenceClient]:
    """A client that may send one request a second."""
    config = emulator.config(user_id="bob", max_requests_per_s=1, close_timeout_s=60)
    async with PresenceClient(config) as client:
        yield client


@pytest.mark.parametrize("users", [1, 10])
async def test_ten_heartbeats_at_one_a_second_take_nine_seconds(
    slow_client: PresenceClient, emulator: PresenceEmulator, users: int
) -> None:
    began_s = now_s()

    await asyncio.gather(
        *(slow_client.heartbeat("lobby", user_id=f"u{n % users}") for n in range(10))
    )

    assert now_s() - began_s == pytest.approx(9)
    assert emulator.requests.total == 10


async def test_all_kinds_of_requests_pass_the_same_gate(
    slow_client: PresenceClient, emulator: PresenceEmulator
) -> None:
    held = await slow_client.join("lobby", presence_timeout_s=20)
    began_s = now_s()

    await asyncio.gather(
        slow_client.heartbeat("news", user_id="a"),
        slow_client.set_state("news", state={"n": 1}, user_id="b"),
        slow_client.leave("news", user_id="c"),
        slow_client.join("news", user_id="d"),
        held.set_state({"n": 1}),
        held.patch_state(m=1),
        held.add("sport"),
        held.remove("sport"),
    )
    took_s = now_s() - began_s
    await asyncio.sleep(60)
    await slow_client.close()

    sent = [entry.operation for entry in emulator.requests]
    assert took_s == pytest.approx(8)
    assert set(sent) == {"heartbeat", "set state", "leave"}
    assert min(gaps_s(emulator)) >= 0.999


@pytest.mark.parametrize(
    "fault",
    [Fault(status=503), Fault(cut=True), Fault(cut=True, at="after_effect")],
    ids=["503", "cut", "lost reply"],
)
async def test_repeats_of_failed_requests_pass_the_gate(
    slow_client: PresenceClient, emulator: PresenceEmulator, fault: Fault
) -> None:
    lease = await slow_client.join("lobby", presence_timeout_s=20)
    emulator.inject(fault)
    await asyncio.sleep(100)
    with pytest.raises(RequestError):
        await lease.leave()
    await asyncio.sleep(30)

    assert min(gaps_s(emulator)) >= 0.999


async def test_a_new_token_after_a_refusal_passes_the_gate(
    emulator: PresenceEmulator,
) -> None:
    tokens = iter(f"token-{n}" for n in range(1000))

    async def token(_: str) -> str:
        return next(tokens)

    config = emulator.config(max_requests_per_s=1, auth=token, retry=NoRetry())
    async with PresenceClient(config) as client:
        await client.join("lobby", presence_timeout_s=20)
        emulator.inject(Fault(status=403, for_s=60))
        await asyncio.sleep(80)

    assert min(gaps_s(emulator)) >= 0.999


async def test_queries_do_not_pass_the_gate_of_presence(
    slow_client: PresenceClient,
) -> None:
    await slow_client.heartbeat("lobby")
    began_s = now_s()

    await asyncio.gather(*(slow_client.where_now() for _ in range(10)))

    assert now_s() - began_s < 0.1


async def test_a_call_that_the_gate_held_back_too_long_says_so(
    slow_client: PresenceClient, emulator: PresenceEmulator
) -> None:
    first = asyncio.ensure_future(slow_client.heartbeat("lobby", user_id="amy"))
    await asyncio.sleep(0.01)

    with pytest.raises(DeadlineError, match="max_requests_per_s left it no place"):
        await slow_client.heartbeat("lobby", timeout_s=0.5)

    await first
    assert emulator.requests.total == 1
