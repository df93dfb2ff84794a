"""What does it cost to understand a here-now reply of 1,000 occupants?

    python benchmarks/decoding.py            # some seconds, gated
    python benchmarks/decoding.py --quick    # shape only

With and without state: ours, ours with every occupant and state read (decoding is
lazy), the official SDK (``json.loads`` and its result class), and msgspec into untyped
objects as the limit. The gate: the SDK costs at least 2.5 times ours for bare ids and 2
times with states. Reading every occupant as an object costs more than the SDK's plain
dicts, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Mapping

import msgspec
from measuring import percentile_2, print_result

from presence_async.protocol.exchange import HttpReply
from presence_async.protocol.here_now import HereNowOperation

try:
    from pubnub.models.consumer.presence import PNHereNowResult
except ModuleNotFoundError as missing:
    print(f"{missing.name} is missing: pip install 'presence-async[dev]'")
    sys.exit(2)

OCCUPANTS = 1000
MIN_RATIO_IDS = 2.5
MIN_RATIO_STATES = 2.0


def body(*, with_state: bool) -> bytes:
    ids = [f"user-{n:06}-abcdef" for n in range(OCCUPANTS)]
    entries: list[object] = list(ids)
    if with_state:
        entries = [
            {"uuid": user, "state": {"mood": "ok", "count": n, "tags": ["a", "b"]}}
            for n, user in enumerate(ids)
        ]
    reply = {"status": 200, "message": "OK", "service": "Presence"}
    return json.dumps(reply | {"uuids": entries, "occupancy": OCCUPANTS}).encode()


def variants(*, with_state: bool) -> Mapping[str, Callable[[], object]]:
    text = body(with_state=with_state)
    reply = HttpReply(status=200, body=text)
    operation = HereNowOperation(
        subscribe_key="demo", channels=("lobby",), include_state=with_state
    )

    def ours_read() -> int:
        channel = operation.read(reply).channels["lobby"]
        return sum(len(occupant.state or ()) for occupant in channel.occupants or ())

    return {
        "ours": lambda: operation.read(reply),
        "ours, all read": ours_read,
        "sdk": lambda: PNHereNowResult.from_json(json.loads(text), ["lobby"]),
        "msgspec untyped": lambda: msgspec.json.decode(text),
    }


def measure(*, with_state: bool, rounds: int) -> dict[str, float]:
    """Return microseconds per decode, blocks of the variants alternating."""
    rng = random.Random(1)  # noqa: S311  # an order, no secret
    calls = variants(with_state=with_state)
    costs: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for _ in range(rounds):
        rng.shuffle(names)
        for name in names:
            began_ns = time.process_time_ns()
            for _ in range(5):
                calls[name]()
            costs[name].append((time.process_time_ns() - began_ns) / 5000)
    return {name: round(percentile_2(blocks), 1) for name, blocks in costs.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shape only")
    options = parser.parse_args()
    rounds = 5 if options.quick else 300
    results = {
        "ids": measure(with_state=False, rounds=rounds),
        "states": measure(with_state=True, rounds=rounds),
    }
    ratios = {
        case: {name: round(cost / us["ours"], 2) for name, cost in us.items()}
        for case, us in results.items()
    }
    print(f"{'times ours':<10}" + "".join(f"{n:>18}" for n in results["ids"]))
    for case, values in ratios.items():
        print(f"{case:<10}" + "".join(f"{v:>18.2f}" for v in values.values()))
    passed = (
        ratios["ids"]["sdk"] >= MIN_RATIO_IDS
        and ratios["states"]["sdk"] >= MIN_RATIO_STATES
    )
    outcome = "passed" if passed else "failed"
    if options.quick:
        outcome = "not judged (--quick)"
    print(outcome)
    print_result("decoding", {"outcome": outcome, **ratios}, "ratio of CPU per decode")
    return int(outcome == "failed")


if __name__ == "__main__":
    sys.exit(main())
