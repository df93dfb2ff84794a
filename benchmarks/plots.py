"""The two plots of the README: measured, kept as JSON, and drawn.

    python benchmarks/plots.py                    # measures for 15 minutes, then draws
    python benchmarks/plots.py --users 300000     # for 8 minutes: no more users kept
    python benchmarks/plots.py --draw             # draws plots.json again

``calls.svg``: where-now calls a second against calls in flight, slices of a second of
every variant alternating. ``kept_users.svg``: the share of a core that keeps users
present at a presence timeout of 300 s against their number. Ours keeps them; the others
send as many heartbeats a second, the SDK by one instance whose user is swapped before
each. What cannot send 95 % of them in time is not measured with more users, and marked.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from drawing import draw
from keeping import Watch, joins
from measuring import Call, canned_server, in_bounds, in_fresh_process
from open_loop import at_rate
from peers import (
    bare_calls,
    bare_session,
    config,
    our_calls,
    sdk,
    sdk_by_aiohttp,
    sdk_calls,
)
from reporting import bar, machine, progress, versions

from presence_async import PresenceClient

DATA = Path(__file__).with_name("plots.json")
IN_FLIGHT = (1, 4, 16, 64, 256)
SLICE_S = 1.0
SLICES = 5
USERS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
INTERVAL_S = 149
KEPT_S = 10
IN_TIME = 0.95
OURS = "presence_async"
OTHERS = ("bare aiohttp", "SDK, aiohttp handler", "SDK")


async def others(stack: AsyncExitStack, port: int) -> dict[str, dict[str, Call]]:
    session = await stack.enter_async_context(bare_session())
    calls = {"bare aiohttp": bare_calls(session, port)}
    for name, pubnub in (
        ("SDK, aiohttp handler", sdk_by_aiohttp(port)),
        ("SDK", sdk(port)),
    ):
        stack.push_async_callback(pubnub.stop)
        calls[name] = sdk_calls(pubnub)
    return calls


async def calls_per_s() -> dict[str, list[float]]:
    """Return how many calls a second each makes, by calls in flight."""
    found: dict[str, list[float]] = {}
    async with AsyncExitStack() as stack:
        port = stack.enter_context(canned_server()).port
        client = await stack.enter_async_context(PresenceClient(config(port)))
        variants = {OURS: our_calls(client), **await others(stack, port)}
        with bar("calls: slices", len(IN_FLIGHT) * SLICES) as step:
            for in_flight in IN_FLIGHT:
                slices: dict[str, list[float]] = {name: [] for name in variants}
                for _ in range(SLICES):
                    for name, calls in variants.items():
                        slices[name].append(await _slice(calls["where now"], in_flight))
                    step()
                for name, of in slices.items():
                    found.setdefault(name, []).append(round(median(of)))
    return found


async def _slice(call: Call, in_flight: int) -> float:
    end_s = time.perf_counter() + SLICE_S
    count = itertools.count()

    async def worker() -> None:
        while time.perf_counter() < end_s:
            await call()
            next(count)

    began_s = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(in_flight)])
    return next(count) / (time.perf_counter() - began_s)


async def share_of_ours(users: int) -> float:
    """Return the share of a core that so many kept users take."""
    with canned_server() as server:
        client = PresenceClient(config(server.port, leave_on_close=False))
        async with client:
            await in_bounds(users, joins(client))
            await asyncio.sleep(1)
            watch = Watch(server)
            await asyncio.sleep(KEPT_S)
            spent = watch.spent()
            assert spent.requests > IN_TIME * KEPT_S * users / INTERVAL_S - 1
            return spent.share


async def share_of_other(name: str, users: int) -> float | None:
    """Return the share of a core for as many heartbeats; ``None``: too many."""
    async with AsyncExitStack() as stack:
        port = stack.enter_context(canned_server()).port
        call = (await others(stack, port))[name]["heartbeat"]
        rate_per_s = users / INTERVAL_S
        try:
            beats = await at_rate(call, rate_per_s, KEPT_S)
        except Exception as error:  # noqa: BLE001  # the SDK's, of any kind
            progress(f"{name} with {users:,} users: {error!r}")
            return None
    if beats.was_cut or beats.per_s < IN_TIME * rate_per_s:
        return None
    return beats.share


def shares(numbers: list[int]) -> dict[str, list[float | None]]:
    """Return the share of a core of each, by number of users."""
    found: dict[str, list[float | None]] = {name: [] for name in (OURS, *OTHERS)}
    with bar("kept users: numbers", len(numbers) * len(found)) as step:
        for users in numbers:
            for name, of in found.items():
                # Whoever could not keep up with fewer cannot with more.
                can = not of or of[-1] is not None
                of.append(in_fresh_process(__file__, name, users) if can else None)
                step()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draw", action="store_true", help="without measuring")
    parser.add_argument("--users", type=int, default=USERS[-1], help="at most so many")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        name, users = options.worker[0], int(options.worker[1])
        work = share_of_ours(users) if name == OURS else share_of_other(name, users)
        print(json.dumps(asyncio.run(work)))
        return 0
    numbers = [users for users in USERS if users <= options.users]
    if not options.draw:
        measured = {
            "machine": machine(),
            "versions": versions(),
            "calls a second": {
                "in flight": IN_FLIGHT,
                **asyncio.run(calls_per_s()),
            },
            "share of a core": {"users": numbers, **shares(numbers)},
        }
        DATA.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    draw(json.loads(DATA.read_text(encoding="utf-8")), DATA.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
