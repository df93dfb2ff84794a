"""What may happen to processes that share a register, for ``processes.py``.

Each story returns what others saw of it. A user with an open tab who was seen to leave
or to time out is *wrong*; whoever has none left has to leave, once.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence

import attrs
from process_scene import (
    WORKERS,
    Scene,
    Seen,
    Tab,
    Worker,
    sleep_until,
    wait_until,
)
from reporting import progress

from presence_async.register import ValkeyRegister

LONG_S = 300
SHORT_S = 40
"""A presence timeout that ends within a story if nobody sends the heartbeats."""
RELOAD_S = 5.0
BROWSER_STEP_S = 0.5
GRACE_S = 25.0
"""After which users of a worker that died, or that closed, have left."""
LOOKS_S = 0.5
MOST_NAMED = 10


@attrs.frozen(kw_only=True)
class Size:
    """How many users, and how long to watch.

    Attributes:
        users: With two tabs.
        sole: With one.
        settle_s: Before something happens.
        watch_s: After it.
        outage_s: Of the register.
    """

    users: int
    sole: int
    settle_s: float
    watch_s: float
    outage_s: float


FULL = Size(users=1000, sole=200, settle_s=20, watch_s=60, outage_s=120)
QUICK = Size(users=100, sole=20, settle_s=1, watch_s=42, outage_s=5)

Found = dict[str, float]
Story = Callable[[Scene, Size], Awaitable[Found]]


async def one_of_two_closed(scene: Scene, size: Size) -> Found:
    """Close one of two tabs of everybody, and then the other one."""
    tabs = scene.tabs("two", size.users, LONG_S)
    placed = [(scene.two_workers(), tab) for tab in tabs]
    await scene.open((w, tab) for workers, tab in placed for w in workers)
    async with scene.watched():
        began_s = time.monotonic()
        await close([(workers[0], tab) for workers, tab in placed])
        await sleep_until(began_s + GRACE_S / 2)
        before = await scene.happened(began_s)
        seen_before = scene.observed_of("leave") | scene.observed_of("timeout")

        began_s = time.monotonic()
        await close([(workers[1], tab) for workers, tab in placed])
        await all_left(scene, tabs, began_s + GRACE_S)
        after = await scene.happened(began_s)
    wrong = away(before) | seen_before
    name_wrong(before, began_s)
    return {"wrong": len(wrong), **left_once(after, tabs, began_s)}


async def killed(scene: Scene, size: Size) -> Found:
    """Kill a worker on which everybody has a tab."""
    victim, *others = scene.workers
    two = scene.tabs("two", size.users, SHORT_S)
    sole = scene.tabs("sole", size.sole, LONG_S)
    await scene.open([
        *[(victim, tab) for tab in [*two, *sole]],
        *[(scene.rng.choice(others), tab) for tab in two],
    ])
    await asyncio.sleep(size.settle_s)
    async with scene.watched():
        began_s = time.monotonic()
        victim.kill()
        await sleep_until(began_s + size.watch_s)
        happened = await scene.happened(began_s)
    return {
        "wrong": wrong_ones(scene, happened, two, began_s),
        **left_once(happened, sole, began_s),
    }


async def rolling_restart(scene: Scene, size: Size) -> Found:
    """Replace one worker after the other; their tabs come back to any of them."""
    two = scene.tabs("two", size.users, LONG_S)
    sole = scene.tabs("sole", size.sole, LONG_S)
    await scene.open([
        *[(worker, tab) for tab in two for worker in scene.two_workers()],
        *[(scene.rng.choice(scene.workers), tab) for tab in sole],
    ])
    await asyncio.sleep(size.settle_s)
    async with scene.watched():
        began_s = time.monotonic()
        coming_back: list[asyncio.Task[None]] = []
        for old in scene.workers[:WORKERS]:
            await scene.new_worker()
            scene.workers.remove(old)
            coming_back.append(await replace(scene, old))
        await asyncio.gather(*coming_back)
        replaced_s = time.monotonic()
        await sleep_until(replaced_s + GRACE_S)
        happened = await scene.happened(began_s)
        observed = len(scene.observed)
    name_wrong(happened, began_s)
    return {
        "events": max(len(happened), observed),
        "restart, s": replaced_s - began_s,
    }


async def replace(scene: Scene, old: Worker) -> asyncio.Task[None]:
    """Stop a worker; its tabs know when the signal comes, not when it has ended."""
    # Whoever is about to open a tab there does so first.
    await asyncio.sleep(0)
    async with old.turn:
        old.process.send_signal(signal.SIGTERM)
        coming_back = asyncio.create_task(reload(scene, old.tabs))
        await old.process.wait()
    return coming_back


async def reload(scene: Scene, tabs: Sequence[Tab]) -> None:
    """Open tabs again on any worker, over some seconds."""
    rest = list(tabs)
    scene.rng.shuffle(rest)
    steps = int(RELOAD_S / BROWSER_STEP_S)
    for step in range(steps):
        await asyncio.sleep(BROWSER_STEP_S)
        now, rest = (
            rest[: len(rest) // (steps - step)],
            rest[len(rest) // (steps - step) :],
        )
        await scene.open((scene.rng.choice(scene.workers), tab) for tab in now)


async def register_lost(scene: Scene, size: Size) -> Found:
    """Kill the server for a while, and restart it empty, while tabs are closed."""
    two = scene.tabs("two", size.users // 2, SHORT_S)
    halved = scene.tabs("halved", size.users // 2, SHORT_S)
    ended = scene.tabs("ended", size.sole // 2, LONG_S)
    ended_twice = scene.tabs("ended-twice", size.sole // 2, LONG_S)
    placed = {tab: scene.two_workers() for tab in [*two, *halved, *ended_twice]}
    placed |= {tab: [scene.rng.choice(scene.workers)] for tab in ended}
    await scene.open((w, tab) for tab, workers in placed.items() for w in workers)
    await asyncio.sleep(size.settle_s)
    closing = [(placed[tab][0], tab) for tab in [*halved, *ended, *ended_twice]]
    closing += [(placed[tab][1], tab) for tab in ended_twice]
    async with scene.watched():
        began_s = time.monotonic()
        scene.server.kill()
        await close_over(scene, closing, size.outage_s)
        await sleep_until(began_s + size.outage_s)
        scene.server.start()
        back_s = time.monotonic()
        held_s = await held_again(
            scene,
            {
                **{tab.user_id: 2 for tab in two},
                **{tab.user_id: 1 for tab in halved},
            },
        )
        await all_left(scene, [*ended, *ended_twice], back_s + 2 * size.watch_s)
        await sleep_until(back_s + size.watch_s)
        happened = await scene.happened(began_s)
    left = left_once(happened, [*ended, *ended_twice], back_s)
    return {
        "wrong": wrong_ones(scene, happened, [*two, *halved], began_s),
        "held again, s": held_s - back_s,
        **left,
    }


async def close_over(
    scene: Scene, tabs: list[tuple[Worker, Tab]], seconds: float
) -> None:
    """Close tabs over most of a while, the first ones at once."""
    scene.rng.shuffle(tabs)
    steps = max(2, int(seconds))
    began_s = time.monotonic()
    for step in range(steps):
        await sleep_until(began_s + seconds * step / steps)
        await close(tabs[step::steps])


async def close(tabs: Collection[tuple[Worker, Tab]]) -> None:
    """Close tabs in workers."""
    by_worker: dict[Worker, list[Tab]] = {}
    for worker, tab in tabs:
        by_worker.setdefault(worker, []).append(tab)
    await asyncio.gather(*[w.leave(some) for w, some in by_worker.items()])


async def held_again(scene: Scene, tabs: dict[str, int]) -> float:
    """Return when the register knows so many holders of each user; infinite: never."""
    register = ValkeyRegister(scene.server.place)
    await register.open()
    end_s = time.monotonic() + 2 * GRACE_S
    rest = dict(tabs)
    while rest and time.monotonic() < end_s:
        await asyncio.sleep(LOOKS_S)
        for user_id, count in list(rest.items()):
            found = await register.holders(scene.key, user_id)
            if sum(holder.is_alive for holder in found.holders) != count:
                break
            del rest[user_id]
    await register.close()
    return time.monotonic() if not rest else float("inf")


async def all_left(scene: Scene, tabs: Collection[Tab], end_s: float) -> None:
    """Wait until the observer has seen everybody leave, or until a time."""
    users = {tab.user_id for tab in tabs}
    await wait_until(lambda: users <= scene.observed_of("leave"), end_s)


# What became of it.


def away(happened: Collection[Seen]) -> set[str]:
    """Return who has left or timed out."""
    return {x.user_id for x in happened if x.action in {"leave", "timeout"}}


def name_wrong(happened: Collection[Seen], began_s: float) -> None:
    """Say what should not have happened, for whoever looks for the fault."""
    for seen in list(happened)[:MOST_NAMED]:
        progress(f"{seen.user_id} {seen.action} after {seen.at_s - began_s:.2f} s")


def wrong_ones(
    scene: Scene, happened: Collection[Seen], tabs: Collection[Tab], began_s: float
) -> int:
    """Return how many of the users of open tabs were seen to go."""
    users = {tab.user_id for tab in tabs}
    name_wrong([x for x in happened if x.user_id in users], began_s)
    seen = scene.observed_of("leave") | scene.observed_of("timeout")
    return len((away(happened) | seen) & users)


def left_once(
    happened: Collection[Seen], tabs: Collection[Tab], began_s: float
) -> Found:
    """Return how many have not left exactly once, and when the last one left."""
    users = {tab.user_id for tab in tabs}
    gone = Counter(x.user_id for x in happened if x.action != "join")
    left = {x.user_id: x.at_s for x in happened if x.action == "leave"}
    right = {u for u in users if gone[u] == 1 and u in left}
    return {
        "not left once": len(users - right),
        "last left, s": max((left[u] for u in right), default=began_s) - began_s,
    }
