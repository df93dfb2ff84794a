"""A situation lived through: users and observers on the emulator, in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from contextlib import AsyncExitStack

import attrs

from presence_async import Lease, PresenceClient
from presence_async.emulator import PresenceEmulator
from presence_async.planning.situation import RELOAD_S, Situation

DAY_S = 86_400.0
AUDITOR = "auditor"
"""Hears every event, and is not counted."""

KINDS = {
    "JoinEvent": "join",
    "LeaveEvent": "leave",
    "TimeoutEvent": "timeout",
    "StateChangeEvent": "state-change",
    "IntervalEvent": "interval",
}


@attrs.define
class Counted:
    """What the emulator counted."""

    requests: Counter[str] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)
    deliveries: int = 0


async def lived(
    situation: Situation, days: int, *, seed: int = 1, is_alone: bool = False
) -> Counted:
    """Let the days go by, after one for users to spread out; count what happens.

    Args:
        situation: Who comes and who watches.
        days: How many days to count.
        seed: Of the times at which users come.
        is_alone: Whether one client does everything, which takes half the time: users,
            and one observer who watches everything all day.
    """
    s = situation
    async with PresenceEmulator(
        journal_size=2_000_000,
        announce_max=s.announce_max,
        interval_s=s.interval_s,
        presence_deltas=s.presence_deltas,
        idle_poll_s=s.idle_poll_s,
    ) as emulator:
        rng = random.Random(seed)  # noqa: S311  # the same each time
        return await _Life(s, emulator, days, rng, is_alone=is_alone).live()


class _Life:
    def __init__(
        self,
        s: Situation,
        emulator: PresenceEmulator,
        days: int,
        rng: random.Random,
        *,
        is_alone: bool,
    ) -> None:
        self._s, self._emulator, self._days, self._rng = s, emulator, days, rng
        self._is_alone = is_alone
        self._rooms = [f"room-{n}" for n in range(s.rooms)]
        self._watching: Counter[str] = Counter()
        self._counted = Counted()
        self._sessions = 0

    async def live(self) -> Counted:
        begin_s = _now_s() + DAY_S
        async with AsyncExitStack() as stack:
            host = await stack.enter_async_context(self._client("host"))
            auditor = host
            if not self._is_alone:
                auditor = await stack.enter_async_context(self._client(AUDITOR))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            audit = tasks.create_task(self._audit(auditor))
            users = [
                tasks.create_task(self._user(host, n, begin_s - DAY_S))
                for n in range(self._s.users)
            ]
            await _until(begin_s)
            self._emulator.requests.clear()
            self._counted = Counted()
            observers = [
                tasks.create_task(self._observer(host, n, begin_s))
                for n in range(self._s.observers)
            ]
            await _until(begin_s + self._days * DAY_S)
            for entry in self._emulator.requests:
                self._counted.requests[entry.operation] += entry.user_id != AUDITOR
            counted = self._counted
            for task in [audit, *users, *observers]:
                task.cancel()
        return counted

    def _client(self, user_id: str, *, leaves: bool = True) -> PresenceClient:
        return PresenceClient(
            self._emulator.config(
                user_id=user_id,
                presence_timeout_s=self._s.presence_timeout_s,
                heartbeat_interval_s=self._s.heartbeat_interval_s,
                leave_on_close=leaves,
            )
        )

    async def _audit(self, client: PresenceClient) -> None:
        async with client.events(self._rooms) as stream:
            async for event in stream:
                self._counted.events[KINDS[type(event).__name__]] += 1
                self._counted.deliveries += self._watching[event.channel or ""]

    # Users.

    async def _user(self, host: PresenceClient, number: int, begin_s: float) -> None:
        """Come and go: at a time of one's own, or anew each day in a shorter one."""
        s = self._s
        part_s = s.window_s / s.sessions
        every = list(itertools.combinations(self._rooms, s.channels))
        rooms = every[number % len(every)]
        own_s = self._rng.uniform(0, part_s)
        spare_s = max(0.0, part_s - s.present_s)
        for day in range(self._days + 1):
            for part in range(int(s.sessions)):
                if s.day_hours < 24:
                    late_s = self._rng.uniform(0, spare_s)
                else:
                    late_s = own_s + self._rng.uniform(0, min(spare_s, 1800))
                await _until(begin_s + day * DAY_S + part * part_s + late_s)
                await self._session(host, f"user-{number}", rooms)

    async def _session(
        self, host: PresenceClient, user_id: str, rooms: tuple[str, ...]
    ) -> None:
        crashes = self._s.crashes
        self._sessions += 1
        if int(self._sessions * crashes) == int((self._sessions - 1) * crashes):
            lease = await self._online(host, user_id, rooms)
            await lease.leave()
            return
        async with self._client("crash", leaves=False) as client:
            await self._online(client, user_id, rooms)

    async def _online(
        self, client: PresenceClient, user_id: str, rooms: tuple[str, ...]
    ) -> Lease:
        """Join, do what users do, and return the lease at the end of the session."""
        s, begin_s = self._s, _now_s()
        reloads = int(s.reloads / s.sessions)
        states = round(s.state_changes * s.session_s / 3600)
        acts = ["reload"] * reloads + ["state"] * states
        at_s = sorted(self._rng.uniform(10, s.session_s - 20) for _ in acts)
        self._rng.shuffle(acts)
        lease = await client.join(rooms, user_id=user_id, linger_s=s.linger_s)
        leaves = set()
        for number, (act, act_s) in enumerate(zip(acts, at_s, strict=True)):
            await _until(begin_s + act_s)
            if act == "state":
                await lease.set_state({"n": number})
                continue
            leaves.add(asyncio.create_task(lease.leave()))
            await asyncio.sleep(RELOAD_S)
            lease = await client.join(rooms, user_id=user_id, linger_s=s.linger_s)
        await _until(begin_s + s.session_s)
        await asyncio.gather(*leaves)
        return lease

    # Observers.

    async def _observer(
        self, host: PresenceClient, number: int, begin_s: float
    ) -> None:
        every = list(itertools.combinations(self._rooms, self._s.watched))
        rooms = every[number % len(every)]
        if self._is_alone:
            await self._watch(host, rooms, begin_s + self._days * DAY_S)
            return
        async with self._client(f"observer-{number}") as client:
            if self._s.observer_hours == 24:
                await self._watch(client, rooms, begin_s + self._days * DAY_S)
                return
            for day in range(self._days):
                await _until(begin_s + day * DAY_S)
                end_s = _now_s() + self._s.observer_hours * 3600
                await self._watch(client, rooms, end_s)

    async def _watch(
        self, client: PresenceClient, rooms: tuple[str, ...], end_s: float
    ) -> None:
        async with AsyncExitStack() as stack:
            if self._s.view == "stream":
                await stack.enter_async_context(client.events(rooms))
            for room in rooms:
                if self._s.view == "roster":
                    await stack.enter_async_context(client.roster(room))
                elif self._s.view == "count":
                    await stack.enter_async_context(client.live_count(room))
            self._watching.update(rooms)
            await _until(end_s)
        self._watching.subtract(rooms)


async def _until(time_s: float) -> None:
    await asyncio.sleep(max(0.0, time_s - _now_s()))


def _now_s() -> float:
    return asyncio.get_running_loop().time()
