"""Streams and rosters opened without a time limit: they wait for any outage to end."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Protocol

import pytest

from presence_async import (
    ClientClosedError,
    EventStream,
    PresenceClient,
    RequestError,
    Roster,
    StreamHealth,
)
from presence_async.emulator import Fault, PresenceEmulator

from .outages import KINDS, outage

RECOVERY_S = 15.0


class Make(Protocol):
    def __call__(
        self, client: PresenceClient, timeout_s: float | None = math.inf
    ) -> EventStream | Roster: ...


def events(client: PresenceClient, timeout_s: float | None = math.inf) -> EventStream:
    return client.events("lobby", timeout_s=timeout_s)


def roster(client: PresenceClient, timeout_s: float | None = math.inf) -> Roster:
    return client.roster("lobby", timeout_s=timeout_s)


BOTH = pytest.mark.parametrize("make", [events, roster])


@BOTH
@pytest.mark.parametrize("operation", ["subscribe", "here now"])
@pytest.mark.parametrize("kind", KINDS)
async def test_opening_without_a_limit_outlasts_any_outage(
    client: PresenceClient,
    emulator: PresenceEmulator,
    make: Make,
    operation: str,
    kind: str,
) -> None:
    emulator.inject(outage(kind, operation, for_s=600))
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    async with make(client) as opened:
        took_s = loop.time() - began_s
        assert opened.health is StreamHealth.LIVE
    if make is roster or operation == "subscribe":
        assert 600 <= took_s <= 600 + RECOVERY_S
        assert len(emulator.requests) < 600


@BOTH
@pytest.mark.parametrize("status", [400, 403, 404])
async def test_opening_without_a_limit_ends_with_a_refusal(
    client: PresenceClient, emulator: PresenceEmulator, make: Make, status: int
) -> None:
    emulator.inject(Fault(operation="subscribe", status=503, for_s=60))
    emulator.inject(Fault(operation="subscribe", status=status))

    with pytest.raises(RequestError) as caught:
        await make(client).__aenter__()
    assert getattr(caught.value, "status", None) == status


@BOTH
async def test_opening_without_a_limit_ends_when_the_client_is_closed(
    client: PresenceClient, emulator: PresenceEmulator, make: Make
) -> None:
    emulator.inject(Fault(operation="subscribe", status=503, retry_after_s=3600))
    opening = asyncio.create_task(make(client).__aenter__())
    await asyncio.sleep(100)
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await client.close()
    await asyncio.wait({opening})

    assert loop.time() - began_s < 0.1
    assert isinstance(opening.exception(), ClientClosedError)


@BOTH
async def test_opening_without_a_limit_can_be_cancelled(
    client: PresenceClient, emulator: PresenceEmulator, make: Make
) -> None:
    emulator.inject(Fault(operation="subscribe", status=503))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(100):
            await make(client).__aenter__()


async def test_waiting_is_one_warning(
    client: PresenceClient, emulator: PresenceEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "presence_async.client")
    emulator.inject(Fault(operation="subscribe", status=503, for_s=600))
    async with events(client):
        pass

    assert [r.levelname for r in caplog.records] == ["WARNING"]


@BOTH
async def test_a_limit_leaves_it_to_the_retry_policy(
    client: PresenceClient, emulator: PresenceEmulator, make: Make
) -> None:
    emulator.inject(Fault(operation="subscribe", status=503))
    with pytest.raises(RequestError) as caught:
        await make(client, timeout_s=None).__aenter__()

    assert caught.value.attempts == 4
