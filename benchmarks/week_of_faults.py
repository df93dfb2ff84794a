"""What does a week of random faults leave behind?

    python benchmarks/week_of_faults.py            # a week, about a minute
    python benchmarks/week_of_faults.py --quick    # a quarter of a day

Example: ``python benchmarks/week_of_faults.py | grep second`` shows what grows.

Twelve users and a roster on one client, in virtual time. About every hour and a half
something goes wrong at the service for some minutes: errors, silence, cut connections,
HTML, refusals; now and then the machine sleeps. At the end everybody is fresh and the
roster is right, all users leave at the close, no task is left, and no more descriptors
are open than before. From the second day on memory and objects hardly grow.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import sys
from typing import Any

from measuring import open_descriptors, resident_bytes
from reporting import Gate, bar, conclude, judged, options_of, print_table

from presence_async import LeaseHealth, PresenceClient
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.testing import LeakCheck, VirtualLoop

DAY_S = 86_400
USERS = 12
BETWEEN_FAULTS_S = 5_400
LASTING_S = 300
SLEEPING_S = 3_000
SLEEPS = 0.05
MOST_GROWTH = 1.05
MOST_OBJECTS = 1.1
KINDS: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 503},
    {"status": 503, "retry_after_s": 20},
    {"status": 429},
    {"status": 403},
    {"body": b"<html>"},
    {"cut": True},
    {"delay_s": math.inf},
]


async def live(days: float, loop: VirtualLoop) -> dict[str, float]:
    """Let the days go by; return what they leave behind."""
    rng = random.Random(7)  # noqa: S311  # the same week each time
    sizes: list[tuple[int, int]] = []
    before = open_descriptors()
    async with LeakCheck():
        async with (
            PresenceEmulator(journal_size=1000) as emulator,
            PresenceClient(emulator.config(user_id="bot")) as client,
        ):
            leases = [
                await client.join("lobby", user_id=f"user-{n}", state={"n": n})
                for n in range(USERS)
            ]
            async with client.roster("lobby") as roster:
                with bar("a week of faults: days", math.ceil(days)) as step:
                    for day in range(math.ceil(days)):
                        await suffer(min(1.0, days - day) * DAY_S, emulator, loop, rng)
                        gc.collect()
                        sizes.append((resident_bytes(), len(gc.get_objects())))
                        step()
                await asyncio.sleep(LASTING_S * 12)
                fresh = sum(lease.health is LeaseHealth.FRESH for lease in leases)
                is_right = roster.user_ids == set(emulator.occupants("lobby"))
            beats = client.heartbeats.stats().beats_sent
        report = client.close_report
    settled = sizes[min(1, len(sizes) - 1)]
    return {
        "days": days,
        "heartbeats": beats,
        "fresh": fresh,
        "roster is right": int(is_right),
        "left": len(report.left) if report is not None else 0,
        "descriptors more": open_descriptors() - before,
        "memory / second day": sizes[-1][0] / settled[0],
        "objects / second day": sizes[-1][1] / settled[1],
    }


async def suffer(
    seconds: float, emulator: PresenceEmulator, loop: VirtualLoop, rng: random.Random
) -> None:
    """Let things go wrong for a while."""
    end_s = loop.time() + seconds
    while (left_s := end_s - loop.time()) > 0:
        await asyncio.sleep(min(left_s, rng.expovariate(1 / BETWEEN_FAULTS_S)))
        emulator.inject(
            Fault(
                for_s=rng.expovariate(1 / LASTING_S),
                probability=rng.choice([0.3, 1.0]),
                seed=rng.randrange(1000),
                **rng.choice(KINDS),
            )
        )
        if rng.random() < SLEEPS:
            loop.suspend(rng.expovariate(1 / SLEEPING_S))


def gates_of(values: dict[str, float], *, quick: bool) -> list[Gate]:
    least = {"fresh": USERS, "left": USERS, "roster is right": 1}
    most = {"descriptors more": 0.0}
    if not quick:
        most |= {
            "memory / second day": MOST_GROWTH,
            "objects / second day": MOST_OBJECTS,
        }
    return [
        Gate(what=what, value=values[what], limit=limit, is_least=True, is_count=True)
        for what, limit in least.items()
    ] + [
        Gate(what=what, value=values[what], limit=limit, is_count=True)
        for what, limit in most.items()
    ]


def main() -> int:
    options = options_of(__doc__).parse_args()
    # What goes wrong is told by the library, thousands of times.
    logging.getLogger("presence_async").setLevel(logging.CRITICAL)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        values = runner.run(live(0.25 if options.quick else 7, loop))
    print_table(("a week", ""), list(values.items()))
    outcome = judged(gates_of(values, quick=options.quick), quick=options.quick)
    return conclude("week_of_faults", outcome, values, "see names")


if __name__ == "__main__":
    sys.exit(main())
