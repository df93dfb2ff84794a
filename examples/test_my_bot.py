"""Tests of a bot: an outage, a timeout and a shutdown.

python -m pytest examples/test_my_bot.py    # hours pass in milliseconds
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from presence_async import PresenceClient
from presence_async.emulator import Fault, PresenceEmulator

pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_time]


async def run_bot(client: PresenceClient) -> None:
    """Be present in the lobby until cancelled; this is the bot under test."""
    async with client.join("lobby", state={"mood": "ok"}, timeout_s=math.inf):
        await asyncio.Event().wait()


@pytest_asyncio.fixture
async def bot(presence_client: PresenceClient) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(run_bot(presence_client))
    await asyncio.sleep(1)
    yield task
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.usefixtures("bot")
async def test_outage(presence_emulator: PresenceEmulator) -> None:
    presence_emulator.inject(Fault(status=503, for_s=3600))
    await asyncio.sleep(3600)
    assert not presence_emulator.occupants("lobby")  # it has timed out
    await asyncio.sleep(15)
    assert presence_emulator.occupants("lobby") == {"tester": {"mood": "ok"}}


@pytest.mark.usefixtures("bot")
async def test_timeout(presence_emulator: PresenceEmulator) -> None:
    presence_emulator.inject(Fault(operation="heartbeat", delay_s=math.inf, for_s=600))
    await asyncio.sleep(600)
    # This is what others in the lobby saw of the dead network.
    assert presence_emulator.events("lobby")[-1].action == "timeout"


async def test_shutdown(
    presence_emulator: PresenceEmulator, bot: asyncio.Task[None]
) -> None:
    bot.cancel()
    await asyncio.wait({bot})
    assert presence_emulator.events("lobby")[-1].action == "leave"
