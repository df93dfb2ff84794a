"""What does a large and busy roster cost the process that holds it?

    python benchmarks/roster.py            # 10,000 occupants, 500 events/s, 20 s
    python benchmarks/roster.py --quick    # 500 occupants, 100 events/s, 2 s

Example: ``python benchmarks/roster.py | grep share`` shows the share of a core alone.

An emulator in a process of its own, on the second core, holds the channel; users come
and go there, each of them one event. This process keeps a roster, with a reader that
takes every event, and checks in the end that the roster is right.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time

from measuring import beside, in_bounds, resident_bytes, steal_share
from reporting import Gate, bar, conclude, judged, options_of, print_table, progress

from presence_async import PresenceClient, PresenceConfig, Roster, UserEvent
from presence_async.emulator import PresenceEmulator

CHANNEL = "lobby"
LARGEST_SHARE = 0.5
SETTLE_S = 20
TICK_S = 0.02
LASTING_S = 3600


async def serve(occupants: int, events_per_s: int) -> None:
    """Hold a full channel; let users come and go once a line comes in."""
    loop = asyncio.get_running_loop()
    async with PresenceEmulator(announce_max=2 * occupants, journal_size=1) as emulator:
        config = emulator.config(user_id="crowd", presence_timeout_s=LASTING_S)
        async with PresenceClient(config) as client:

            async def come(number: int) -> None:
                await client.heartbeat(CHANNEL, user_id=f"user-{number:06}")

            await in_bounds(occupants, come)
            print(emulator.origin, flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)
            churn = asyncio.create_task(come_and_go(client, events_per_s))
            await loop.run_in_executor(None, sys.stdin.readline)
            churn.cancel()
            await asyncio.wait({churn})
            print("done", flush=True)
            await loop.run_in_executor(None, sys.stdin.read)


async def come_and_go(client: PresenceClient, events_per_s: int) -> None:
    """Let every other user leave or come back, at an even pace."""
    loop = asyncio.get_running_loop()
    began_s, count = loop.time(), 0
    while True:
        due = int((loop.time() - began_s) * events_per_s)
        for number in range(count, due):
            user_id = f"user-{number // 2 % 1000:06}"
            act = client.heartbeat if number % 2 else client.leave
            await act(CHANNEL, user_id=user_id)
        count = due
        await asyncio.sleep(TICK_S)


async def hold(process: subprocess.Popen[str], seconds: int) -> dict[str, float]:
    """Keep a roster while users come and go; return what that took."""
    assert process.stdin is not None
    assert process.stdout is not None
    origin = process.stdout.readline().strip()
    config = PresenceConfig(
        subscribe_key="demo", user_id="watcher", origin=origin, secure=False
    )
    async with PresenceClient(config) as client:
        before_bytes = resident_bytes()
        async with client.roster(CHANNEL) as roster:
            await roster.wait_for(lambda r: r.is_synced, timeout_s=30)
            occupants = roster.occupancy
            grown_bytes = resident_bytes() - before_bytes
            counts = {"events": 0, "corrections": 0}
            reading = asyncio.create_task(count_events(roster, counts))
            print(file=process.stdin, flush=True)
            await asyncio.sleep(1)
            first, began_s, began_cpu_s = counts["events"], now_s(), time.process_time()
            with bar("events come and go: seconds", seconds) as step:
                for _ in range(seconds):
                    await asyncio.sleep(1)
                    step()
            cpu_s, took_s = time.process_time() - began_cpu_s, now_s() - began_s
            events = counts["events"] - first
            print(file=process.stdin, flush=True)
            process.stdout.readline()
            await asyncio.sleep(1)
            truth = {o.user_id async for o in client.occupants(CHANNEL)}
            is_right = roster.user_ids == truth
        await reading
    return {
        "occupants": occupants,
        "events/s": round(events / took_s),
        "corrections": counts["corrections"],
        "share of a core": cpu_s / took_s,
        "CPU us an event": cpu_s / max(1, events) * 1e6,
        "bytes an occupant": round(grown_bytes / max(1, occupants)),
        "is right": int(is_right),
    }


async def count_events(roster: Roster, counts: dict[str, int]) -> None:
    async for event in roster:
        if isinstance(event, UserEvent):
            counts["events"] += 1
            counts["corrections"] += event.synthesized


def now_s() -> float:
    return time.monotonic()


def main() -> int:
    parser = options_of(__doc__)
    parser.add_argument(
        "--serve", nargs=2, type=int, help=argparse.SUPPRESS, metavar="NUMBER"
    )
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(*options.serve))
        return 0
    occupants, events_per_s = (500, 100) if options.quick else (10_000, 500)
    progress(f"{occupants:,} users come …")
    stolen = steal_share()
    with beside(__file__, "--serve", str(occupants), str(events_per_s)) as process:
        found = asyncio.run(hold(process, 2 if options.quick else 20))
    print_table(("roster", ""), list(found.items()))
    gates = [
        Gate(
            what="the list is right at the end",
            value=found["is right"],
            limit=1,
            is_least=True,
            is_count=True,
        ),
        Gate(
            what="share of a core", value=found["share of a core"], limit=LARGEST_SHARE
        ),
    ]
    outcome = judged(gates, quick=options.quick, stolen=stolen())
    return conclude("roster", outcome, found, "share of one core, microseconds, bytes")


if __name__ == "__main__":
    sys.exit(main())
