"""An hour of users against the emulator, in virtual time, for ``kept_users.py``."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from measuring import in_bounds, open_descriptors
from reporting import bar

from presence_async import LeaseHealth, PresenceClient
from presence_async.emulator import PresenceEmulator

HOUR_S = 3600
TIMEOUT_S = 300


async def an_hour(users: int, window_s: int) -> dict[str, float]:
    """Keep users present; return what became of them, and the busiest window."""
    began_s = time.monotonic()
    async with PresenceEmulator(journal_size=40 * users) as emulator:
        config = emulator.config(user_id="host", presence_timeout_s=TIMEOUT_S)
        async with PresenceClient(config) as client:
            await in_bounds(
                users, lambda n: client.join("lobby", user_id=f"user-{n:05}")
            )
            started_s = asyncio.get_running_loop().time()
            with bar("an hour: minutes", 60) as step:
                for _ in range(60):
                    await asyncio.sleep(HOUR_S / 60)
                    step()
            healths = Counter(lease.health for lease in client.heartbeats.leases)
            tasks = [task.get_name() for task in asyncio.all_tasks()]
            descriptors = open_descriptors()
        interval_s = TIMEOUT_S / 2 - 1
        settled = [
            int((entry.at_s - started_s) / window_s)
            for entry in emulator.requests.of("heartbeat")
            if interval_s < entry.at_s - started_s < HOUR_S - window_s
        ]
        events = Counter(event.action for event in emulator.events("lobby"))
    per_window = Counter(settled)
    # The first and last windows are cut off.
    full = [per_window[w] for w in range(min(per_window) + 1, max(per_window))]
    return {
        "users": users,
        "not fresh": users - healths[LeaseHealth.FRESH],
        "timeouts": events["timeout"],
        "busiest / mean": max(full) * len(full) / sum(full),
        "heartbeat tasks": sum(name == "presence heartbeats" for name in tasks),
        "descriptors": descriptors,
        "real s": time.monotonic() - began_s,
    }
