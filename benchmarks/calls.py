"""What does one small call cost: ours, bare aiohttp, and the official SDK?

    python benchmarks/calls.py            # 5 processes, some minutes
    python benchmarks/calls.py --quick    # one short process: shape only, no gates

Where now, heartbeat and here now (3 occupants) at 1, 16 and 100 in flight against a
canned server on the other core. ``bare`` is ``session.get`` of a default session and
msgspec; ``bare again`` is its twin, the control. ``sdk`` is PubNubAsyncio with its
default handler, ``sdk-aiohttp`` with its own aiohttp handler; sniffio is installed. The
SDK has one user per instance, so its ``uuid`` is swapped before each heartbeat.

Gates (not with --quick): ours at most 1.15 times bare, the SDK at least 7 times ours at
16 in flight. Exit code 1 when one fails and the run is conclusive.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from statistics import median
from typing import Any

import aiohttp
import msgspec
from measuring import (
    LARGEST_CONTROL_GAP,
    LARGEST_STEAL,
    Call,
    alternate,
    canned_server,
    percentile_2,
    print_result,
    progress,
    steal_share,
)

from presence_async import PresenceClient, PresenceConfig

try:
    import sniffio  # noqa: F401  # without it the SDK is far slower
    from pubnub.endpoints.presence.heartbeat import Heartbeat
    from pubnub.pnconfiguration import PNConfiguration
    from pubnub.pubnub_asyncio import PubNubAsyncio
    from pubnub.request_handlers.async_aiohttp import AsyncAiohttpRequestHandler
except ModuleNotFoundError as missing:
    print(f"{missing.name} is missing: pip install 'presence-async[dev]'")
    sys.exit(2)

OPERATIONS = ("where now", "heartbeat", "here now")
IN_FLIGHT = (1, 16, 100)
PROCESSES = 5
MAX_RATIO_TO_BARE = 1.15
MIN_RATIO_OF_SDK = 7.0
GATED_IN_FLIGHT = 16


class WhereNowPayload(msgspec.Struct):
    channels: list[str]


class WhereNowReply(msgspec.Struct):
    payload: WhereNowPayload


class HereNowReply(msgspec.Struct):
    occupancy: int
    uuids: list[str]


class HeartbeatReply(msgspec.Struct):
    status: int


def users() -> Iterator[str]:
    """Rotate a thousand ids, or caches of URLs would flatter everybody."""
    return itertools.cycle([f"user-{n:04}" for n in range(1000)])


def bare_calls(session: aiohttp.ClientSession, port: int) -> dict[str, Call]:
    base = f"http://127.0.0.1:{port}/v2/presence/sub-key/demo"
    tail = "pnsdk=bare%2F1.0"
    ids = users()

    def call(decoder: msgspec.json.Decoder[Any], url: str) -> Call:
        async def send() -> object:
            user = next(ids)
            async with session.get(url.replace("USER", user)) as response:
                return decoder.decode(await response.read())

        return send

    return {
        "where now": call(
            msgspec.json.Decoder(WhereNowReply), f"{base}/uuid/USER?uuid=me&{tail}"
        ),
        "heartbeat": call(
            msgspec.json.Decoder(HeartbeatReply),
            f"{base}/channel/lobby/heartbeat?heartbeat=300&uuid=USER&{tail}",
        ),
        "here now": call(
            msgspec.json.Decoder(HereNowReply),
            f"{base}/channel/lobby?limit=1000&uuid=USER&{tail}",
        ),
    }


def our_calls(client: PresenceClient) -> dict[str, Call]:
    ids = users()
    return {
        "where now": lambda: client.where_now(next(ids)),
        "heartbeat": lambda: client.heartbeat("lobby", user_id=next(ids)),
        "here now": lambda: client.here_now("lobby"),
    }


def sdk_calls(pubnub: PubNubAsyncio) -> dict[str, Call]:
    ids = users()

    async def checked(endpoint: Any) -> object:  # noqa: ANN401  # the SDK is untyped
        envelope = await endpoint.future()
        assert not envelope.status.is_error(), envelope.status.error_data
        return envelope.result

    def heartbeat() -> Any:  # noqa: ANN401  # the SDK is untyped
        pubnub.config.uuid = next(ids)
        return Heartbeat(pubnub).channels(["lobby"])

    return {
        "where now": lambda: checked(pubnub.where_now().uuid(next(ids))),
        "heartbeat": lambda: checked(heartbeat()),
        "here now": lambda: checked(pubnub.here_now().channels(["lobby"])),
    }


def sdk(port: int, **options: Any) -> PubNubAsyncio:  # noqa: ANN401  # the SDK is untyped
    config = PNConfiguration()
    config.subscribe_key = config.publish_key = "demo"
    config.uuid = "me"
    config.origin = f"127.0.0.1:{port}"
    config.ssl = False
    return PubNubAsyncio(config, **options)


async def measure(rounds: int, seed: int) -> dict[str, dict[str, float]]:
    """Return the CPU microseconds per call of each variant, by operation and load."""
    rng = random.Random(seed)  # noqa: S311  # an order, no secret
    async with AsyncExitStack() as stack:
        port = stack.enter_context(canned_server())
        bare, twin = [
            await stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            )
            for _ in range(2)
        ]
        ours = await stack.enter_async_context(
            PresenceClient(
                PresenceConfig(
                    subscribe_key="demo",
                    user_id="me",
                    origin=f"http://127.0.0.1:{port}",
                )
            )
        )
        default = sdk(port)
        by_aiohttp = sdk(port, custom_request_handler=AsyncAiohttpRequestHandler)
        stack.push_async_callback(default.stop)
        stack.push_async_callback(by_aiohttp.stop)
        variants = {
            "ours": our_calls(ours),
            "bare": bare_calls(bare, port),
            "bare again": bare_calls(twin, port),
            "sdk-aiohttp": sdk_calls(by_aiohttp),
            "sdk": sdk_calls(default),
        }
        results = {}
        for operation in OPERATIONS:
            for in_flight in IN_FLIGHT:
                calls = {name: of[operation] for name, of in variants.items()}
                costs = await alternate(
                    calls, in_flight=in_flight, rounds=rounds, rng=rng
                )
                results[f"{operation}, {in_flight}"] = {
                    name: round(percentile_2(blocks), 1)
                    for name, blocks in costs.items()
                }
        return results


def ratios(costs: dict[str, float]) -> dict[str, float]:
    """Return what matters: everything relative to something of the same run."""
    reference = min(costs["bare"], costs["bare again"])
    return {
        "ours/bare": costs["ours"] / reference,
        "control": costs["bare again"] / costs["bare"],
        "sdk/ours": costs["sdk"] / costs["ours"],
        "sdk-aiohttp/ours": costs["sdk-aiohttp"] / costs["ours"],
    }


def one_process(rounds: int, seed: int) -> dict[str, dict[str, float]]:
    """Measure in a fresh process, since layout and hashing differ in each."""
    done = subprocess.run(
        [sys.executable, __file__, "--worker", str(rounds), str(seed)],
        check=True,
        capture_output=True,
        text=True,
    )
    results: dict[str, dict[str, float]] = json.loads(done.stdout)
    return results


def table(medians: dict[str, dict[str, float]]) -> None:
    columns = ("ours/bare", "control", "sdk/ours", "sdk-aiohttp/ours")
    print(f"{'call, in flight':<18}" + "".join(f"{c:>18}" for c in columns))
    for name, values in medians.items():
        print(f"{name:<18}" + "".join(f"{values[c]:>18.2f}" for c in columns))


def verdict(medians: dict[str, dict[str, float]], steal: float) -> str:
    """Return ``passed``, ``failed: …`` or ``inconclusive: …``."""
    controls = [abs(values["control"] - 1) for values in medians.values()]
    if max(controls) > LARGEST_CONTROL_GAP or steal > LARGEST_STEAL:
        return f"inconclusive: control off by {max(controls):.1%}, steal {steal:.1%}"
    failed = []
    for name, values in medians.items():
        if values["ours/bare"] > MAX_RATIO_TO_BARE:
            failed.append(f"{name} costs {values['ours/bare']:.2f} times bare")
        is_gated = name.endswith(f", {GATED_IN_FLIGHT}")
        if is_gated and values["sdk/ours"] < MIN_RATIO_OF_SDK:
            failed.append(f"{name}: the SDK costs only {values['sdk/ours']:.1f} times")
    return "failed: " + "; ".join(failed) if failed else "passed"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="shape only, under 60 s")
    parser.add_argument("--rounds", type=int, default=120, help="blocks per variant")
    parser.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(asyncio.run(measure(*options.worker))))
        return 0
    rounds, processes = (4, 1) if options.quick else (options.rounds, PROCESSES)
    steal = steal_share()
    runs = []
    for number in range(processes):
        progress(f"process {number + 1} of {processes} …")
        run = one_process(rounds, number)
        runs.append({name: ratios(costs) for name, costs in run.items()})
    medians = {
        name: {
            r: round(median([run[name][r] for run in runs]), 3) for r in runs[0][name]
        }
        for name in runs[0]
    }
    table(medians)
    outcome = "not judged (--quick)" if options.quick else verdict(medians, steal())
    print(outcome)
    print_result("calls", {"outcome": outcome, **medians}, "ratio of CPU per call")
    return int(outcome.startswith("failed"))


if __name__ == "__main__":
    sys.exit(main())
