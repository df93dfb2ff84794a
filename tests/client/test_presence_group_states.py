"""A state set for a group, beside leases on its members; promise 7."""

from __future__ import annotations

import asyncio

from presence_async import PresenceClient
from presence_async.emulator import PresenceEmulator


async def test_the_next_heartbeat_of_a_lease_undoes_the_state_of_a_group(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.add_channels("floor", ["lobby", "news"])
    lease = await client.join("lobby", state={"n": 1}, presence_timeout_s=20)
    stateless = await client.join("news", presence_timeout_s=20)

    await client.set_state(channel_groups="floor", state={"n": 2})
    at_once = dict(emulator.occupants("lobby"))
    await asyncio.sleep(30)

    assert at_once == {"bob": {"n": 2}}
    assert emulator.occupants("lobby") == {"bob": {"n": 1}} == {"bob": lease.state}
    # This one's heartbeats say nothing about state.
    assert emulator.occupants("news") == {"bob": {"n": 2}}
    assert stateless.state is None


async def test_a_state_set_for_a_group_and_its_channel_stays(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.add_channels("floor", ["lobby", "news"])
    lease = await client.join("lobby", state={"n": 1}, presence_timeout_s=20)

    await client.set_state("lobby", channel_groups="floor", state={"n": 2})
    await asyncio.sleep(30)

    assert lease.state == {"n": 2}
    assert emulator.occupants("lobby") == {"bob": {"n": 2}}


async def test_a_lease_on_the_group_keeps_the_state_set_for_it(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    await client.add_channels("floor", ["lobby", "news"])
    lease = await client.join(channel_groups="floor", presence_timeout_s=20)

    await client.set_state(channel_groups="floor", state={"n": 2})
    await asyncio.sleep(30)

    assert lease.state == {"n": 2}
    assert emulator.occupants("news") == {"bob": {"n": 2}}


async def test_the_docs_say_so() -> None:
    said = " ".join((PresenceClient.set_state.__doc__ or "").split())
    assert "next heartbeat brings that back" in said
