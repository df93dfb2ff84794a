"""``presence_async.prometheus``: what Prometheus' own parser reads of a client."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="the extra 'prometheus' is missing")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as strict,
)
from prometheus_client.parser import text_string_to_metric_families as parsed

from presence_async import PresenceClient, RequestError
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.prometheus import collector
from presence_async.register import MemoryRegister


def scraped(registry: Any) -> dict[str, float]:
    """Scrape a registry, and read it by the parsers of both formats."""
    untyped: Any = (generate_latest, parsed, openmetrics.generate_latest, strict)
    write, read, write_strictly, read_strictly = untyped
    families = list(read(write(registry).decode()))
    list(read_strictly(write_strictly(registry).decode()))
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


async def test_prometheus_reads_what_a_client_does(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    registry = CollectorRegistry()
    held = await client.join("lobby", user_id="early")
    registry.register(collector(client))
    async with client.join("lobby"), client.events("lobby"):
        emulator.inject(Fault(operation="here now", status=503, times=1))
        await client.here_now("lobby")
        emulator.inject(Fault(operation="here now", status=403, times=1))
        with pytest.raises(RequestError):
            await client.here_now("lobby")
        emulator.inject(Fault(operation="heartbeat", status=500, for_s=200))
        await asyncio.sleep(180)
        during = await asyncio.to_thread(scraped, registry)
        await asyncio.sleep(60)
        await held.leave()
        after = scraped(registry)

    assert {x: n for x, n in during.items() if x.startswith("presence_leases")} == {
        "presence_leases fresh": 0,
        "presence_leases at_risk": 2,
        "presence_leases lost": 0,
        "presence_leases refused": 0,
    }
    assert during["presence_streams live"] == 1
    assert after["presence_leases fresh"] == 1
    assert after["presence_requests_total here now ok"] == 1
    assert after["presence_requests_total here now unavailable"] == 1
    assert after["presence_requests_total here now denied"] == 1
    assert after["presence_request_retries_total here now"] == 1
    assert after["presence_request_duration_seconds_count here now"] == 3
    assert after["presence_heartbeats_total false"] > 2
    assert after["presence_heartbeats_total true"] >= 3
    assert not [name for name in after if "lobby" in name or "early" in name]
    assert not [name for name in after if "register" in name]
    end = scraped(registry)
    assert end["presence_leases fresh"] == end["presence_streams live"] == 0


async def test_several_clients_and_a_register_are_one_sum(
    emulator: PresenceEmulator,
) -> None:
    register = MemoryRegister()
    clients = [
        PresenceClient(emulator.config(user_id=f"user-{n}"), register=register)
        for n in range(2)
    ]
    registry = CollectorRegistry()
    registry.register(collector(*clients))
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(collector(clients[0]))
    async with clients[0], clients[1]:
        for client in clients:
            await client.join("lobby")
        figures = scraped(registry)

    assert figures["presence_leases fresh"] == 2
    assert figures["presence_register_up"] == 1
    assert figures["presence_register_users leading"] == 2
    assert figures["presence_register_unasked_heartbeats_total"] == 0
    gc.collect()


async def test_what_was_held_before_the_collector_is_counted_once(
    client: PresenceClient,
) -> None:
    """A lease, too, that has been acknowledged while nobody was told of it yet."""
    stream = client.events("lobby")
    await stream.__aenter__()
    joining = asyncio.ensure_future(client.join("lobby"))
    while not client.heartbeats.leases:  # noqa: ASYNC110  # the very turn
        await asyncio.sleep(0)
    registry = CollectorRegistry()
    registry.register(collector(client))
    lease = await joining
    both = scraped(registry)
    await stream.close()
    await lease.leave()
    none = scraped(registry)

    names = ("presence_leases fresh", "presence_streams live")
    assert [[x[name] for name in names] for x in (both, none)] == [[1, 1], [0, 0]]
