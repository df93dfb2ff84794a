"""Show who is on a channel, in which state, and where else they are.

    python examples/who_is_here.py lobby

Asks a local emulator with two users in it, or the real service when
PUBNUB_SUBSCRIBE_KEY and PUBNUB_USER_ID are set.
"""

from __future__ import annotations

import asyncio
import os
import sys

from presence_async import PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator


async def show(client: PresenceClient, channel: str) -> None:
    here = await client.here_now(channel, include_state=True)
    print(f"{here.total_occupancy} on {channel}")
    for occupant in here.channels[channel].occupants or ():
        where = await client.where_now(occupant.user_id)
        print(f"  {occupant.user_id} {occupant.state} also on {sorted(where.channels)}")


async def main(channel: str) -> None:
    if os.environ.get("PUBNUB_SUBSCRIBE_KEY"):
        async with PresenceClient(PresenceConfig.from_env()) as client:
            await show(client, channel)
        return
    async with (
        PresenceEmulator() as emulator,
        PresenceClient(emulator.config(user_id="observer")) as client,
        client.join(channel, user_id="alice", state={"mood": "ok"}),
        client.join([channel, "news"], user_id="bob"),
    ):
        await show(client, channel)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "lobby"))
