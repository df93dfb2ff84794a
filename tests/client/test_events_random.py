"""Everything goes wrong at once: a stream still tells the truth, each event once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import attrs
import pytest

from presence_async import EventStream, PresenceClient, RequestError, StreamHealth
from presence_async.emulator import EventFault, Fault, PresenceEmulator
from presence_async.testing import VirtualLoop

from .subscribe_service import read_all, users

TROUBLE_S = 400
FAULTS = (
    Fault(cut=True),
    Fault(cut=True, at="after_effect"),
    Fault(status=503),
    Fault(status=403),
    Fault(status=429, retry_after_s=3),
    Fault(body=b"<html>sign in</html>"),
    Fault(delay_s=2, at="after_effect"),
)


async def enter(client: PresenceClient, *channels: str) -> EventStream | None:
    try:
        return await client.events(channels, buffer_size=5000).__aenter__()
    except RequestError:
        return None


@pytest.mark.parametrize("seed", range(6))
async def test_a_stream_tells_the_truth_whatever_goes_wrong(
    client: PresenceClient, emulator: PresenceEmulator, seed: int
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    rng = random.Random(seed)  # noqa: S311  # an order, no secret
    steady = await enter(client, "lobby")
    assert steady is not None
    for number, fault in enumerate(FAULTS):
        emulator.inject(
            attrs.evolve(
                fault,
                operation="subscribe",
                probability=0.05,
                seed=seed * 10 + number,
                for_s=TROUBLE_S,
            )
        )
    emulator.inject(
        EventFault(duplicate=0.2, reorder=0.2, spread_s=9, for_s=TROUBLE_S, seed=seed)
    )
    others: list[EventStream] = []
    end_s = loop.time() + TROUBLE_S
    while loop.time() < end_s:
        act = client.heartbeat if rng.random() < 0.6 else client.leave
        await act("lobby", user_id=f"u{rng.randrange(6)}")
        if rng.random() < 0.3:
            names = ("lobby", f"c{rng.randrange(5)}")[: rng.choice([1, 2])]
            if (stream := await enter(client, *names)) is not None:
                others.append(stream)
        if others and rng.random() < 0.3:
            await others.pop(rng.randrange(len(others))).close()
        if rng.random() < 0.02:
            loop.suspend(100)
        await asyncio.sleep(rng.random() * 4)
    await asyncio.sleep(700)

    heard = Counter((x.action, *users([x])) for x in await read_all(steady))
    assert heard == Counter((x.action, x.user_id) for x in emulator.events("lobby"))
    assert steady.health is StreamHealth.LIVE
    assert emulator.open_polls == 1
    for stream in (steady, *others):
        await stream.close()
    await asyncio.sleep(1)
    assert emulator.open_polls == 0
