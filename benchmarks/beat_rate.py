"""Real-time heartbeats: CPU per beat and lateness, ours against bare and the SDK.

All send on an open loop: due times are fixed in advance, whatever the answers take.
``bare`` is a task with ``session.get`` per due time, ``bare again`` its control. The
SDK has one user per instance and no heartbeat loop without a subscription, so many
instances are driven the same way, each at the interval of the load: ``sdk``. For
``sdk at best`` one instance is driven for all users, its user changed before each
call, so that its connections never grow idle. The canned server runs on the other core.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from collections.abc import Iterator
from statistics import median

import aiohttp
import attrs
from calls import bare_calls, sdk, sdk_calls
from measuring import Call, canned_server, in_bounds, progress, resident_bytes

from presence_async import PresenceClient, PresenceConfig

SDK_RATE_PER_S = 200
SDK_USERS = 200
"""An instance takes about 25 ms to make and 1 MB, so these stand for all of them."""


@attrs.frozen(kw_only=True)
class Load:
    """What is kept present, and for how long one measurement lasts."""

    users: int
    interval_s: int
    seconds: int

    @property
    def rate_per_s(self) -> float:
        """Heartbeats a second."""
        return self.users / self.interval_s


@attrs.frozen(kw_only=True)
class Beats:
    """What a measurement found."""

    cpu_us: float
    p99_ms: float
    per_s: float


async def compare(load: Load, rounds: int) -> dict[str, float]:
    """Return ratios of CPU per beat, and how late ours and bare are."""
    found: dict[str, list[Beats]] = {}
    with canned_server() as port:
        for number in range(rounds):
            progress(f"beats: round {number + 1} of {rounds} …")
            for name, measured in (
                ("bare", await bare(port, load)),
                ("ours", await ours(port, load)),
                ("sdk", await official(port, load)),
                ("sdk at best", await official_at_best(port, load)),
                ("bare again", await bare(port, load)),
            ):
                found.setdefault(name, []).append(measured)
    cpu = {name: [beats.cpu_us for beats in of] for name, of in found.items()}
    # Each round against the bare of before and after it, as the machine drifts.
    reference = [
        (a + b) / 2 for a, b in zip(cpu["bare"], cpu["bare again"], strict=True)
    ]
    return {
        "CPU of a beat / bare": _ratio(cpu["ours"], reference),
        "control": _ratio(cpu["bare again"], cpu["bare"]),
        "CPU of SDK / ours": _ratio(cpu["sdk"], cpu["ours"]),
        "CPU of SDK at best / ours": _ratio(cpu["sdk at best"], cpu["ours"]),
        "p99 late, ms": round(median(b.p99_ms for b in found["ours"]), 1),
        "p99 late of bare, ms": round(median(b.p99_ms for b in found["bare"]), 1),
    }


async def at_scale(load: Load) -> dict[str, float]:
    """Return how one client fares with very many users."""
    with canned_server() as port:
        progress(f"beats: {load.users:,} users on one client …")
        before = resident_bytes()
        beats = await ours(port, load, has_settled=True)
        return {
            "many: users": load.users,
            "many: beats/s": round(beats.per_s),
            "many: p99 late, ms": round(beats.p99_ms, 1),
            "many: CPU us a beat": round(beats.cpu_us),
            "many: MB more": round((resident_bytes() - before) / 1e6),
        }


async def ours(port: int, load: Load, *, has_settled: bool = False) -> Beats:
    """Let a client keep its users, and look at it for a while.

    First heartbeats are spread over one interval from each join; with many users the
    joins themselves take long enough for that to have begun (``has_settled``).
    """
    config = PresenceConfig(
        subscribe_key="demo",
        user_id="me",
        origin=f"http://127.0.0.1:{port}",
        presence_timeout_s=2 * load.interval_s + 2,
        leave_on_close=False,
    )
    async with PresenceClient(config) as client:
        await in_bounds(
            load.users, lambda n: client.join("lobby", user_id=f"user-{n:06}")
        )
        gc.collect()
        await asyncio.sleep(1 if has_settled else load.interval_s)
        sent = client.heartbeats.stats().beats_sent
        await asyncio.sleep(0.1)
        began_s, began_ns = time.perf_counter(), time.process_time_ns()
        await asyncio.sleep(load.seconds)
        cpu_ns = time.process_time_ns() - began_ns
        elapsed_s = time.perf_counter() - began_s
        stats = client.heartbeats.stats()
        assert not stats.beats_failed
        assert stats.fresh == load.users
        # What was sent in the tenth of a second before is counted, 2 % at most.
        beats = (stats.beats_sent - sent) * elapsed_s / (elapsed_s + 0.1)
        return Beats(
            cpu_us=cpu_ns / beats / 1000,
            p99_ms=stats.lateness_p99_s * 1000,
            per_s=beats / elapsed_s,
        )


async def bare(port: int, load: Load) -> Beats:
    """Send as many heartbeats a second by ``session.get``."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        call = bare_calls(session, port)["heartbeat"]
        return await _open_loop(call, load.rate_per_s, load.seconds)


async def official(port: int, load: Load) -> Beats:
    """Send heartbeats by the official SDK, one instance a user."""
    number = min(SDK_USERS, load.users)
    instances = [sdk(port) for _ in range(number)]
    calls = itertools.cycle([sdk_calls(pubnub)["heartbeat"] for pubnub in instances])

    async def next_beat() -> object:
        return await next(calls)()

    try:
        rate_per_s = number / load.interval_s
        return await _open_loop(next_beat, rate_per_s, load.interval_s)
    finally:
        for pubnub in instances:
            await pubnub.stop()


async def official_at_best(port: int, load: Load) -> Beats:
    """Send heartbeats by one instance of the official SDK, as many as it can keep."""
    pubnub = sdk(port)
    try:
        call = sdk_calls(pubnub)["heartbeat"]
        return await _open_loop(call, SDK_RATE_PER_S, load.seconds)
    finally:
        await pubnub.stop()


async def _open_loop(call: Call, rate_per_s: float, seconds: int) -> Beats:
    gc.collect()
    late_s: list[float] = []
    tasks: set[asyncio.Task[object]] = set()
    began_s, began_ns = time.perf_counter(), time.process_time_ns()
    for due_s in _due_times(began_s, rate_per_s, seconds):
        wait_s = due_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        late_s.append(time.perf_counter() - due_s)
        task = asyncio.ensure_future(call())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    cpu_ns = time.process_time_ns() - began_ns
    late_s.sort()
    return Beats(
        cpu_us=cpu_ns / len(late_s) / 1000,
        p99_ms=late_s[len(late_s) * 99 // 100] * 1000,
        per_s=len(late_s) / (time.perf_counter() - began_s),
    )


def _due_times(began_s: float, rate_per_s: float, seconds: int) -> Iterator[float]:
    for number in itertools.count():
        if number >= rate_per_s * seconds:
            return
        yield began_s + number / rate_per_s


def _ratio(of: list[float], to: list[float]) -> float:
    return round(median(a / b for a, b in zip(of, to, strict=True)), 3)
