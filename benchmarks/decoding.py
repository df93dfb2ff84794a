"""What does a here-now reply of 1,000 occupants cost, decoded and as a whole call?

    python benchmarks/decoding.py            # half a minute
    python benchmarks/decoding.py --quick    # some seconds

Example: ``python benchmarks/decoding.py | grep '^ids'`` shows the lines about replies
of bare ids.

Decoding alone, with bare ids and with states: ours, ours with every occupant and state
read (states are decoded when they are read), msgspec into classes and into plain
objects, and the official SDK (``json.loads`` and its result class). Then whole calls,
16 in flight, against a canned server on the other core: ``bare`` is ``session.get`` and
msgspec into classes, all states included; ``bare again`` is its twin, the control.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable, Mapping

import msgspec
from canned_server import large
from measuring import alternate, alternate_plain, canned_server, steal_share
from peers import HereNowReply, StatesReply, bare_call, bare_session, config
from reporting import Gate, bar, conclude, judged, options_of, print_cases

from presence_async import HereNow, PresenceClient
from presence_async.protocol.exchange import HttpReply
from presence_async.protocol.here_now import HereNowOperation

try:
    from pubnub.models.consumer.presence import PNHereNowResult
except ModuleNotFoundError as missing:
    print(f"{missing.name} is missing: pip install 'presence-async[dev]'")
    sys.exit(2)

OCCUPANTS = 1000
IN_FLIGHT = 16
SECONDS, QUICK_SECONDS = 6.0, 0.3
LEAST_OF_SDK = {"ids": 2.5, "states": 2.0}
MOST_OF_BARE = {"ids": 0.9, "states": 0.8}


def read(reply: HereNow) -> int:
    """Read every occupant and every state."""
    (channel,) = reply.channels.values()
    return sum(len(occupant.state or ()) for occupant in channel.occupants or ())


def decoders(kind: str) -> Mapping[str, Callable[[], object]]:
    text = large(kind.encode(), OCCUPANTS).partition(b"\r\n\r\n")[2]
    reply = HttpReply(status=200, body=text)
    operation = HereNowOperation(
        subscribe_key="demo", channels=("lobby",), include_state=kind == "states"
    )
    typed = msgspec.json.Decoder(StatesReply if kind == "states" else HereNowReply)

    def ours_read() -> int:
        value = operation.from_reply(reply)
        assert isinstance(value, HereNow)
        return read(value)

    return {
        "ours": lambda: operation.from_reply(reply),
        "ours, all read": ours_read,
        "msgspec": lambda: typed.decode(text),
        "msgspec untyped": lambda: msgspec.json.decode(text),
        "sdk": lambda: PNHereNowResult.from_json(json.loads(text), ["lobby"]),
    }


def decode(seconds: float) -> dict[str, dict[str, float]]:
    """Return how many times ours each way of decoding costs."""
    rng = random.Random(1)  # noqa: S311  # an order, no secret
    found = {}
    for kind in MOST_OF_BARE:
        costs = alternate_plain(decoders(kind), seconds=seconds, rng=rng)
        found[kind] = {name: cost / costs["ours"] for name, cost in costs.items()}
        found[kind]["ours, us"] = costs["ours"]
    return found


async def call(seconds: float) -> dict[str, dict[str, float]]:
    """Return what whole calls cost, relative to bare ones."""
    rng = random.Random(1)  # noqa: S311  # an order, no secret
    found = {}
    with canned_server() as server:
        for kind in MOST_OF_BARE:
            found[kind] = await _call(kind, server.port, seconds, rng)
    return found


async def _call(
    kind: str, port: int, seconds: float, rng: random.Random
) -> dict[str, float]:
    channel, with_state = f"{kind}-{OCCUPANTS}", kind == "states"
    path = f"/v2/presence/sub-key/demo/channel/{channel}?limit=1000&uuid=USER"
    decoded = StatesReply if with_state else HereNowReply
    async with (
        PresenceClient(config(port)) as client,
        bare_session() as session,
        bare_session() as twin,
    ):

        async def all_read() -> object:
            return read(await client.here_now(channel, include_state=with_state))

        costs = await alternate(
            {
                "ours": lambda: client.here_now(channel, include_state=with_state),
                "ours, all read": all_read,
                "bare": bare_call(session, port, path, decoded),
                "bare again": bare_call(twin, port, path, decoded),
            },
            in_flight=IN_FLIGHT,
            seconds=seconds,
            rng=rng,
        )
    bare = (costs["bare"] + costs["bare again"]) / 2
    return {
        "ours / bare": costs["ours"] / bare,
        "ours, all read / bare": costs["ours, all read"] / bare,
        "ours, us": costs["ours"],
        "control": costs["bare again"] / costs["bare"],
    }


def gates(
    decoded: dict[str, dict[str, float]], called: dict[str, dict[str, float]]
) -> list[Gate]:
    return [
        Gate(
            what=f"call, {kind}: ours / bare",
            value=called[kind]["ours / bare"],
            limit=limit,
            control=called[kind]["control"],
        )
        for kind, limit in MOST_OF_BARE.items()
    ] + [
        Gate(
            what=f"decoding {kind}: sdk / ours",
            value=decoded[kind]["sdk"],
            limit=limit,
            is_least=True,
        )
        for kind, limit in LEAST_OF_SDK.items()
    ]


def main() -> int:
    options = options_of(__doc__).parse_args()
    seconds, stolen = QUICK_SECONDS if options.quick else SECONDS, steal_share()
    with bar("decoding: parts", 2) as step:
        decoded = decode(seconds)
        step()
        called = asyncio.run(call(seconds))
        step()
    print_cases(decoded, "decoding, times ours")
    print_cases(called, "whole call")
    outcome = judged(gates(decoded, called), quick=options.quick, stolen=stolen())
    values = {"decoding, times ours": decoded, "whole call": called}
    return conclude("decoding", outcome, values, "ratio of CPU")


if __name__ == "__main__":
    sys.exit(main())
