"""What does a register cost a process that keeps many users?

    python benchmarks/kept_register.py            # 100,000 users, some minutes
    python benchmarks/kept_register.py --quick    # 5,000 users, some seconds

Example: ``python benchmarks/kept_register.py | grep '^valkey'`` shows what a heartbeat
costs with a Valkey server.

Users at a presence timeout of 300 s, all of one client, over real sockets to a canned
server on the other core, which counts the heartbeats that arrive; without a register,
with one in a file, and with one on a Valkey server on the other core. With ``--quick``
the timeout is shorter, so that as many heartbeats arrive in a second: they share what
is done for several at once. Each in a fresh process, in random order, some rounds of
them. What counts is the CPU of the client's process, its threads included, against that
of a heartbeat call at the same time; ``of without`` compares within a round.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
from collections.abc import Sequence
from statistics import median

from keeping import calm, joins
from measuring import canned_server, in_bounds, in_fresh_process, steal_share
from peers import config, our_calls
from register_servers import is_here, shared
from reporting import Gate, conclude, judged, options_of, print_cases, progress

from presence_async import PresenceClient
from presence_async.register import register_at

WITHOUT = "without"
CASES = (WITHOUT, "without again", "sqlite", "valkey")
USERS, TIMEOUT_S, CALM_S, ROUNDS = 100_000, 300, 10.0, 2
QUICK_USERS, QUICK_TIMEOUT_S, QUICK_CALM_S, QUICK_ROUNDS = 5_000, 16, 2.0, 1
MOST = 2.0
COST = "kept / call"
SHOWN = ("kept: heartbeats/s", "kept: CPU us", COST, "kept: share of a core")
Costs = dict[str, float]


async def keep(case: str, users: int, timeout_s: int, seconds: float) -> Costs:
    """Keep users, in this process, and return what that takes."""
    others = frozenset(sorted(os.sched_getaffinity(0))[-1:])
    engine = "sqlite" if case.startswith(WITHOUT) else case
    with shared(engine, others) as server, canned_server() as service:
        register = None if case.startswith(WITHOUT) else register_at(server.place)
        settings = config(
            service.port,
            presence_timeout_s=timeout_s,
            leave_on_close=False,
            close_timeout_s=1,
        )
        # Letting go of everybody is not what is asked here, and is cut.
        logging.getLogger("presence_async").setLevel(logging.ERROR)
        async with (
            PresenceClient(config(service.port)) as caller,
            PresenceClient(settings, register=register) as client,
        ):
            await in_bounds(users, joins(client))
            references = {"call": our_calls(caller)["heartbeat"]}
            found = await calm(client, service, references, seconds)
            about = client.heartbeats.stats().register
            assert about is None or (about.is_up and not about.unasked)
            return found


def compared(rounds: Sequence[dict[str, Costs]]) -> dict[str, Costs]:
    """Return the medians of all rounds, and how each case compares."""
    found = {}
    for case in rounds[0]:
        found[case] = {name: median(r[case][name] for r in rounds) for name in SHOWN}
        found[case]["of without"] = median(
            r[case][COST] / r[WITHOUT][COST] for r in rounds
        )
    return found


def main() -> int:
    options = options_of(__doc__).parse_args()
    if options.worker:
        case, users, timeout_s, seconds = options.worker
        found = asyncio.run(keep(case, int(users), int(timeout_s), float(seconds)))
        print(json.dumps(found))
        return 0
    size: tuple[float, ...] = (USERS, TIMEOUT_S, CALM_S)
    number = QUICK_ROUNDS if options.quick else ROUNDS
    cases = [case for case in CASES if case.startswith(WITHOUT) or is_here(case)]
    if options.quick:
        size = (QUICK_USERS, QUICK_TIMEOUT_S, QUICK_CALM_S)
        cases.remove("without again")
    stolen, rounds = steal_share(), []
    for n in range(number):
        random.shuffle(cases)
        measured = {}
        for case in cases:
            progress(f"{case}, round {n + 1} of {number} …")
            measured[case] = in_fresh_process(__file__, case, *size)
        rounds.append(measured)
    table = compared(rounds)
    table = {case: table[case] for case in CASES if case in table}
    print_cases(table, f"{size[0]:,} users")
    control = table.get("without again", {"of without": 1.0})["of without"]
    gates = [
        Gate(
            what=f"a kept heartbeat: {case} / without",
            value=table[case]["of without"],
            limit=MOST,
            control=control,
        )
        for case in table
        if not case.startswith(WITHOUT)
    ]
    outcome = judged(gates, quick=options.quick, stolen=stolen())
    return conclude("kept_register", outcome, table, "see names")


if __name__ == "__main__":
    sys.exit(main())
