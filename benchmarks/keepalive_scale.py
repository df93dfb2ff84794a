"""What do many users on one client cost, and are they all kept?

    python benchmarks/keepalive_scale.py            # 10,000 users, six minutes
    python benchmarks/keepalive_scale.py --quick    # 1,000 users, under a minute

One simulated hour against the emulator on a virtual clock: timeouts at the emulator,
the busiest second against the mean, tasks and descriptors. On the real clock, against a
canned server on the other core: bytes per user, joining and leaving them all against as
many bare ``session.get`` calls, CPU per heartbeat against bare and the official SDK,
lateness at 1,000 heartbeats a second, and 100,000 users on one client.

Gates: no timeout, every lease fresh, busiest second at most 1.2 times the mean (of ten
seconds with --quick, since few users make uneven seconds). Not with --quick, or when
two runs of bare differ by over 5 %: at most 1,200 bytes a user, joining and leaving at
most 1.3 times and a heartbeat at most 1.1 times the cost of bare, the SDK's with one
instance a user at least 8 times ours, 99 % of heartbeats less than 20 ms late.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median

import aiohttp
from beat_rate import Load, at_scale, compare
from measuring import (
    LARGEST_CONTROL_GAP,
    canned_server,
    in_bounds,
    print_result,
    progress,
    resident_bytes,
)

from presence_async import LeaseHealth, PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator
from presence_async.testing.virtual_loop import VirtualLoop

HOUR_S = 3600
TIMEOUT_S = 300
MOST_BUSY = 1.2
MOST_BYTES = 1200
MOST_TIME = 1.3
MOST_CPU = 1.1
LEAST_CPU_OF_SDK = 8
MOST_LATE_MS = 20
ROUNDS = 3
BEAT_ROUNDS = 5
BEATS = Load(users=10_000, interval_s=10, seconds=5)
QUICK_BEATS = Load(users=600, interval_s=2, seconds=2)
MANY_BEATS = Load(users=100_000, interval_s=100, seconds=20)


async def an_hour(users: int, window_s: int) -> dict[str, float]:
    """Keep users present for a simulated hour."""
    began_s = time.monotonic()
    async with PresenceEmulator(journal_size=40 * users) as emulator:
        config = emulator.config(user_id="host", presence_timeout_s=TIMEOUT_S)
        async with PresenceClient(config) as client:
            await join_all(client, users)
            started_s = asyncio.get_running_loop().time()
            for minute in range(60):
                await asyncio.sleep(HOUR_S / 60)
                progress(f"minute {minute + 1} of 60 …")
            healths = Counter(lease.health for lease in client.heartbeats.leases)
            tasks = [task.get_name() for task in asyncio.all_tasks()]
            descriptors = open_descriptors()
        interval_s = TIMEOUT_S / 2 - 1
        settled = [
            int((entry.at_s - started_s) / window_s)
            for entry in emulator.requests.of("heartbeat")
            if interval_s < entry.at_s - started_s < HOUR_S - window_s
        ]
        per_window = Counter(settled)
        # The first and last windows are cut off.
        full = [per_window[w] for w in range(min(per_window) + 1, max(per_window))]
        events = Counter(event.action for event in emulator.events("lobby"))
    return {
        "users": users,
        "fresh": healths[LeaseHealth.FRESH],
        "timeouts": events["timeout"],
        "busiest/mean": round(max(full) * len(full) / sum(full), 3),
        "heartbeat tasks": sum(name == "presence heartbeats" for name in tasks),
        "descriptors": descriptors,
        "real s": round(time.monotonic() - began_s, 1),
    }


async def joining_and_leaving(users: int) -> dict[str, float]:
    """Time joins and the leaves of close against bare requests; weigh the users."""
    ratios, weights = [], []
    with canned_server() as port:
        origin = f"http://127.0.0.1:{port}"
        await bare(origin, min(users, 1000))
        for number in range(ROUNDS):
            progress(f"round {number + 1} of {ROUNDS} …")
            bare_s = await bare(origin, 2 * users)
            config = PresenceConfig(subscribe_key="demo", user_id="me", origin=origin)
            client = PresenceClient(config)
            await client.start()
            gc.collect()
            before = resident_bytes()
            began_s = time.perf_counter()
            await join_all(client, users)
            joined_s = time.perf_counter() - began_s
            gc.collect()
            weights.append((resident_bytes() - before) / users)
            began_s = time.perf_counter()
            report = await client.close(60)
            ours_s = joined_s + time.perf_counter() - began_s
            assert len(report.left) == users
            ratios.append(ours_s / bare_s)
    return {
        "join and leave / bare": round(median(ratios), 3),
        "bytes per user": round(weights[0]),
    }


async def join_all(client: PresenceClient, users: int) -> None:
    await in_bounds(users, lambda n: client.join("lobby", user_id=f"user-{n:05}"))


async def bare(origin: str, number: int) -> float:
    """Return the seconds that as many requests take without us."""
    url = f"{origin}/v2/presence/sub-key/demo/channel/lobby/heartbeat?uuid="
    async with aiohttp.ClientSession() as session:

        async def ask(n: int) -> None:
            async with session.get(f"{url}user-{n:05}") as response:
                await response.read()

        began_s = time.perf_counter()
        await in_bounds(number, ask)
        return time.perf_counter() - began_s


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def failures(values: dict[str, float], *, quick: bool) -> list[str]:
    failed = []
    if values["timeouts"] or values["fresh"] != values["users"]:
        failed.append(f"{values['timeouts']} timeouts, {values['fresh']} fresh")
    most = {"busiest/mean": MOST_BUSY}
    if not quick:
        most |= {
            "bytes per user": MOST_BYTES,
            "join and leave / bare": MOST_TIME,
            "p99 late, ms": MOST_LATE_MS,
            "many: p99 late, ms": MOST_LATE_MS,
        }
        if abs(values["control"] - 1) <= LARGEST_CONTROL_GAP:
            most["CPU of a beat / bare"] = MOST_CPU
        if values["CPU of SDK / ours"] < LEAST_CPU_OF_SDK:
            failed.append(f"the SDK costs only {values['CPU of SDK / ours']} times")
    failed += [
        f"{name} is {values[name]}, at most {limit} is good"
        for name, limit in most.items()
        if values[name] > limit
    ]
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,000 users")
    parser.add_argument("--users", type=int, default=10_000)
    options = parser.parse_args()
    users, window_s = (1000, 10) if options.quick else (options.users, 1)
    # Weighed first, in a process that has not grown yet.
    values = asyncio.run(joining_and_leaving(users))
    if options.quick:
        values |= asyncio.run(compare(QUICK_BEATS, 1))
    else:
        values |= asyncio.run(compare(BEATS, BEAT_ROUNDS))
        values |= asyncio.run(at_scale(MANY_BEATS))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        values |= runner.run(an_hour(users, window_s))
    for name, value in values.items():
        print(f"{name:<24}{value:>12,}")
    failed = failures(values, quick=options.quick)
    outcome = "failed: " + "; ".join(failed) if failed else "passed"
    print(outcome)
    print_result("keepalive_scale", {"outcome": outcome, **values}, "see names")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
