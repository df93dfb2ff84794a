"""A bot that is present until a signal stops it, and then leaves.

    python examples/stay_present.py lobby        # Ctrl-C or SIGTERM ends it

Runs against a local emulator, or against the real service when
PUBNUB_SUBSCRIBE_KEY and PUBNUB_USER_ID are set.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys

import presence_async
from presence_async import PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator


async def stay(config: PresenceConfig, channel: str) -> None:
    client = PresenceClient(config)
    try:
        async with client:
            # A bot may be deployed during an outage, so it keeps trying.
            await client.join(channel, state={"kind": "bot"}, timeout_s=math.inf)
            print(f"{config.user_id} is present on {channel}", flush=True)
            await asyncio.Event().wait()  # a signal cancels it
    finally:
        report = client.close_report
        print(f"left {len(report.left) if report else 0} of 1", flush=True)


async def main(channel: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        if os.environ.get("PUBNUB_SUBSCRIBE_KEY"):
            config = PresenceConfig.from_env()
        else:
            emulator = await stack.enter_async_context(PresenceEmulator())
            config = emulator.config(user_id="weather-bot")
        await stay(config, channel)


if __name__ == "__main__":
    presence_async.run(main(sys.argv[1] if len(sys.argv) > 1 else "lobby"))
