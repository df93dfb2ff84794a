"""What does it cost to understand a here-now reply, and a reply full of events?

    python benchmarks/decoding.py            # some seconds, gated
    python benchmarks/decoding.py --quick    # shape only

A here-now reply of 1,000 occupants, with and without state: ours, ours with every
occupant and state read (decoding is lazy), the official SDK (``json.loads`` and its
result class), and msgspec into untyped objects as the limit. The gate: the SDK costs at
least 2.5 times ours for bare ids and 2 times with states. Reading every occupant as an
object costs more than the SDK's plain dicts, and the table says so.

A subscribe reply of 100 and of 1,000 presence events, as the service sends them since
2025: joins and leaves without state, timeouts with an empty one; and one of 100 state
changes. Ours up to the event a stream delivers, the SDK up to its listener's callback.
The gate: the SDK costs at least 5 times ours, for state changes 4 times.
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
from presence_async.protocol.messages import metadata_of, read_event
from presence_async.protocol.subscribe import SubscribeOperation

try:
    from pubnub.callbacks import SubscribeCallback
    from pubnub.managers import ListenerManager
    from pubnub.models.consumer.presence import PNHereNowResult
    from pubnub.models.server.subscribe import SubscribeEnvelope
    from pubnub.workers import BaseMessageWorker
except ModuleNotFoundError as missing:
    print(f"{missing.name} is missing: pip install 'presence-async[dev]'")
    sys.exit(2)

OCCUPANTS = 1000
MIN_RATIO_IDS = 2.5
MIN_RATIO_STATES = 2.0
MIN_RATIO_EVENTS = 5.0
MIN_RATIO_STATE_EVENTS = 4.0


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
        channel = operation.from_reply(reply).channels["lobby"]
        return sum(len(occupant.state or ()) for occupant in channel.occupants or ())

    return {
        "ours": lambda: operation.from_reply(reply),
        "ours, all read": ours_read,
        "sdk": lambda: PNHereNowResult.from_json(json.loads(text), ["lobby"]),
        "msgspec untyped": lambda: msgspec.json.decode(text),
    }


def events_body(number: int, *, with_state: bool) -> bytes:
    """Return a reply of joins, leaves and timeouts, or one of state changes."""
    messages = []
    for n in range(number):
        action = "state-change" if with_state else ("join", "leave", "timeout")[n % 3]
        at_ms = 1757969619336 + n
        payload: dict[str, object] = {
            "action": action,
            "uuid": f"user-{n:06}-abcdef",
            "timestamp": at_ms // 1000,
            "precise_timestamp": at_ms,
            "occupancy": n,
        }
        if action in {"timeout", "state-change"}:
            payload["data"] = {} if action == "timeout" else {"mood": "ok", "count": n}
        messages.append({
            "a": "5",
            "f": 0,
            "p": {"t": str(at_ms * 10_000), "r": 23},
            "k": "demo",
            "c": "lobby-pnpres",
            "u": metadata_of("lobby", payload),  # type: ignore[arg-type]  # is JSON
            "d": payload,
            "b": "lobby-pnpres",
        })
    reply = {"t": {"t": "17579696395351413", "r": 41}, "m": messages}
    return json.dumps(reply, separators=(",", ":")).encode()


class Counting(SubscribeCallback):  # type: ignore[misc]  # the SDK has no types
    """Counts the presence events it is told."""

    def __init__(self) -> None:
        self.heard = 0

    def presence(self, pubnub: object, presence: object) -> None:  # noqa: ARG002  # its
        self.heard += 1

    def status(self, pubnub: object, status: object) -> None:
        """Abstract in the SDK."""

    def message(self, pubnub: object, message: object) -> None:
        """Abstract in the SDK."""


def events_variants(
    number: int, *, with_state: bool = False
) -> Mapping[str, Callable[[], object]]:
    text = events_body(number, with_state=with_state)
    reply = HttpReply(status=200, body=text)
    operation = SubscribeOperation(
        subscribe_key="demo", user_id="eve", channels=("lobby-pnpres",)
    )
    worker, listeners, counting = (
        BaseMessageWorker(None),
        ListenerManager(None),
        Counting(),
    )
    listeners.add_listener(counting)
    worker._listener_manager = listeners  # noqa: SLF001  # as its manager sets it

    def ours() -> int:
        return len([read_event(x) for x in operation.from_reply(reply).messages])

    def sdk() -> int:
        for message in SubscribeEnvelope.from_json(json.loads(text)).messages:
            worker._process_incoming_payload(message)  # noqa: SLF001  # its only way
        return counting.heard

    assert ours() == sdk() == number
    return {
        "ours": ours,
        "sdk": sdk,
        "msgspec untyped": lambda: msgspec.json.decode(text),
    }


def measure(
    calls: Mapping[str, Callable[[], object]], *, rounds: int
) -> dict[str, float]:
    """Return microseconds per decode, blocks of the variants alternating."""
    rng = random.Random(1)  # noqa: S311  # an order, no secret
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


def print_table(ratios: Mapping[str, Mapping[str, float]]) -> None:
    names = list(dict.fromkeys(name for values in ratios.values() for name in values))
    print(f"{'times ours':<12}" + "".join(f"{name:>18}" for name in names))
    for case, values in ratios.items():
        cells = [f"{values[name]:.2f}" if name in values else "" for name in names]
        print(f"{case:<12}" + "".join(f"{cell:>18}" for cell in cells))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shape only")
    options = parser.parse_args()
    rounds = 5 if options.quick else 300
    cases = {
        "ids": (variants(with_state=False), MIN_RATIO_IDS),
        "states": (variants(with_state=True), MIN_RATIO_STATES),
        "100 events": (events_variants(100), MIN_RATIO_EVENTS),
        "1000 events": (events_variants(1000), MIN_RATIO_EVENTS),
        "100 states": (events_variants(100, with_state=True), MIN_RATIO_STATE_EVENTS),
    }
    ratios: dict[str, dict[str, float]] = {}
    for case, (calls, _) in cases.items():
        us = measure(calls, rounds=rounds)
        ratios[case] = {name: round(cost / us["ours"], 2) for name, cost in us.items()}
    print_table(ratios)
    passed = all(ratios[case]["sdk"] >= least for case, (_, least) in cases.items())
    outcome = "passed" if passed else "failed"
    if options.quick:
        outcome = "not judged (--quick)"
    print(outcome)
    print_result("decoding", {"outcome": outcome, **ratios}, "ratio of CPU per decode")
    return int(outcome == "failed")


if __name__ == "__main__":
    sys.exit(main())
