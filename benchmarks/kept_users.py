"""What do many users on one client cost, and are they all kept?

    python benchmarks/kept_users.py                   # up to 1,000,000 users
    python benchmarks/kept_users.py --users 100000    # of one number alone
    python benchmarks/kept_users.py --quick           # 12,000 users, some seconds

Example: ``python benchmarks/kept_users.py --users 50000 | grep '^50,000'`` shows the
line about 50,000 users.

The life of users at a presence timeout of 300 s, in a fresh process for each number of
them, over real sockets to a canned server on the other core: all join as fast as they
can, are kept for some seconds, lose the service for longer than their presence lasts
(the client's clock is moved on in steps, everything else is real), come back, leave.
``kept / call`` is the CPU of a kept heartbeat against ``client.heartbeat`` with 16 in
flight, measured before and after.

Then bytes per user, each in a fresh process: what the process grows by, and what Python
counts; the CPU of 1,000 heartbeats a second against as many by bare ``session.get`` and
by the official SDK (one instance whose user is swapped, with its default handler and
its aiohttp handler, and one instance a user); and an hour in virtual time against the
emulator: timeouts, and the busiest second.
"""

from __future__ import annotations

import asyncio
import json
import sys

from keeping import HastyLoop, live, weigh
from kept_hour import an_hour
from measuring import in_fresh_process, steal_share
from open_loop import compare
from reporting import Gate, conclude, judged, options_of, print_table, progress, shown

from presence_async.testing import VirtualLoop

USERS = (10_000, 100_000, 1_000_000)
QUICK_USERS = (12_000,)
TIMEOUT_S = 300
CALM_S, QUICK_CALM_S = 10.0, 1.0
WEIGHED, TRACED = 50_000, 20_000
OF_KEPT_TO_CALL = 1.2
MANY_PER_S = 300
"""Fewer heartbeats have the client wake up for each, as a single call does."""
MOST_SHARE = 0.5
MOST_BYTES, QUICK_MOST_BYTES = 600, 700
"""Fewer users share what the client has for each place in the interval."""
MOST_BUSY = 1.2
MOST_LATE_MS = 149
"""A thousandth of the interval."""
MOST_TASKS, MOST_DESCRIPTORS = 80, 200
Cases = dict[str, dict[str, float]]


def in_worker(case: str, *numbers: float) -> dict[str, float]:
    """Measure one case in this process."""
    if case == "life":
        with asyncio.Runner(loop_factory=HastyLoop) as runner:
            return runner.run(live(int(numbers[0]), numbers[1], int(numbers[2])))
    if case == "hour":
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(an_hour(int(numbers[0]), int(numbers[1])))
    if case == "others":
        return asyncio.run(compare(int(numbers[0]), numbers[1], int(numbers[2])))
    return asyncio.run(weigh(int(numbers[0]), traced=case == "traced"))


def cases_of(users: tuple[int, ...], *, quick: bool) -> dict[str, tuple[object, ...]]:
    """Return what is measured, by name, as the arguments of a worker."""
    if quick:
        return {
            **{f"{n:,} users": ("life", n, QUICK_CALM_S, 12) for n in users},
            "resident": ("weigh", 10_000),
            "others": ("others", 1000, 1, 1),
            "hour": ("hour", 50, 60),
        }
    return {
        **{f"{n:,} users": ("life", n, CALM_S, TIMEOUT_S) for n in users},
        "resident": ("weigh", WEIGHED),
        "counted": ("traced", TRACED),
        "others": ("others", 1000, 3, 3),
        "hour": ("hour", 10_000, 1),
    }


def gates_of(found: Cases, *, quick: bool) -> list[Gate]:
    hour, others = found["hour"], found["others"]
    gates = [
        Gate(what=f"hour: {what}", value=hour[what], limit=limit, is_count=True)
        for what, limit in (
            ("timeouts", 0),
            ("not fresh", 0),
            ("heartbeat tasks", 1),
            ("busiest / mean", MOST_BUSY),
        )
    ]
    gates += [
        Gate(
            what=f"bytes a user, {what}",
            value=found[what]["bytes"],
            limit=QUICK_MOST_BYTES if quick else MOST_BYTES,
            is_count=True,
        )
        for what in ("resident", "counted")
        if what in found
    ]
    gates.append(
        Gate(
            what="1,000 heartbeats/s: sdk / ours",
            value=others["sdk / ours"],
            limit=8,
            is_least=True,
            control=others["control"],
        )
    )
    for case, values in found.items():
        if "left" in values:
            gates += life_gates(case, values)
    return gates


def life_gates(case: str, values: dict[str, float]) -> list[Gate]:
    users = values["users"]
    gates = [
        *[
            Gate(
                what=f"{case}: {what}",
                value=values[what],
                limit=users,
                is_least=True,
                is_count=True,
            )
            for what in ("outage: lost", "return: fresh", "left")
        ],
        *[
            Gate(what=f"{case}: {what}", value=values[what], limit=most, is_count=True)
            for what, most in (
                ("kept: tasks", MOST_TASKS),
                ("kept: descriptors", MOST_DESCRIPTORS),
            )
        ],
        Gate(
            what=f"{case}: share of a core",
            value=values["kept: share of a core"],
            limit=MOST_SHARE,
        ),
        Gate(
            what=f"{case}: p99 late, ms",
            value=values["kept: p99 late, ms"],
            limit=MOST_LATE_MS,
        ),
    ]
    if values["kept: heartbeats/s"] >= MANY_PER_S:
        gates.append(
            Gate(
                what=f"{case}: kept / call",
                value=values["kept / call"],
                limit=OF_KEPT_TO_CALL,
                control=values["kept: control"],
            )
        )
    return gates


def show(found: Cases) -> None:
    lives = {case: values for case, values in found.items() if "left" in values}
    for name, cases in {"a life": lives, **{c: {c: found[c]} for c in found}}.items():
        if name not in lives:
            names = next(iter(cases.values()))
            rows = [(n, *[values[n] for values in cases.values()]) for n in names]
            print_table((name, *(cases if cases is lives else [""])), rows)


def main() -> int:
    parser = options_of(__doc__)
    parser.add_argument("--users", type=int, help="instead of 10,000 to 1,000,000")
    options = parser.parse_args()
    if options.worker:
        case, *numbers = options.worker
        print(json.dumps(in_worker(case, *map(float, numbers))))
        return 0
    users = (
        (options.users,) if options.users else QUICK_USERS if options.quick else USERS
    )
    cases = cases_of(users, quick=options.quick)
    stolen, found = steal_share(), {}
    for number, (case, arguments) in enumerate(cases.items()):
        progress(f"{case}, case {number + 1} of {len(cases)} …")
        found[case] = in_fresh_process(__file__, *arguments)
        # The next case may take minutes.
        progress(", ".join(f"{n} {shown(v)}" for n, v in found[case].items()))
    show(found)
    outcome = judged(
        gates_of(found, quick=options.quick), quick=options.quick, stolen=stolen()
    )
    return conclude("kept_users", outcome, found, "see names")


if __name__ == "__main__":
    sys.exit(main())
