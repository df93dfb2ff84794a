"""How ratios are measured on a small machine whose speed drifts.

Blocks of a few milliseconds of every variant alternate in random order inside one
process; each variant is judged by the 2nd percentile of its blocks, since noise only
ever adds. Two copies of the reference tell how far a ratio can be trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from statistics import median

Call = Callable[[], Awaitable[object]]
Costs = dict[str, list[float]]

LARGEST_CONTROL_GAP = 0.05
LARGEST_STEAL = 0.03
SECOND_PERCENTILE = 50
FEW_ROUNDS = 40
WARM_UP = 3
IN_FLIGHT = 64
BLOCK_CALLS = 96
"""About 10 ms of the fastest variants: enough for their code to be in the caches."""


def percentile_2(costs: list[float]) -> float:
    """Return the almost undisturbed cost; the median of few blocks."""
    ordered = sorted(costs)
    if len(ordered) < FEW_ROUNDS:
        return median(ordered)
    return ordered[len(ordered) // SECOND_PERCENTILE]


@contextlib.contextmanager
def canned_server() -> Iterator[int]:
    """Run the canned server on the second core, this process on the first."""
    cores = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("canned_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        os.sched_setaffinity(server.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            server.wait(5)
            os.sched_setaffinity(0, cores)


async def alternate(
    calls: Mapping[str, Call], *, in_flight: int, rounds: int, rng: random.Random
) -> Costs:
    """Return the CPU microseconds per call of each block of each variant."""
    costs: Costs = {name: [] for name in calls}
    each = max(2, BLOCK_CALLS // in_flight)
    names = list(calls)
    for number in range(rounds + WARM_UP):
        if number == 1:
            gc.collect()
            gc.freeze()
        rng.shuffle(names)
        for name in names:
            cost_us = await _block(calls[name], in_flight, each)
            if number >= WARM_UP:
                costs[name].append(cost_us)
    gc.unfreeze()
    return costs


async def _block(call: Call, in_flight: int, each: int) -> float:
    async def worker() -> None:
        for _ in range(each):
            await call()

    began_ns = time.process_time_ns()
    await asyncio.gather(*[worker() for _ in range(in_flight)])
    return (time.process_time_ns() - began_ns) / (in_flight * each) / 1000


async def in_bounds(number: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Make calls, a bounded number at once."""
    numbers = iter(range(number))

    async def worker() -> None:
        for n in numbers:
            await call(n)

    await asyncio.gather(*[worker() for _ in range(IN_FLIGHT)])


def resident_bytes() -> int:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def steal_share() -> Callable[[], float]:
    """Start watching how much of the machine others take; call for the share."""
    before = _cpu_times()

    def share() -> float:
        spent = [b - a for a, b in zip(before, _cpu_times(), strict=True)]
        return spent[7] / max(1, sum(spent))

    return share


def _cpu_times() -> list[int]:
    line = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0]
    return [int(field) for field in line.split()[1:9]]


def progress(text: str) -> None:
    """Say on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def print_result(name: str, values: Mapping[str, object], unit: str) -> None:
    """Print the one JSON line of a benchmark."""
    packages = ("aiohttp", "attrs", "msgspec", "yarl", "pubnub", "httpx")
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    print(
        json.dumps({
            "name": name,
            "value": values,
            "unit": unit,
            "versions": versions,
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs,"
            f" Python {platform.python_version()}",
        })
    )
