"""Schedules: who does what and what goes wrong when; made at random, run, shortened."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs

from presence_async.presence.pace import default_interval_s

from . import endings
from .scene import Setup
from .service import GROUPS
from .troubles import OUTAGES, TROUBLES
from .world import World

__all__ = ["Schedule", "Step", "failure_of", "made", "shortest", "story_of"]

_CHANNELS = ("a", "b", "c", "d")
_TIMEOUTS_S = (
    (3, 4, 5, 8),
    (5, 8, 10, 12),
    *[(15, 20, 30, 45, 60)] * 4,
    *[(90, 120, 300, 320)] * 4,
)
_ENDS = ("release all", "release all", "close", "close without leaving", "cut short")
_ENDLESS = float("inf")


class Step(NamedTuple):
    """One thing that happens: a method of the world and its arguments."""

    at_s: float
    verb: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        """Return the step as a line of a story."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return f"{self.at_s:9.3f}  {self.verb}({arguments})"


@attrs.frozen(kw_only=True)
class Schedule:
    """What happens in one world.

    Attributes:
        setup: The figures.
        steps: In the order of their times.
        end: How it ends.
        is_short_outage: Whether one outage, too short to be seen, is all that happens.
    """

    setup: Setup
    steps: tuple[Step, ...]
    end: str = "release all"
    is_short_outage: bool = False

    def live(self, world: World) -> None:
        """Live through it; raises ``Violation`` when a rule is broken."""
        began_s = world.scene.now_s
        world.rules.forbids_timeouts = self.is_short_outage
        for step in self.steps:
            world.run_until(began_s + step.at_s)
            if world.scene.story is not None:
                world.scene.story.append(f"{step}")
            getattr(world, step.verb)(**step.arguments)
            world.pump()
        if self.end == "cut short":
            endings.close(world, leave=True)
            return
        endings.calm_down(world)
        if self.end == "release all":
            endings.release_all(world)
        else:
            endings.close(world, leave=self.end == "close")


def made(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = random.Random(seed)  # noqa: S311  # repeatable
    setup = Setup(
        seed=seed,
        attempt_timeout_s=rng.choice((1.0, 1.0, 2.0, 5.0, 10.0)),
        max_in_flight=64 if rng.random() < 0.85 else rng.choice((1, 2, 3)),
        max_requests_per_s=None if rng.random() < 0.9 else rng.choice((20.0, 50.0)),
    )
    if rng.random() < 0.15:
        short = _short_outage(setup, rng)
        if short is not None:
            return short
    maker = _Maker(rng)
    steps = tuple(maker.steps())
    return Schedule(setup=setup, steps=steps, end=rng.choice(_ENDS))


def _short_outage(setup: Setup, rng: random.Random) -> Schedule | None:
    """Return a schedule with one outage that observers must not notice."""
    setup = attrs.evolve(setup, max_in_flight=64, max_requests_per_s=None)
    scale = rng.choice(_TIMEOUTS_S)
    room = {t: t - default_interval_s(t) - setup.attempt_timeout_s for t in scale}
    timeouts_s = [t for t in scale if room[t] > 0.3]
    if not timeouts_s:
        return None
    users = [f"u{n}" for n in range(rng.choice((1, 1, 2, 3, 4, 8)))]
    joins = [
        Step(
            rng.uniform(0, 2),
            "join",
            {
                "lease": lease,
                "user_id": user_id,
                "channels": tuple(rng.sample(_CHANNELS, rng.randint(1, 2))),
                "timeout_s": rng.choice(timeouts_s),
                "state": rng.random() < 0.5,
            },
        )
        for lease, user_id in enumerate(users * rng.randint(1, 2))
    ]
    joins.sort(key=lambda step: step.at_s)
    longest_s = min(room[step.arguments["timeout_s"]] for step in joins)
    interval_s = default_interval_s(max(timeouts_s))
    outage = Step(
        3 + rng.uniform(0, 1.5 * interval_s),
        "trouble",
        {
            "kind": rng.choice(OUTAGES),
            "lasts_s": longest_s * rng.uniform(0.1, 0.999),
            "retry_after_s": rng.choice((None, 1.0, 3600.0)),
        },
    )
    return Schedule(setup=setup, steps=(*joins, outage), is_short_outage=True)


class _Maker:
    """Makes the steps of one schedule.

    Args:
        rng: What decides everything.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._users = [f"u{n}" for n in range(rng.choice((1, 1, 1, 2, 2, 3, 4, 8)))]
        self._timeouts_s: tuple[int, ...] = rng.choice(_TIMEOUTS_S)
        if rng.random() < 0.04:
            self._timeouts_s = tuple(
                sorted({t for scale in _TIMEOUTS_S for t in scale})
            )
        self._pace_s = rng.choice((0.05, 0.5, 2.0, max(self._timeouts_s) / 8))
        self._leases = 0
        self._verbs: dict[str, tuple[int, Callable[[], dict[str, Any]]]] = {
            "join": (10, self._join),
            "trouble": (10, self._trouble),
            "give_up": (4, lambda: {"number": rng.randrange(4)}),
            "release": (5, self._lease),
            "set_state": (4, lambda: {**self._lease(), "gathers": rng.random() < 0.5}),
            "add": (3, self._add),
            "narrow": (3, lambda: {**self._lease(), "channels": self._channels()}),
            "leave": (3, self._leave),
            "say_heartbeat": (2, self._say_heartbeat),
            "say_state": (2, lambda: {**self._user(), "channels": self._channels()}),
            "retry_refused": (1, dict),
            "sleep": (1, self._sleep),
            "forget": (1, dict),
        }

    def steps(self) -> Iterator[Step]:
        """Yield steps, a join first."""
        rng, verbs = self._rng, list(self._verbs)
        weights = [weight for weight, _ in self._verbs.values()]
        at_s = 0.0
        yield Step(at_s, "join", self._join())
        for _ in range(rng.choice((2, 3, 5, 8, 12))):
            at_s += rng.expovariate(1 / self._pace_s)
            (verb,) = rng.choices(verbs, weights)
            yield Step(round(at_s, 3), verb, self._verbs[verb][1]())

    def _user(self) -> dict[str, Any]:
        return {"user_id": self._rng.choice(self._users)}

    def _channels(self) -> tuple[str, ...]:
        return tuple(self._rng.sample(_CHANNELS, self._rng.choice((1, 1, 2, 3))))

    def _groups(self) -> tuple[str, ...]:
        return (self._rng.choice(list(GROUPS)),) if self._rng.random() < 0.15 else ()

    def _lease(self) -> dict[str, Any]:
        return {"lease": self._rng.randrange(max(1, self._leases))}

    def _join(self) -> dict[str, Any]:
        rng = self._rng
        self._leases += 1
        return {
            "lease": self._leases - 1,
            **self._user(),
            "channels": self._channels(),
            "groups": self._groups(),
            "timeout_s": rng.choice(self._timeouts_s),
            "state": rng.random() < 0.5,
            "patience_s": rng.choice((0.5, 5.0, 30.0, 30.0, _ENDLESS)),
            "linger_s": rng.choice((0.0, 0.0, 0.0, 1.0, 10.0)),
        }

    def _add(self) -> dict[str, Any]:
        patience_s = self._rng.choice((5.0, 30.0))
        return {**self._lease(), "channels": self._channels(), "patience_s": patience_s}

    def _leave(self) -> dict[str, Any]:
        return {**self._user(), "channels": self._channels(), "groups": self._groups()}

    def _say_heartbeat(self) -> dict[str, Any]:
        timeout_s = self._rng.choice(self._timeouts_s)
        return {**self._user(), "channels": self._channels(), "timeout_s": timeout_s}

    def _sleep(self) -> dict[str, Any]:
        rng = self._rng
        seconds = rng.choice((3.0, 30.0, 500.0))
        return {"seconds": seconds, "notice_s": rng.uniform(0, 5)}

    def _trouble(self) -> dict[str, Any]:
        rng = self._rng
        kind = rng.choice(list(TROUBLES))
        arguments: dict[str, Any] = {
            "kind": kind,
            "lasts_s": round(rng.expovariate(1 / rng.choice((1.0, 10.0, 40.0))), 3),
            "probability": rng.choice((0.3, 0.7, 1.0, 1.0)),
        }
        if rng.random() < 0.2:
            arguments["users"] = (rng.choice(self._users),)
        if kind.startswith("refused"):
            arguments["names"] = (*self._channels(), *self._groups())
        if kind in {"unavailable", "limited"}:
            arguments["retry_after_s"] = rng.choice((None, 1.0, 8.0, 3600.0))
        return arguments


# What fails, made short.


def failure_of(schedule: Schedule) -> Exception | None:
    """Return what a schedule breaks, a rule or the engine itself."""
    try:
        schedule.live(World(schedule.setup))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a failure
        return error
    return None


def shortest(schedule: Schedule) -> Schedule:
    """Drop steps while what is left still fails in the same way."""
    kind = _kind_of(failure_of(schedule))
    steps = schedule.steps
    size = max(1, len(steps) // 2)
    while True:
        for start in range(0, len(steps), size):
            fewer = attrs.evolve(schedule, steps=steps[:start] + steps[start + size :])
            if _kind_of(failure_of(fewer)) == kind:
                schedule, steps = fewer, fewer.steps
                break
        else:
            if size == 1:
                return schedule
            size //= 2


def _kind_of(error: Exception | None) -> str:
    return "" if error is None else f"{type(error).__name__} {error}".partition(":")[0]


def story_of(schedule: Schedule) -> str:
    """Return what happens in a schedule, and how it ends, line by line."""
    world = World(schedule.setup, tells=True)
    ending = "all is well"
    try:
        schedule.live(world)
    except Exception as error:  # noqa: BLE001  # told, whatever it is
        ending = f"{type(error).__name__}: {error}"
    lines = [str(schedule.setup), *(world.scene.story or ()), f"end: {schedule.end}"]
    return "\n".join([*lines, ending])
