"""Random schedules of processes that share a register, and the rules they keep.

Each is a world in virtual time, made from its seed: whole clients, the emulator, and
what goes wrong with processes, with the register, and on the way to both.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from typing import NamedTuple

from presence_async.emulator import Fault, PresenceEmulator
from presence_async.errors import PresenceError
from presence_async.register import MemoryRegister
from presence_async.testing import VirtualLoop

from .scene import Process, Scene

__all__ = ["RuleBrokenError", "failure_of", "play"]

ATTEMPT_S = 10.0
GRACE_S = 10.0
HAND_OVER_S = 20.0
CUT_OFF_S = 15.0
"""When others take a worker for dead that is cut off from the register only."""

USERS = ("ann", "bob", "cyd", "dan")
CHANNELS = ("a", "b", "c")
STEP_S = 0.5
SPAN_S = 120.0
MARGIN_S = 3.0
GHOST_S = 15 + GRACE_S + MARGIN_S + 2

VERBS = {
    "join": 8,
    "leave": 6,
    "wait": 3,
    "kill": 1,
    "restart": 1,
    "close": 0.5,
    "cut all": 0.5,
    "cut one": 0.5,
    "hang one": 0.3,
    "forget": 0.3,
    "slow leaves": 1,
    "lost beats": 0.5,
}


class RuleBrokenError(Exception):
    """A rule that a schedule broke, and when."""


class Place(NamedTuple):
    """One user on one channel."""

    user_id: str
    channel: str


class World(Scene):
    """A scene that keeps watch.

    Attributes:
        story: What has happened.
    """

    def __init__(self, emulator: PresenceEmulator, rng: random.Random) -> None:
        register = MemoryRegister(hand_over_s=HAND_OVER_S, crash_grace_s=GRACE_S)
        self.timeout_s = timeout_s = rng.choice((20, 60, 300))
        super().__init__(
            emulator,
            register,
            presence_timeout_s=timeout_s,
            attempt_timeout_s=ATTEMPT_S,
        )
        self.rng = rng
        self.story: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.handed_over: dict[Place, float] = {}
        self._absent_s: dict[Place, float] = {}
        self._unheld_s: dict[Place, float] = {}
        self._excused_until_s = -math.inf
        self._ghosts_until_s = -math.inf
        self._began_s = self.now_s
        self._forsaken_s: dict[Process, float] = {}
        self._unseen: set[Place] = set()

    @property
    def now_s(self) -> float:
        """Return the virtual time."""
        return asyncio.get_running_loop().time()

    @property
    def alive(self) -> list[Process]:
        """Return the processes that run."""
        return [process for process in self.processes if process.is_alive]

    def tell(self, what: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.now_s - self._began_s:8.2f}  {what}")

    def name(self, process: Process) -> str:
        """Return what the story calls a process."""
        return f"p{self.processes.index(process)}"

    # What happens.

    async def happen(self, verb: str) -> None:
        """Let one thing happen, if it can."""
        await getattr(self, f"_{verb.replace(' ', '_')}")(self.rng.choice(self.alive))

    def soon(self, work: object) -> None:
        """Let something go on beside the schedule."""
        task = asyncio.create_task(tried(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _wait(self, process: Process) -> None:
        del process

    async def _join(self, process: Process) -> None:
        user_id = self.rng.choice(USERS)
        channels = self.rng.sample(CHANNELS, self.rng.randint(1, 2))
        more: dict[str, object] = {}
        if self.rng.random() < 0.2:
            more["presence_timeout_s"] = self.rng.choice((20, 45, 120))
        if self.rng.random() < 0.2:
            more["linger_s"] = self.rng.choice((2, 5))
        self.tell(f"{self.name(process)}: {user_id} joins {channels} {more or ''}")
        self.soon(process.join(user_id, channels, **more))

    async def _leave(self, process: Process) -> None:
        if process.leases:
            user_id = self.rng.choice(list(process.leases))
            self.tell(f"{self.name(process)}: {user_id} leaves")
            self.soon(process.leave(user_id))

    async def _kill(self, process: Process) -> None:
        if len(self.alive) > 1:
            self.tell(f"{self.name(process)}: killed")
            await process.kill()
            await self.start()

    async def _restart(self, process: Process) -> None:
        """Deploy: every user is back within time, on whichever process."""
        if self.is_troubled:
            return
        self.tell(f"{self.name(process)}: restarts")
        tabs = [
            (user_id, [*lease.channels])
            for user_id, leases in process.leases.items()
            for lease in leases
        ]
        for user_id, channels in tabs:
            for channel in channels:
                back_s = self.now_s + HAND_OVER_S
                self.handed_over[Place(user_id, channel)] = back_s
        before = self.events_of(tabs)
        await process.close(hand_over_s=HAND_OVER_S)
        await asyncio.sleep(self.rng.uniform(0, 8))
        fresh = await self.start()
        for user_id, channels in tabs:
            target = self.rng.choice(self.alive) if self.rng.random() < 0.5 else fresh
            await tried(target.join(user_id, channels))
        if self.events_of(tabs) != before and not self.is_slow:
            raise RuleBrokenError(f"observers saw the deploy: {self.events_of(tabs)}")

    def events_of(self, tabs: list[tuple[str, list[str]]]) -> list[tuple[str, ...]]:
        """Return what was seen of users on channels."""
        places = {(user_id, c) for user_id, channels in tabs for c in channels}
        places -= self._unseen
        return [
            (channel, str(event.user_id), event.action)
            for channel in CHANNELS
            for event in self.emulator.events(channel)
            if (event.user_id, channel) in places
        ]

    async def _close(self, process: Process) -> None:
        """End for good; its users are handed over to nobody in particular."""
        if len(self.alive) > 1:
            self.tell(f"{self.name(process)}: closes")
            await process.close()
            await self.start()

    async def _cut_all(self, process: Process) -> None:
        del process
        self.tell("the register is away")
        self.is_away = True
        for each in self.processes:
            each.line.is_cut = True
        self.soon(self._mend(self.rng.uniform(1, 40)))

    async def _mend(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.mend()
        self.tell("the register is back")

    def mend(self) -> None:
        """Let everybody reach the register."""
        self.is_away = False
        for each in self.processes:
            each.line.is_cut = each.line.is_hanging = False

    async def _cut_one(self, process: Process) -> None:
        self.tell(f"{self.name(process)}: cut off from the register")
        process.line.is_cut = True
        self.soon(self._mend(self.rng.uniform(1, 40)))

    async def _hang_one(self, process: Process) -> None:
        self.tell(f"{self.name(process)}: the register does not answer")
        process.line.is_hanging = True
        self.soon(self._mend(self.rng.uniform(1, 40)))

    async def _forget(self, process: Process) -> None:
        del process
        self.tell("the register restarts empty")
        self.register.forget()
        self._ghosts_until_s = math.inf

    async def _slow_leaves(self, process: Process) -> None:
        del process
        fault = Fault(operation="leave", delay_s=self.rng.uniform(0.5, 6), for_s=15)
        self.tell(f"leaves take {fault.delay_s:.1f} s")
        self.emulator.inject(fault)
        self._slow_until_s = self.now_s + 30

    _slow_until_s = -math.inf

    @property
    def is_slow(self) -> bool:
        """Whether leaves may still overtake joins."""
        return self.now_s < self._slow_until_s

    async def _lost_beats(self, process: Process) -> None:
        del process
        self.tell("some heartbeats are lost")
        fault = Fault(operation="heartbeat", cut=True, probability=0.5, for_s=10)
        self.emulator.inject(fault)

    # What must not.

    @property
    def is_troubled(self) -> bool:
        """Whether anybody is cut off from the register."""
        return any(each.line.is_cut or each.line.is_hanging for each in self.alive)

    def held(self) -> set[Place]:
        """Return who has a lease anywhere that has joined."""
        return {place for process in self.alive for place in of(process)}

    def look(self) -> None:
        """Compare who is held with who is there."""
        now_s, held = self.now_s, self.held()
        there = {
            Place(user_id, channel)
            for channel in CHANNELS
            for user_id in self.present(channel)
        }
        self._unseen |= {
            place for p in self.alive if self._is_forsaken(p) for place in of(p)
        }
        if self.is_troubled:
            # Whoever is cut off alone may be left by the others for a while.
            self._excused_until_s = now_s + CUT_OFF_S + GRACE_S + 2 * ATTEMPT_S
        self._look_for_absent(held, there, now_s)
        self._look_for_ghosts(held, there, now_s)

    def _look_for_absent(
        self, held: set[Place], there: set[Place], now_s: float
    ) -> None:
        self._absent_s = {
            place: self._absent_s.get(place, now_s) for place in held - there
        }
        for place, since_s in self._absent_s.items():
            limit_s = ATTEMPT_S + STEP_S
            if all(self._is_forsaken(p) for p in self.alive if holds(p, place)):
                # Others may have left who is held only where they cannot see it.
                limit_s = max(CUT_OFF_S + GRACE_S + ATTEMPT_S, self.timeout_s / 2)
            if now_s - since_s > limit_s:
                raise RuleBrokenError(
                    f"{place} is held and absent for {now_s - since_s:g} s"
                )

    def _is_forsaken(self, process: Process) -> bool:
        """Whether others may not see, or not have seen, whom a process holds."""
        line = process.line
        if line.is_cut or line.is_hanging:
            self._forsaken_s[process] = self.now_s
        return self.now_s - self._forsaken_s.get(process, -math.inf) < ATTEMPT_S + 10

    def _look_for_ghosts(
        self, held: set[Place], there: set[Place], now_s: float
    ) -> None:
        is_excused = now_s < self._excused_until_s or now_s < self._ghosts_until_s
        self._unheld_s = {
            place: now_s if is_excused else self._unheld_s.get(place, now_s)
            for place in there - held
        }
        for place, since_s in self._unheld_s.items():
            back_s = max(since_s, self.handed_over.get(place, since_s))
            is_known = place not in self._unseen
            if is_known and now_s - back_s > GHOST_S + ATTEMPT_S:
                raise RuleBrokenError(f"nobody holds {place} for {now_s - since_s:g} s")

    def check_leaves(self) -> None:
        """Each stay has ended at most once by a leave."""
        for channel in CHANNELS:
            last: dict[str, str] = {}
            for event in self.emulator.events(channel):
                user_id, action = str(event.user_id), event.action
                if action in {"join", "leave", "timeout"}:
                    is_here = last.get(user_id) == "join"
                    if (action == "join") == is_here:
                        raise RuleBrokenError(f"{user_id} {action} twice on {channel}")
                    last[user_id] = action


def of(process: Process) -> set[Place]:
    """Return who has a lease in a process."""
    return {
        Place(user_id, channel)
        for user_id, leases in process.leases.items()
        for lease in leases
        for channel in lease.channels
    }


def holds(process: Process, place: Place) -> bool:
    """Whether a process has a lease of a user on a channel."""
    leases = process.leases.get(place.user_id, [])
    return any(place.channel in lease.channels for lease in leases)


async def tried(work: object) -> None:
    """Wait for something that may fail with an error of ours."""
    with contextlib.suppress(PresenceError, KeyError, IndexError):
        await work  # type: ignore[misc]  # a coroutine


async def live(seed: int, story: list[str]) -> None:
    """Live through the schedule of a seed; raises ``RuleBrokenError``."""
    rng = random.Random(seed)  # noqa: S311  # repeatable
    async with PresenceEmulator() as emulator:
        world = World(emulator, rng)
        world.story = story
        try:
            for _ in range(rng.randint(2, 4)):
                await world.start()
            await pass_time(world, rng)
            await calm_down(world)
        finally:
            for task in world.tasks:
                task.cancel()
            await world.end()


async def pass_time(world: World, rng: random.Random) -> None:
    """Let things happen, and look twice a second."""
    end_s = world.now_s + SPAN_S
    next_s = world.now_s
    while world.now_s < end_s:
        if next_s <= world.now_s:
            (verb,) = rng.choices(list(VERBS), list(VERBS.values()))
            await world.happen(verb)
            next_s = world.now_s + rng.choice((0.1, 0.5, 1, 3, 8))
        await asyncio.sleep(STEP_S)
        world.look()


async def calm_down(world: World) -> None:
    """Mend everything; in the end just those are there who are held."""
    world.mend()
    world.tell("everything is mended")
    for _ in range(int((GHOST_S + CUT_OFF_S + 4 * ATTEMPT_S) / STEP_S)):
        await asyncio.sleep(STEP_S)
        world.look()
    world.check_leaves()


def play(seed: int) -> list[str]:
    """Play the schedule of a seed in a loop of its own; return its story."""
    story: list[str] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            runner.run(live(seed, story))
        except RuleBrokenError as violation:
            story.append(f"          BROKEN {violation}")
            raise RuleBrokenError("\n".join([f"seed {seed}", *story])) from None
    return story


def failure_of(seed: int) -> str | None:
    """Return the story of a schedule that breaks a rule."""
    try:
        play(seed)
    except RuleBrokenError as violation:
        return str(violation)
    return None
