"""Heartbeats at a fixed rate by others, for ``kept_users.py`` and ``plots.py``.

On an open loop: due times are fixed in advance, whatever the answers take.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from statistics import median

import attrs
from keeping import Watch, joins
from measuring import Call, CannedServer, canned_server, in_bounds
from peers import bare_calls, bare_session, config, sdk, sdk_by_aiohttp, sdk_calls
from pubnub.pubnub_asyncio import PubNubAsyncio
from reporting import bar

from presence_async import PresenceClient

SDK_RATE_PER_S = 200
SDK_USERS_PER_S = 20
"""An instance takes about 25 ms to make and 1 MB, so few stand for all of them."""
MOST_OPEN = 500


@attrs.frozen(kw_only=True)
class Beats:
    """What a measurement found; ``was_cut``: so many were open that it ended early."""

    cpu_us: float
    p99_ms: float
    per_s: float
    share: float
    was_cut: bool = False


async def at_rate(call: Call, rate_per_s: float, seconds: float) -> Beats:
    """Send heartbeats at a rate, each in a task; stop early if they pile up."""
    gc.collect()
    late_s: list[float] = []
    tasks: set[asyncio.Task[object]] = set()
    began_s, began_ns = time.perf_counter(), time.process_time_ns()
    for due_s in _due_times(began_s, rate_per_s, seconds):
        wait_s = due_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        elif len(late_s) % 100 == 0:
            await asyncio.sleep(0)
        late_s.append(time.perf_counter() - due_s)
        task = asyncio.ensure_future(call())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if len(tasks) > MOST_OPEN:
            break
    await asyncio.gather(*tasks)
    cpu_ns, took_s = time.process_time_ns() - began_ns, time.perf_counter() - began_s
    late_s.sort()
    return Beats(
        cpu_us=cpu_ns / len(late_s) / 1000,
        p99_ms=late_s[len(late_s) * 99 // 100] * 1000,
        per_s=len(late_s) / took_s,
        share=cpu_ns / took_s / 1e9,
        was_cut=len(late_s) < int(rate_per_s * seconds),
    )


def _due_times(began_s: float, rate_per_s: float, seconds: float) -> Iterator[float]:
    for number in range(int(rate_per_s * seconds)):
        yield began_s + number / rate_per_s


async def compare(rate_per_s: int, seconds: float, rounds: int) -> dict[str, float]:
    """Return ratios of CPU per heartbeat: ours against bare and the SDK."""
    found: dict[str, list[Beats]] = {}
    with canned_server() as server:
        async with AsyncExitStack() as stack:
            bare, again = [
                bare_calls(await stack.enter_async_context(bare_session()), server.port)
                for _ in range(2)
            ]
            official = sdk(server.port)
            by_aiohttp = sdk_by_aiohttp(server.port)
            stack.push_async_callback(official.stop)
            stack.push_async_callback(by_aiohttp.stop)
            others = {
                "bare": (bare["heartbeat"], rate_per_s),
                "sdk": (sdk_calls(official)["heartbeat"], SDK_RATE_PER_S),
                "sdk-aiohttp": (sdk_calls(by_aiohttp)["heartbeat"], SDK_RATE_PER_S),
                "bare again": (again["heartbeat"], rate_per_s),
            }
            with bar("against others: rounds", rounds) as step:
                for _ in range(rounds):
                    beats = {"ours": await ours(server, rate_per_s, seconds)}
                    for name, (call, rate) in others.items():
                        beats[name] = await at_rate(call, rate, seconds)
                    beats["sdk, an instance a user"] = await _instances(server, seconds)
                    for name, of in beats.items():
                        found.setdefault(name, []).append(of)
                    step()
    return _ratios(found)


def _ratios(found: dict[str, list[Beats]]) -> dict[str, float]:
    cpu = {name: [beats.cpu_us for beats in of] for name, of in found.items()}
    # Each round against the bare of before and after it, as the machine drifts.
    bare = [(a + b) / 2 for a, b in zip(cpu["bare"], cpu["bare again"], strict=True)]
    return {
        "ours / bare": _ratio(cpu["ours"], bare),
        "sdk / ours": _ratio(cpu["sdk"], cpu["ours"]),
        "sdk-aiohttp / ours": _ratio(cpu["sdk-aiohttp"], cpu["ours"]),
        "sdk, an instance a user / ours": _ratio(
            cpu["sdk, an instance a user"], cpu["ours"]
        ),
        "p99 late, ms": median(beats.p99_ms for beats in found["ours"]),
        "p99 late of bare, ms": median(beats.p99_ms for beats in found["bare"]),
        "control": _ratio(cpu["bare again"], cpu["bare"]),
    }


async def ours(server: CannedServer, rate_per_s: int, seconds: float) -> Beats:
    """Let a client keep as many users as send that many heartbeats a second."""
    interval_s = 10
    settings = {"presence_timeout_s": 2 * interval_s + 2, "leave_on_close": False}
    async with PresenceClient(config(server.port, **settings)) as client:
        await in_bounds(rate_per_s * interval_s, joins(client))
        gc.collect()
        await asyncio.sleep(0.5)
        watch = Watch(server)
        await asyncio.sleep(seconds)
        spent = watch.spent()
        return Beats(
            cpu_us=spent.us,
            p99_ms=client.heartbeats.stats().lateness_p99_s * 1000,
            per_s=spent.requests / spent.took_s,
            share=spent.share,
        )


async def _instances(server: CannedServer, seconds: float) -> Beats:
    """Send heartbeats by the SDK as it is meant to be used, one instance a user.

    Each sends one, on a connection of its own: an idle one lasts 5 s there, and the
    interval is longer.
    """
    instances: list[PubNubAsyncio] = [
        sdk(server.port) for _ in range(int(SDK_USERS_PER_S * seconds * 3))
    ]
    calls = iter([sdk_calls(pubnub)["heartbeat"] for pubnub in instances])

    async def next_beat() -> object:
        return await next(calls)()

    try:
        return await at_rate(next_beat, SDK_USERS_PER_S, seconds * 3)
    finally:
        for pubnub in instances:
            await pubnub.stop()


def _ratio(of: list[float], to: list[float]) -> float:
    return median(a / b for a, b in zip(of, to, strict=True))
