"""What is seen of a channel: by events, and by asking who is there."""

from __future__ import annotations

import asyncio

import pytest

from presence_async import PresenceClient
from presence_async.doctor.limits import ASK_EVERY_S
from presence_async.doctor.sight import Sight
from presence_async.doctor.wire import Wire
from presence_async.emulator import Fault, Grant, PresenceEmulator

NOBODY = b'{"status":200,"message":"OK","service":"Presence","uuids":[],"occupancy":0}'


async def test_who_is_not_listed_yet_is_not_gone(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    # Without events, and with a service that lists a newcomer late.
    emulator.grant("t", Grant(channels="lobby"))
    emulator.inject(Fault(operation="here now", body=NOBODY, for_s=3))
    client.set_auth("t")
    config = emulator.config(auth="t")
    loop = asyncio.get_running_loop()
    async with Wire(config) as wire, Sight(config, wire, "lobby") as sight:
        started_s = loop.time()
        await client.heartbeat("lobby", presence_timeout_s=10)
        assert sight.refusal is not None
        assert await sight.there("bob", 2) is False
        gone = await sight.gone("bob", started_s, 20)

    assert gone is not None
    assert gone.least_s <= started_s + 10 <= gone.most_s
    assert gone.width_s == pytest.approx(ASK_EVERY_S)


async def test_an_event_tells_when_somebody_is_gone(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    config = emulator.config()
    loop = asyncio.get_running_loop()
    async with Wire(config) as wire, Sight(config, wire, "lobby") as sight:
        started_s = loop.time()
        await client.heartbeat("lobby", presence_timeout_s=10)

        assert await sight.of_user("bob", "join", started_s, 1) == started_s
        assert await sight.gone("bob", started_s, 5) is None
        gone = await sight.gone("bob", started_s, 20)
        assert gone is not None
        assert gone.most_s == pytest.approx(started_s + 10)
        assert gone.width_s <= ASK_EVERY_S
        assert await sight.of_user("bob", "leave", started_s, 30) is None
