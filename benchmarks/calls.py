"""What does one small call cost: ours, bare aiohttp, a floor, and the official SDK?

    python benchmarks/calls.py            # 3 processes, under 4 minutes
    python benchmarks/calls.py --quick    # one short process

Example: ``python benchmarks/calls.py | tail -1 | python -m json.tool`` shows the line
for programs alone.

Where now, heartbeat and here now (3 occupants) at 1, 16 and 100 in flight against a
canned server on the other core; CPU of this process per call. ``bare`` is
``session.get`` of a default session and msgspec; ``bare again`` is its twin, the
control. ``floor`` is an asyncio protocol written by hand. ``sdk`` is PubNubAsyncio with
its default handler, ``sdk-aiohttp`` with its own aiohttp handler.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import AsyncExitStack

from measuring import (
    Call,
    alternate,
    canned_server,
    in_fresh_process,
    medians,
    steal_share,
)
from peers import (
    Floor,
    bare_calls,
    bare_session,
    config,
    our_calls,
    sdk,
    sdk_by_aiohttp,
    sdk_calls,
)
from reporting import Gate, bar, conclude, judged, options_of, print_cases

from presence_async import PresenceClient

PROCESSES = 3
SECONDS, SECONDS_OF_SDK = 6.0, 4.0
QUICK_SECONDS = 0.25
CASES = (
    ("where now", 1),
    ("where now", 16),
    ("where now", 100),
    ("heartbeat", 1),
    ("heartbeat", 16),
    ("heartbeat", 100),
    ("here now", 16),
)
CASES_OF_SDK = (("where now", 1), ("where now", 16), ("heartbeat", 16))
MOST_OF_BARE = {
    "where now, 1": 0.65,
    "where now, 16": 0.45,
    "where now, 100": 0.45,
    "heartbeat, 16": 0.5,
}
LEAST_OF_SDK = {"sdk / ours": 25.0, "sdk-aiohttp / ours": 3.5}
GATED_OF_SDK = "where now, 16"


async def measure(seconds: float, seconds_of_sdk: float, seed: int) -> object:
    """Return ratios of CPU per call, by operation and load."""
    rng = random.Random(seed)  # noqa: S311  # an order, no secret
    async with AsyncExitStack() as stack:
        port = stack.enter_context(canned_server()).port
        client = await stack.enter_async_context(PresenceClient(config(port)))
        ours = our_calls(client)
        fast = {"ours": ours}
        for name in ("bare", "bare again"):
            session = await stack.enter_async_context(bare_session())
            fast[name] = bare_calls(session, port)
        floor = Floor(port)
        stack.callback(floor.close)
        fast["floor"] = floor.calls()
        slow = {"ours": ours, "ours again": our_calls(client)}
        for name, pubnub in (
            ("sdk", sdk(port)),
            ("sdk-aiohttp", sdk_by_aiohttp(port)),
        ):
            stack.push_async_callback(pubnub.stop)
            slow[name] = sdk_calls(pubnub)
        return {
            "bare": await _of(fast, CASES, seconds, rng),
            "sdk": await _of(slow, CASES_OF_SDK, seconds_of_sdk, rng),
        }


async def _of(
    variants: dict[str, dict[str, Call]],
    cases: tuple[tuple[str, int], ...],
    seconds: float,
    rng: random.Random,
) -> dict[str, dict[str, float]]:
    found = {}
    for operation, in_flight in cases:
        calls = {name: of[operation] for name, of in variants.items()}
        costs = await alternate(calls, in_flight=in_flight, seconds=seconds, rng=rng)
        found[f"{operation}, {in_flight}"] = ratios(costs)
    return found


def ratios(costs: dict[str, float]) -> dict[str, float]:
    """Return what matters: everything relative to something of the same run."""
    ours = costs["ours"]
    if "sdk" in costs:
        return {
            "sdk / ours": costs["sdk"] / ours,
            "sdk-aiohttp / ours": costs["sdk-aiohttp"] / ours,
            "control": costs["ours again"] / ours,
        }
    bare = (costs["bare"] + costs["bare again"]) / 2
    return {
        "ours / bare": ours / bare,
        "floor / bare": costs["floor"] / bare,
        "ours / floor": ours / costs["floor"],
        "ours, us": ours,
        "control": costs["bare again"] / costs["bare"],
    }


def gates(
    bare: dict[str, dict[str, float]], official: dict[str, dict[str, float]]
) -> list[Gate]:
    found = [
        Gate(
            what=f"{case} in flight: ours / bare",
            value=bare[case]["ours / bare"],
            limit=limit,
            control=bare[case]["control"],
        )
        for case, limit in MOST_OF_BARE.items()
    ]
    values = official[GATED_OF_SDK]
    return found + [
        Gate(
            what=f"{GATED_OF_SDK} in flight: {ratio}",
            value=values[ratio],
            limit=limit,
            is_least=True,
            control=values["control"],
        )
        for ratio, limit in LEAST_OF_SDK.items()
    ]


def main() -> int:
    options = options_of(__doc__).parse_args()
    if options.worker:
        seconds, seconds_of_sdk, seed = map(float, options.worker)
        print(json.dumps(asyncio.run(measure(seconds, seconds_of_sdk, int(seed)))))
        return 0
    seconds, seconds_of_sdk, processes = SECONDS, SECONDS_OF_SDK, PROCESSES
    if options.quick:
        seconds, seconds_of_sdk, processes = QUICK_SECONDS, QUICK_SECONDS, 1
    stolen, runs = steal_share(), []
    with bar("calls: processes", processes) as step:
        for seed in range(processes):
            runs.append(in_fresh_process(__file__, seconds, seconds_of_sdk, seed))
            step()
    bare = medians([run["bare"] for run in runs])
    official = medians([run["sdk"] for run in runs])
    print_cases(bare, "call, in flight")
    print_cases(official, "call, in flight")
    outcome = judged(gates(bare, official), quick=options.quick, stolen=stolen())
    values = {"against bare": bare, "against the SDK": official}
    return conclude("calls", outcome, values, "ratio of CPU per call")


if __name__ == "__main__":
    sys.exit(main())
