"""Show who is in a room until all have left, on an emulator or the real service."""

import asyncio
import os

from presence_async import PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator


async def watch(client: PresenceClient) -> None:
    async with client.roster("lobby") as roster:
        async for event in roster:
            who = getattr(event, "user_id", "")
            print(f"{event.action:<9} {who:<7} {sorted(roster.user_ids)}", flush=True)
            if event.action == "leave" and not roster.occupancy:
                return


async def visit(client: PresenceClient, number: int) -> None:
    await asyncio.sleep(0.2 * number)
    async with client.join("lobby", user_id=f"user-{number}"):
        await asyncio.sleep(0.5)


async def main() -> None:
    if os.environ.get("PUBNUB_SUBSCRIBE_KEY"):
        async with PresenceClient(PresenceConfig.from_env()) as client:
            await watch(client)
        return
    async with (
        PresenceEmulator() as emulator,
        PresenceClient(emulator.config(user_id="observer")) as client,
    ):
        await asyncio.gather(watch(client), *[visit(client, n) for n in (1, 2, 3)])


if __name__ == "__main__":
    asyncio.run(main())
