"""The life of many users on one client, over real sockets, for ``kept_users.py``.

They join as fast as they can, are kept for a while, lose the service for longer than
their presence lasts, come back, and leave. The canned server counts what arrives.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import attrs
from measuring import (
    Call,
    CannedServer,
    canned_server,
    in_bounds,
    open_descriptors,
    resident_bytes,
)
from peers import bare_calls, bare_session, config, our_calls
from reporting import bar, progress

from presence_async import Joining, Lease, PresenceClient

PAST_END_S = 30
STEP_S = 0.25
STEP_REAL_S = 0.002
LOOK_S = 0.05
LOOKS = 100
CALLS = 16
REFERENCE_CALLS = 20
LEAVING_S = 600
PERCENT = 100


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be moved on, so that an outage need not be lived.

    Sockets, and everything else, are real.
    """

    def __init__(self) -> None:
        self.skipped_s = 0.0
        super().__init__()

    def time(self) -> float:
        return super().time() + self.skipped_s


@attrs.frozen
class Spent:
    """What a while took, in CPU of this process, and in requests that were answered."""

    cpu_s: float
    took_s: float
    requests: int

    @property
    def us(self) -> float:
        """CPU microseconds of each request."""
        return self.cpu_s / max(1, self.requests) * 1e6

    @property
    def share(self) -> float:
        """The share of a core."""
        return self.cpu_s / self.took_s


class Watch:
    """Measures from one look to the next."""

    def __init__(self, server: CannedServer) -> None:
        self._server = server
        self.spent()

    def spent(self) -> Spent:
        """Return what was spent since the last look."""
        now = time.process_time(), time.perf_counter(), self._server.tell("count")
        last = getattr(self, "_last", now)
        self._last = now
        cpu_s, took_s, requests = (b - a for a, b in zip(last, now, strict=True))
        return Spent(cpu_s, took_s, int(requests))


def joins(client: PresenceClient) -> Callable[[int], Joining]:
    return lambda n: client.join("lobby", user_id=f"user-{n:07}")


async def live(users: int, seconds: float, timeout_s: int) -> dict[str, float]:
    """Return what each part of their life takes."""
    # It tells of the outage.
    logging.getLogger("presence_async").setLevel(logging.CRITICAL)
    with canned_server() as server:
        async with (
            PresenceClient(config(server.port)) as caller,
            bare_session() as session,
        ):
            client = PresenceClient(config(server.port, presence_timeout_s=timeout_s))
            await client.start()
            references = {
                "call": our_calls(caller)["heartbeat"],
                "bare": bare_calls(session, server.port)["heartbeat"],
            }
            found = await storm(client, server, users, references)
            found |= await calm(client, server, references, seconds)
            found |= await outage(client, server, timeout_s)
            found |= await coming_back(client, server, users)
            found |= await leaving(client, server, users)
    most_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"users": users, **found, "peak MB": most_kb / 1000}


async def storm(
    client: PresenceClient,
    server: CannedServer,
    users: int,
    references: dict[str, Call],
) -> dict[str, float]:
    """Let everybody join as fast as that goes."""
    before = [await reference(server, of) for of in references.values()]
    watch = Watch(server)
    with bar(f"{users:,} users join: percent", PERCENT) as step:
        join = joins(client)

        async def join_and_tell(number: int) -> None:
            await join(number)
            if number % (users // PERCENT) == 0:
                step()

        await in_bounds(users, join_and_tell)
    joined = watch.spent()
    after = [await reference(server, of) for of in references.values()]
    bare = (before[1] + after[1]) / 2
    return {
        "join: CPU us": joined.us,
        "join: joins/s": users / joined.took_s,
        "join / bare": joined.us / bare,
        "join: control": after[1] / before[1],
    }


async def calm(
    client: PresenceClient,
    server: CannedServer,
    references: dict[str, Call],
    seconds: float,
) -> dict[str, float]:
    """Watch everybody being kept; between slices, what a heartbeat call costs."""
    progress(f"kept for {seconds:g} s …")
    gc.collect()
    slices: list[Spent] = []
    calls = [await reference(server, references["call"])]
    while sum(spent.took_s for spent in slices) < seconds:
        await asyncio.sleep(LOOK_S)
        watch = Watch(server)
        await asyncio.sleep(min(2.0, seconds))
        slices.append(watch.spent())
        calls.append(await reference(server, references["call"]))
    # Each slice between two references, as the machine drifts.
    around = [(a + b) / 2 for a, b in pairwise(calls)]
    stats = client.heartbeats.stats()
    assert not stats.beats_failed
    assert stats.fresh == stats.leases
    return {
        "kept: heartbeats/s": median(s.requests / s.took_s for s in slices),
        "kept: CPU us": median(s.us for s in slices),
        "kept / call": median(
            s.us / call for s, call in zip(slices, around, strict=True)
        ),
        "kept: control": median(b / a for a, b in pairwise(calls)),
        "kept: share of a core": median(s.share for s in slices),
        "kept: p99 late, ms": stats.lateness_p99_s * 1000,
        "kept: tasks": len(asyncio.all_tasks()),
        "kept: descriptors": open_descriptors(),
    }


async def reference(server: CannedServer, call: Call) -> float:
    """Return the CPU microseconds of a single call, 16 in flight.

    Heartbeats of kept users that come in between count as calls: they are few.
    """
    costs = []
    for _ in range(3):
        watch = Watch(server)
        await asyncio.gather(*[_again(call) for _ in range(CALLS)])
        costs.append(watch.spent().us)
    return min(costs)


async def _again(call: Call) -> None:
    for _ in range(REFERENCE_CALLS):
        await call()


async def outage(
    client: PresenceClient, server: CannedServer, timeout_s: int
) -> dict[str, float]:
    """Let the service fail until every presence is lost."""
    progress("an outage …")
    loop = asyncio.get_running_loop()
    assert isinstance(loop, HastyLoop)
    watch = Watch(server)
    server.tell("fail")
    for _ in range(int((timeout_s + PAST_END_S) / STEP_S)):
        loop.skipped_s += STEP_S
        await asyncio.sleep(STEP_REAL_S)
    down = watch.spent()
    stats = client.heartbeats.stats()
    return {
        "outage: lost": stats.lost,
        "outage: CPU us a user": down.cpu_s / stats.leases * 1e6,
    }


async def coming_back(
    client: PresenceClient, server: CannedServer, users: int
) -> dict[str, float]:
    """Let the service answer again, and wait until everybody is fresh."""
    watch, done = Watch(server), 0
    before = server.tell("answer")
    # Counted from outside, as asking the client costs more with each user.
    with bar("all come back: percent", PERCENT) as step:
        while done < PERCENT:
            await asyncio.sleep(LOOK_S)
            answered = server.tell("count") - before
            for _ in range(done, min(PERCENT, answered * PERCENT // users)):
                step()
                done += 1
    back = watch.spent()
    stats = client.heartbeats.stats()
    for _ in range(LOOKS):
        if stats.fresh == users:
            break
        await asyncio.sleep(LOOK_S)
        stats = client.heartbeats.stats()
    return {
        "return: CPU us a user": back.cpu_s / users * 1e6,
        "return: s until all are fresh": back.took_s,
        "return: fresh": stats.fresh,
    }


async def leaving(
    client: PresenceClient, server: CannedServer, users: int
) -> dict[str, float]:
    progress("everybody leaves …")
    watch = Watch(server)
    report = await client.close(LEAVING_S)
    left = watch.spent()
    return {"leave: CPU us": left.cpu_s / users * 1e6, "left": len(report.left)}


async def weigh(users: int, *, traced: bool) -> dict[str, float]:
    """Return the bytes of a kept user: of this process, or as Python counts them.

    Of twice as many users, less those of the first half: then code, connections and
    buffers do not count, and each table has doubled once, as it does on average.
    """
    with canned_server() as server:
        async with PresenceClient(config(server.port, leave_on_close=False)) as client:
            join = joins(client)
            leases: list[Lease | None] = [None] * (2 * users)

            async def keep(number: int) -> None:
                leases[number] = await join(number)

            await in_bounds(users, keep)
            if traced:
                tracemalloc.start()
            before = _bytes(traced=traced)
            await in_bounds(users, lambda number: keep(users + number))
            return {"bytes": (_bytes(traced=traced) - before) / users}


def _bytes(*, traced: bool) -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0] if traced else resident_bytes()
