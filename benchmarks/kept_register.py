"""What does a register cost a process that keeps many users?

    python benchmarks/kept_register.py            # 100,000 users, some minutes
    python benchmarks/kept_register.py --quick    # 5,000 users, some seconds

Example: ``python benchmarks/kept_register.py | grep '^valkey'`` shows what a heartbeat
costs with a Valkey server.

Users at a presence timeout of 300 s, all of one client, over real sockets to a canned
server, which counts the heartbeats that arrive; without a register, with one in a file,
and with one on a Valkey server. Each client is a process of its own on the first core,
the servers are on the last one. All are measured at the same time, in slices, so that
the machine's speed is the same for all: what counts is the CPU of the client's process,
its threads included, of each heartbeat. With ``--quick`` the timeout is shorter, so
that as many heartbeats arrive in a second; fewer of them are due together then, which
makes a register dearer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from statistics import median
from typing import Any

import attrs
from keeping import Watch, joins
from measuring import canned_server, in_bounds, steal_share
from peers import config
from register_servers import is_here, shared
from reporting import Gate, conclude, judged, options_of, print_cases, progress

from presence_async import PresenceClient
from presence_async.register import register_at

WITHOUT, AGAIN = "without", "without again"
CASES = (WITHOUT, AGAIN, "sqlite", "valkey")
SLICE_S = 2.0
SETTLE_S = 1.0
MOST = 2.0
"""Of a file, which is for fewer users, only what it costs is told."""
JUDGED = ("valkey",)


@attrs.frozen(kw_only=True)
class Size:
    """How many users, at which presence timeout, for how many slices of time."""

    users: int
    timeout_s: int
    slices: int


FULL = Size(users=100_000, timeout_s=300, slices=10)
QUICK = Size(users=5_000, timeout_s=16, slices=2)


async def keep(case: str, size: Size) -> None:
    """Keep users, and say what that takes as soon as stdin tells to begin."""
    last_core = frozenset(sorted(os.sched_getaffinity(0))[-1:])
    has_register = case not in {WITHOUT, AGAIN}
    engine = case if has_register else "sqlite"
    with shared(engine, last_core) as server, canned_server() as service:
        settings = config(
            service.port,
            presence_timeout_s=size.timeout_s,
            leave_on_close=False,
            close_timeout_s=1,
        )
        register = register_at(server.place) if has_register else None
        async with PresenceClient(settings, register=register) as client:
            await in_bounds(size.users, joins(client))
            print(json.dumps("ready"), flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            before, watch, slices = unasked(client), Watch(service), []
            for _ in range(size.slices):
                await asyncio.sleep(SLICE_S)
                slices.append(watch.spent())
            found = {
                "CPU us": [spent.us for spent in slices],
                "heartbeats/s": [spent.requests / spent.took_s for spent in slices],
                "unasked": [unasked(client) - before],
            }
            print(json.dumps(found), flush=True)
            # Letting go of everybody is not what is asked here, and is cut.
            logging.getLogger("presence_async").setLevel(logging.ERROR)


def unasked(client: PresenceClient) -> int:
    """Return how many heartbeats were sent without asking: the register was late."""
    about = client.heartbeats.stats().register
    return 0 if about is None else about.unasked


Slices = dict[str, list[float]]


async def side_by_side(cases: list[str], size: Size) -> dict[str, Slices]:
    """Measure all cases at the same time, a process each."""
    processes: dict[str, Process] = {}
    for case in cases:
        progress(f"{size.users:,} users join: {case} …")
        numbers = [str(size.users), str(size.timeout_s), str(size.slices)]
        processes[case] = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--worker", case, *numbers),
            stdin=PIPE,
            stdout=PIPE,
        )
        assert await answer(processes[case]) == "ready"
    await asyncio.sleep(SETTLE_S)
    progress(f"all kept for {size.slices * SLICE_S:g} s …")
    for process in processes.values():
        assert process.stdin is not None
        process.stdin.write(b"begin\n")
    found = {case: await answer(process) for case, process in processes.items()}
    for process in processes.values():
        await process.communicate()
    return found


async def answer(process: Process) -> Any:  # noqa: ANN401  # JSON
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, "a process ended"
    return json.loads(line)


def compared(found: dict[str, Slices]) -> dict[str, dict[str, float]]:
    """Return what each case costs, and how that compares slice by slice."""
    base = found[WITHOUT]["CPU us"]
    return {
        case: {
            **{what: median(values) for what, values in slices.items()},
            "of without": median(
                us / of for us, of in zip(slices["CPU us"], base, strict=True)
            ),
        }
        for case, slices in found.items()
    }


def main() -> int:
    options = options_of(__doc__).parse_args()
    if options.worker:
        case, *numbers = options.worker
        users, timeout_s, slices = map(int, numbers)
        size = Size(users=users, timeout_s=timeout_s, slices=slices)
        asyncio.run(keep(case, size))
        return 0
    size = QUICK if options.quick else FULL
    cases = [case for case in CASES if case in {WITHOUT, AGAIN} or is_here(case)]
    order = random.sample(cases, len(cases))
    stolen = steal_share()
    found = asyncio.run(side_by_side(order, size))
    table = compared({case: found[case] for case in cases})
    print_cases(table, f"{size.users:,} users")
    gates = [
        Gate(
            what=f"a kept heartbeat: {case} / without",
            value=table[case]["of without"],
            limit=MOST,
            control=table[AGAIN]["of without"],
        )
        for case in cases
        if case in JUDGED
    ]
    outcome = judged(gates, quick=options.quick, stolen=stolen())
    return conclude("kept_register", outcome, table, "see names")


if __name__ == "__main__":
    sys.exit(main())
