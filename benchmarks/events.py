"""What does an event cost, from the bytes of a poll to the one who reads it?

    python benchmarks/events.py            # half a minute
    python benchmarks/events.py --quick    # some seconds

Example: ``python benchmarks/events.py | grep '^decoding'`` shows the lines about
decoding alone.

Decoding: a reply of 100 or 1,000 events as the service sends them since 2025 (joins and
leaves without state, timeouts with an empty one), and one of 100 state changes. Ours up
to the event that a stream delivers, the SDK up to its listener's callback, msgspec into
plain objects as the limit.

Whole: a canned server on the other core answers each poll at once with 50 new events. A
stream and a reader of it; a roster, its list and a reader; the SDK's subscription with
a listener; and ``bare``, a loop of ``session.get`` and msgspec into classes, with its
twin as the control. CPU of this process per event.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from statistics import median

import msgspec
from canned_server import START, event
from event_readers import READ_EVENTS, Counting, readers
from measuring import alternate_plain, canned_server, steal_share
from peers import config
from reporting import Gate, bar, conclude, judged, options_of, print_cases, progress

from presence_async import PresenceClient
from presence_async.protocol.exchange import HttpReply
from presence_async.protocol.messages import read_event
from presence_async.protocol.subscribe import SubscribeOperation

try:
    from pubnub.managers import ListenerManager
    from pubnub.models.server.subscribe import SubscribeEnvelope
    from pubnub.workers import BaseMessageWorker
except ModuleNotFoundError as missing:
    print(f"{missing.name} is missing: pip install 'presence-async[dev]'")
    sys.exit(2)

SECONDS, QUICK_SECONDS = 4.0, 0.25
ROUNDS, QUICK_ROUNDS = 15, 2
DECODED = {"100 events": 100, "1000 events": 1000, "100 states": 100}
LEAST_OF_SDK = {"100 events": 5.0, "1000 events": 5.0, "100 states": 4.0}
LEAST_OF_SDK_IN_WHOLE = 4.0


def reply_of(number: int, *, with_state: bool) -> bytes:
    """Return a reply of joins, leaves and timeouts, or one of state changes."""
    messages = [event(START + n) for n in range(number)]
    if with_state:
        for message in messages:
            payload, metadata = message["d"], message["u"]
            assert isinstance(payload, dict)
            assert isinstance(metadata, dict)
            payload |= {"action": "state-change", "data": {"mood": "ok"}}
            metadata |= {"pn_action": "state-change", "pn_state_mood": "ok"}
    reply = {"t": {"t": str(START + number), "r": 41}, "m": messages}
    return json.dumps(reply, separators=(",", ":")).encode()


def decoders(number: int, *, with_state: bool) -> Mapping[str, Callable[[], object]]:
    text = reply_of(number, with_state=with_state)
    reply = HttpReply(status=200, body=text)
    operation = SubscribeOperation(
        subscribe_key="demo", user_id="eve", channels=("lobby-pnpres",)
    )
    worker, listeners = BaseMessageWorker(None), ListenerManager(None)
    counting = Counting()
    listeners.add_listener(counting)
    worker._listener_manager = listeners  # noqa: SLF001  # as its manager sets it

    def ours() -> int:
        return len([read_event(x) for x in operation.from_reply(reply).messages])

    def official() -> int:
        for message in SubscribeEnvelope.from_json(json.loads(text)).messages:
            worker._process_incoming_payload(message)  # noqa: SLF001  # its only way
        return counting.heard

    assert ours() == official() == number
    return {
        "ours": ours,
        "sdk": official,
        "msgspec untyped": lambda: msgspec.json.decode(text),
    }


def decode(seconds: float) -> dict[str, dict[str, float]]:
    """Return how many times ours each way of decoding costs."""
    rng = random.Random(1)  # noqa: S311  # an order, no secret
    found = {}
    for case, number in DECODED.items():
        calls = decoders(number, with_state=case == "100 states")
        costs = alternate_plain(calls, seconds=seconds, rng=rng)
        found[case] = {name: cost / costs["ours"] for name, cost in costs.items()}
        found[case]["ours, us an event"] = costs["ours"] / number
    return found


async def whole(rounds: int) -> dict[str, float]:
    """Return what an event costs each reader, slices of them alternating."""
    rng = random.Random(1)  # noqa: S311  # an order, no secret
    async with AsyncExitStack() as stack:
        port = stack.enter_context(canned_server()).port
        client = await stack.enter_async_context(PresenceClient(config(port)))
        of = await readers(stack, client, port)
        costs: dict[str, list[float]] = {name: [] for name in of}
        names = list(of)
        with bar("events: rounds", rounds + 1) as step:
            for number in range(rounds + 1):
                rng.shuffle(names)
                for name in names:
                    cost_us = await of[name](READ_EVENTS)
                    if number:
                        costs[name].append(cost_us)
                step()
    return ratios({name: median(of) for name, of in costs.items()})


def ratios(us: dict[str, float]) -> dict[str, float]:
    bare = (us["bare"] + us["bare again"]) / 2
    return {
        "stream, us an event": us["stream"],
        "stream / bare": us["stream"] / bare,
        "roster / bare": us["roster"] / bare,
        "sdk / stream": us["sdk"] / us["stream"],
        "control": us["bare again"] / us["bare"],
    }


def main() -> int:
    options = options_of(__doc__).parse_args()
    stolen = steal_share()
    progress("events: decoding …")
    decoded = decode(QUICK_SECONDS if options.quick else SECONDS)
    found = asyncio.run(whole(QUICK_ROUNDS if options.quick else ROUNDS))
    print_cases(decoded, "decoding, times ours")
    print_cases({"50 events a poll": found}, "whole")
    gates = [
        Gate(
            what=f"decoding {case}: sdk / ours",
            value=decoded[case]["sdk"],
            limit=limit,
            is_least=True,
        )
        for case, limit in LEAST_OF_SDK.items()
    ] + [
        Gate(
            what="whole: sdk / stream",
            value=found["sdk / stream"],
            limit=LEAST_OF_SDK_IN_WHOLE,
            is_least=True,
            control=found["control"],
        )
    ]
    outcome = judged(gates, quick=options.quick, stolen=stolen())
    values = {"decoding, times ours": decoded, "whole": found}
    return conclude("events", outcome, values, "ratio of CPU")


if __name__ == "__main__":
    sys.exit(main())
