"""Does ten times as much cost ten times as much, and no more?

    python benchmarks/linear.py            # two minutes
    python benchmarks/linear.py --quick    # smaller numbers, some seconds

Example: ``python benchmarks/linear.py | grep '^users'`` shows the lines about users.

CPU of this process with n and with ten times n of: users who are kept for one interval,
users who join and leave, channels of a lease, occupants in a reply that is read to the
end, occupants of a roster, and watchers (open streams that each read every event). The
clock of a client that keeps users is moved on; its sockets, to a canned server on the
other core, are real. Rosters are in virtual time against the emulator. Small and large
ones alternate; ``control`` is what small ones cost after large ones against before.
"""

from __future__ import annotations

import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import attrs
from growing import (
    KeptUsers,
    RosterOfMany,
    join_and_leave,
    lease_of_many,
    read_occupants,
    watch,
)
from measuring import canned_server, steal_share
from reporting import Gate, bar, conclude, judged, options_of, print_cases

TIMES = 10
MOST = 11.0
ROUNDS, QUICK_ROUNDS = 4, 1
SMALL_ONES, QUICK_SMALL_ONES = 3, 1


@attrs.frozen
class Growth:
    """Something to be had in any number: what to call, and small numbers of it."""

    what: str
    begin: Callable[[ExitStack, int, int], Callable[[], None]]
    small: int
    quick_small: int


def growths() -> Iterator[Growth]:
    yield Growth("users kept", KeptUsers.begin, 2_000, 300)
    yield Growth("users joining and leaving", join_and_leave, 1_000, 50)
    yield Growth("channels of a lease", lease_of_many, 30, 30)
    yield Growth("occupants of a reply", read_occupants, 1_000, 1_000)
    yield Growth("occupants of a roster", RosterOfMany.begin, 300, 100)
    yield Growth("watchers", watch, 30, 5)


def measure(growth: Growth, port: int, *, quick: bool) -> dict[str, float]:
    """Return how much more ten times as much costs."""
    small = growth.quick_small if quick else growth.small
    with ExitStack() as stack:
        few = growth.begin(stack, port, small)
        many = growth.begin(stack, port, small * TIMES)
        before, large, after = [], [], []
        ones = range(QUICK_SMALL_ONES if quick else SMALL_ONES)
        few()
        many()
        for _ in range(QUICK_ROUNDS if quick else ROUNDS):
            before.append(median(cpu_s(few) for _ in ones))
            large.append(cpu_s(many))
            after.append(median(cpu_s(few) for _ in ones))
    pairs = list(zip(before, large, after, strict=True))
    return {
        "n": small,
        "us each, n": (median(before) + median(after)) / 2 / small * 1e6,
        "us each, 10 n": median(large) / small / TIMES * 1e6,
        "cost of 10 n / n": median(2 * many / (a + b) for a, many, b in pairs),
        "control": median(b / a for a, _, b in pairs),
    }


def cpu_s(call: Callable[[], None]) -> float:
    with unwatched():
        began_s = time.process_time()
        call()
        return time.process_time() - began_s


@contextmanager
def unwatched() -> Iterator[None]:
    """Keep the collector from going through what other variants hold."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def main() -> int:
    options = options_of(__doc__).parse_args()
    # It tells that the loop of one client stands still while others are measured.
    logging.getLogger("presence_async").setLevel(logging.CRITICAL)
    stolen, found, every = steal_share(), {}, list(growths())
    with canned_server() as server, bar("linear: kinds", len(every)) as step:
        for growth in every:
            found[growth.what] = measure(growth, server.port, quick=options.quick)
            step()
    print_cases(found, "of")
    gates = [
        Gate(
            what=f"10 times the {what}",
            value=values["cost of 10 n / n"],
            limit=MOST,
            control=values["control"],
        )
        for what, values in found.items()
    ]
    outcome = judged(gates, quick=options.quick, stolen=stolen())
    return conclude("linear", outcome, found, "ratio of CPU, microseconds")


if __name__ == "__main__":
    sys.exit(main())
