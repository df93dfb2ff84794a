"""RosterState against a naive world: late, lost, doubled events, stale snapshots."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Mapping

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async.protocol.events import (
    IntervalEvent,
    JoinEvent,
    LeaveEvent,
    PresenceEvent,
    StateChangeEvent,
    TimeoutEvent,
    UserEvent,
)
from presence_async.protocol.json_codec import Json
from presence_async.protocol.occupancy import Occupant
from presence_async.roster.schedule import RECONCILE_PERIOD_S, SnapshotSchedule
from presence_async.roster.snapshot import Snapshot
from presence_async.roster.state import RosterState

States = dict[str, Mapping[str, Json]]

CHANNEL = "lobby"
USERS = tuple("abcdefgh")
TROUBLE_S = 60.0
WATCHED_S = 40.0
CACHE_S = 3.0
SLOWEST_ANSWER_S = 0.5
SLOWEST_EVENT_S = 0.3


@attrs.define
class Observer:
    """Somebody who knows the roster from what it tells alone."""

    seen: States = attrs.field(factory=dict)

    def hear(self, event: PresenceEvent) -> None:
        assert isinstance(event, UserEvent)
        is_here = event.user_id in self.seen
        match event:
            case JoinEvent():
                assert not is_here, f"a second join of {event.user_id}"
                self.seen[event.user_id] = event.state or {}
            case LeaveEvent() | TimeoutEvent():
                assert is_here, f"a second leave of {event.user_id}"
                del self.seen[event.user_id]
            case _:
                assert isinstance(event, StateChangeEvent)
                assert is_here, f"a state of {event.user_id}, who is absent"
                self.seen[event.user_id] = event.state or {}


@attrs.define
class World:
    """A service and the way from it to a roster's state, in a time of its own.

    Attributes:
        rng: What decides everything.
        share: Of events that are lost, doubled, late or early while there is trouble.
        interval_s: Tell nothing but interval events, so far apart; 0: every change.
        has_deltas: Whether interval events say who.
        clock_s: What the service's clock shows at time 0.
    """

    rng: random.Random
    share: float = 0.2
    interval_s: float = 0.0
    has_deltas: bool = True
    clock_s: float = 1.7e9
    now_s: float = 1000.0
    truth: States = attrs.field(factory=dict)
    history: list[tuple[float, States]] = attrs.field(factory=list)
    due: list[tuple[float, int, Callable[[], None]]] = attrs.field(factory=list)
    counter: itertools.count[int] = attrs.field(factory=itertools.count)
    observer: Observer = attrs.field(factory=Observer)
    schedule: SnapshotSchedule = attrs.field(init=False)
    roster: RosterState = attrs.field(init=False)
    calm_from_s: float = attrs.field(init=False)
    acted_s: float = 0.0
    asked: list[float] = attrs.field(factory=list)
    last: States = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.schedule = SnapshotSchedule(self.rng)
        self.roster = RosterState(CHANNEL, self.schedule)
        self.calm_from_s = self.now_s + TROUBLE_S
        self.note()

    # Time.

    def at(self, when_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.due, (when_s, next(self.counter), what))

    def run_until(self, end_s: float) -> None:
        while True:
            check_s = max(self.schedule.due_s, self.now_s)
            next_s = min(check_s, self.due[0][0] if self.due else end_s, end_s)
            if next_s >= end_s:
                self.now_s = end_s
                return
            self.now_s = next_s
            if self.due and self.due[0][0] <= next_s:
                heapq.heappop(self.due)[2]()
            else:
                self.ask()

    @property
    def is_troubled(self) -> bool:
        return self.now_s < self.calm_from_s

    # The service.

    def note(self) -> None:
        self.history.append((self.now_s, dict(self.truth)))

    def truth_at(self, when_s: float) -> States:
        return next(
            (known for at_s, known in reversed(self.history) if at_s <= when_s),
            self.history[0][1],
        )

    def act(self) -> None:
        user_id = self.rng.choice(USERS)
        kind: type[UserEvent]
        state: Mapping[str, Json] | None = None
        if user_id not in self.truth:
            kind = JoinEvent
            state = self.rng.choice(({}, {"n": self.rng.random()}))
            self.truth[user_id] = state
        elif self.rng.random() < 0.3:
            kind, state = StateChangeEvent, {"n": self.rng.random()}
            self.truth[user_id] = state
        else:
            kind = self.rng.choice((LeaveEvent, TimeoutEvent))
            del self.truth[user_id]
        self.acted_s = self.now_s
        self.note()
        if not self.interval_s or kind is StateChangeEvent:
            said = {"user_id": user_id, "state": state}
            self.publish(kind(**self.facts(), **said))  # type: ignore[arg-type]  # the facts of any event

    def facts(self) -> dict[str, object]:
        unix_s = self.clock_s + self.now_s
        return {
            "channel": CHANNEL,
            "occupancy": len(self.truth),
            "timetoken": int(unix_s * 1e7) + next(self.counter),
            "timestamp_ms": int(unix_s * 1000),
        }

    def tick(self) -> None:
        before, self.last = self.last, dict(self.truth)
        said = {
            "joined": tuple(u for u in self.truth if u not in before),
            "left": tuple(u for u in before if u not in self.truth),
        }
        if not self.has_deltas:
            said = {}
        self.publish(IntervalEvent(**self.facts(), **said))  # type: ignore[arg-type]  # the facts of any event
        self.at(self.now_s + self.interval_s, self.tick)

    def publish(self, event: PresenceEvent) -> None:
        deliver = lambda: self.deliver(event)  # noqa: E731  # a callback
        delay_s = self.rng.uniform(0, SLOWEST_EVENT_S)
        if self.is_troubled and self.rng.random() < self.share:
            match self.rng.choice(("lost", "doubled", "late")):
                case "lost":
                    return
                case "doubled":
                    self.at(self.now_s + self.rng.uniform(0, 8), deliver)
                case _:
                    left_s = self.calm_from_s - self.now_s
                    delay_s = min(self.rng.uniform(0, 12), left_s)
        self.at(self.now_s + delay_s, deliver)

    # The way to the roster.

    def deliver(self, event: PresenceEvent) -> None:
        for told in self.roster.apply(event, now_s=self.now_s):
            self.observer.hear(told)

    def ask(self) -> None:
        sent_s = self.now_s
        self.asked.append(sent_s)
        self.schedule.sent(now_s=sent_s)
        takes_s = self.rng.uniform(0, SLOWEST_ANSWER_S)
        if self.is_troubled and self.rng.random() < 0.1:
            self.at(sent_s + takes_s, self.fail)
            return
        asked_s, answered_s = sent_s - CACHE_S, sent_s + takes_s

        def answer() -> None:
            # As old as the cache, as new as the reply, or anything between.
            of_s = self.rng.choice((asked_s, answered_s))
            of_s = self.rng.choice((of_s, self.rng.uniform(asked_s, answered_s)))
            for told in self.roster.reconcile(
                snapshot_of(self.truth_at(of_s), sent_s=sent_s), now_s=self.now_s
            ):
                self.observer.hear(told)

        self.at(answered_s, answer)

    def fail(self) -> None:
        self.schedule.failed(now_s=self.now_s)
        self.roster.forget_old(now_s=self.now_s)

    # What is compared.

    def run(self, *, pace_s: float, until_s: float) -> None:
        """Let users come and go at random until a time."""
        when_s = self.now_s
        while (when_s := when_s + self.rng.expovariate(1 / pace_s)) < until_s:
            self.at(when_s, self.act)
        self.run_until(until_s)

    @property
    def held(self) -> States:
        return {u: dict(o.state or {}) for u, o in self.roster.members.items()}

    def check(self) -> None:
        assert self.observer.seen == self.held
        assert self.held == self.truth


def snapshot_of(
    states: Mapping[str, Mapping[str, Json]], *, sent_s: float, is_whole: bool = True
) -> Snapshot:
    return Snapshot(
        channel=CHANNEL,
        occupants={u: Occupant(user_id=u, state=s) for u, s in states.items()},
        is_whole=is_whole,
        sent_at_s=sent_s,
        timestamp_ms=int(sent_s * 1000),
    )


def troubled_world(seed: int, *, interval_s: float, has_deltas: bool) -> World:
    rng = random.Random(seed)  # noqa: S311  # repeatable, guards nothing
    world = World(rng, interval_s=interval_s, has_deltas=has_deltas)
    for user_id in USERS[: rng.randrange(len(USERS))]:
        world.truth[user_id] = {}
    world.note()
    # What the first poll brings: it starts five seconds before the handshake.
    world.run(pace_s=1.0, until_s=world.now_s + 5)
    world.schedule.begin(now_s=world.now_s)
    if interval_s:
        world.tick()
    world.run(pace_s=rng.choice((0.2, 1.0, 5.0)), until_s=world.calm_from_s)
    return world


@pytest.mark.parametrize(
    ("interval_s", "has_deltas"),
    [(0, True), (10, True), (10, False)],
    ids=["announce", "interval with deltas", "interval without"],
)
@given(seed=st.integers(0, 2**32))
def test_a_reconcile_period_after_the_trouble_the_state_is_right(
    seed: int, interval_s: float, has_deltas: bool
) -> None:
    world = troubled_world(seed, interval_s=interval_s, has_deltas=has_deltas)

    world.run_until(world.calm_from_s + RECONCILE_PERIOD_S + SLOWEST_ANSWER_S)

    world.check()
    gaps = [b - a for a, b in itertools.pairwise(world.asked)]
    assert min(gaps) >= 3 - 1e-9
    assert world.schedule.is_trusted


@given(seed=st.integers(0, 2**32))
def test_while_users_come_and_go_after_the_trouble_it_stays_right(seed: int) -> None:
    world = troubled_world(seed, interval_s=0, has_deltas=True)
    world.run(
        pace_s=1.0,
        until_s=world.calm_from_s + RECONCILE_PERIOD_S + SLOWEST_ANSWER_S,
    )

    for _ in range(20):
        world.run(pace_s=0.3, until_s=world.now_s + 2)
        world.run_until(world.now_s + SLOWEST_EVENT_S)
        world.check()
