"""How costs are measured on a small machine whose speed drifts.

Blocks of some milliseconds of every variant alternate in random order inside one
process; each variant is judged by the 2nd percentile of its blocks, since noise only
ever adds. Two copies of the reference tell how far a ratio can be trusted. What the
variants talk to runs on the other core.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import attrs
from reporting import LARGEST_CONTROL_GAP, LARGEST_STEAL, print_result, progress

__all__ = [
    "LARGEST_CONTROL_GAP",
    "LARGEST_STEAL",
    "Call",
    "CannedServer",
    "alternate",
    "alternate_plain",
    "beside",
    "canned_server",
    "in_bounds",
    "in_fresh_process",
    "medians",
    "open_descriptors",
    "percentile_2",
    "print_result",
    "progress",
    "resident_bytes",
    "steal_share",
]

Call = Callable[[], Awaitable[object]]
Costs = dict[str, list[float]]

SECOND_PERCENTILE = 50
FEW_ROUNDS = 40
FEWEST_ROUNDS = 3
WARM_UPS = 3
WARM_UP_CALLS = 32
BLOCK_US = 6000
"""Of CPU: enough for the code of a variant to be in the caches, and far less than the
time in which the machine's speed changes."""
IN_FLIGHT = 64
CLOSING_S = 10


def percentile_2(costs: list[float]) -> float:
    """Return the almost undisturbed cost; the median of few blocks."""
    ordered = sorted(costs)
    if len(ordered) < FEW_ROUNDS:
        return median(ordered)
    return ordered[len(ordered) // SECOND_PERCENTILE]


async def alternate(
    calls: Mapping[str, Call], *, in_flight: int, seconds: float, rng: random.Random
) -> dict[str, float]:
    """Return the CPU microseconds per call of each variant."""
    each = {}
    for name, call in calls.items():
        warm = max(2, WARM_UP_CALLS // in_flight)
        cost_us = min([await _block(call, in_flight, warm) for _ in range(WARM_UPS)])
        each[name] = max(2, round(BLOCK_US / cost_us / in_flight))
    costs: Costs = {name: [] for name in calls}
    for name in _shuffled(list(calls), costs, seconds, rng):
        costs[name].append(await _block(calls[name], in_flight, each[name]))
    return {name: percentile_2(blocks) for name, blocks in costs.items()}


def alternate_plain(
    calls: Mapping[str, Callable[[], object]], *, seconds: float, rng: random.Random
) -> dict[str, float]:
    """Return the CPU microseconds per call of each variant, none of which waits."""
    each = {}
    for name, call in calls.items():
        cost_us = min(_plain_block(call, 1) for _ in range(WARM_UPS))
        each[name] = max(1, round(BLOCK_US / max(1.0, cost_us)))
    costs: Costs = {name: [] for name in calls}
    for name in _shuffled(list(calls), costs, seconds, rng):
        costs[name].append(_plain_block(calls[name], each[name]))
    return {name: percentile_2(blocks) for name, blocks in costs.items()}


def _shuffled(
    names: list[str], costs: Costs, seconds: float, rng: random.Random
) -> Iterator[str]:
    """Yield all names in another order each round, until the time is over."""
    gc.collect()
    gc.freeze()
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s or len(costs[names[0]]) < FEWEST_ROUNDS:
        rng.shuffle(names)
        yield from names
    gc.unfreeze()


async def _block(call: Call, in_flight: int, each: int) -> float:
    async def worker() -> None:
        for _ in range(each):
            await call()

    began_ns = time.process_time_ns()
    await asyncio.gather(*[worker() for _ in range(in_flight)])
    return (time.process_time_ns() - began_ns) / (in_flight * each) / 1000


def _plain_block(call: Callable[[], object], each: int) -> float:
    began_ns = time.process_time_ns()
    for _ in range(each):
        call()
    return (time.process_time_ns() - began_ns) / each / 1000


async def in_bounds(number: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Make calls, a bounded number at once."""
    numbers = iter(range(number))

    async def worker() -> None:
        for n in numbers:
            await call(n)

    await asyncio.gather(*[worker() for _ in range(IN_FLIGHT)])


@contextlib.contextmanager
def beside(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Run a Python program on the last core, this process on the first."""
    cores = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        os.sched_setaffinity(process.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})
        try:
            yield process
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLOSING_S)
            process.terminate()
            os.sched_setaffinity(0, cores)


@attrs.frozen
class CannedServer:
    """The canned server: its port, and what it can be told."""

    port: int
    process: subprocess.Popen[str]

    def tell(self, command: str) -> int:
        """Let it answer (``answer``) or fail (``fail``); return its ``count``."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(command, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def canned_server() -> Iterator[CannedServer]:
    """Run the canned server on the other core."""
    with beside(Path(__file__).with_name("canned_server.py")) as process:
        assert process.stdout is not None
        yield CannedServer(int(process.stdout.readline()), process)


def in_fresh_process(file: str, *arguments: object) -> Any:  # noqa: ANN401  # JSON
    """Measure in a fresh process, since layout, hashing and memory differ in each.

    It is called with ``--worker`` and the arguments, and prints JSON.
    """
    done = subprocess.run(
        [sys.executable, file, "--worker", *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout)


def medians(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the medians of several runs, value by value."""
    return {
        case: {
            name: round(median([run[case][name] for run in runs]), 3)
            for name in runs[0][case]
        }
        for case in runs[0]
    }


def resident_bytes() -> int:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
