"""The engine in worlds made at random: whatever goes wrong, the rules hold."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from . import endings
from .scene import Setup
from .schedules import failure_of, made, shortest, story_of
from .service import GROUPS
from .troubles import TROUBLES
from .world import World

pytestmark = pytest.mark.slow

SCHEDULES = 300
PER_TEST = 50

USERS = st.sampled_from(("u0", "u1", "u2"))
LEASES = st.integers(0, 5)
TIMEOUTS_S = st.sampled_from((3, 5, 12, 60, 320))
CHANNELS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True).map(
    tuple
)
NO_GROUPS: st.SearchStrategy[tuple[str, ...]] = st.just(())
SOME_GROUPS = NO_GROUPS | st.sampled_from([(group,) for group in GROUPS])


@pytest.mark.parametrize("first", range(0, SCHEDULES, PER_TEST))
def test_no_schedule_breaks_a_rule(first: int) -> None:
    for seed in range(first, first + PER_TEST):
        schedule = made(seed)
        if failure_of(schedule) is not None:
            pytest.fail(story_of(shortest(schedule)), pytrace=False)


def test_what_breaks_a_rule_is_told_as_a_short_story(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("presence_async.presence.engine.PresenceEngine.slept", fail)
    seed = next(seed for seed in range(1000) if failure_of(made(seed)) is not None)

    schedule = shortest(made(seed))

    assert [step.verb for step in schedule.steps] == ["sleep"]
    assert "sleep(seconds=" in story_of(schedule)
    assert story_of(schedule).endswith("RuntimeError: overslept")


def test_the_same_seed_makes_the_same_story() -> None:
    assert story_of(made(7)) == story_of(made(7))


def fail(*_: object) -> None:
    raise RuntimeError("overslept")


class Machine(RuleBasedStateMachine):
    """One world; Hypothesis chooses what happens next, and how long it takes."""

    world: World

    @initialize(
        seed=st.integers(0, 2**16),
        attempt_timeout_s=st.sampled_from((1.0, 5.0, 10.0)),
        max_in_flight=st.sampled_from((64, 64, 2)),
    )
    def begin(self, seed: int, attempt_timeout_s: float, max_in_flight: int) -> None:
        self.leases = 0
        self.world = World(
            Setup(
                seed=seed,
                attempt_timeout_s=attempt_timeout_s,
                max_in_flight=max_in_flight,
            )
        )

    @rule(seconds=st.sampled_from((0.01, 0.03, 0.1, 1.0, 7.0, 40.0)))
    def wait(self, seconds: float) -> None:
        self.world.run_for(seconds)

    @rule(
        user_id=USERS,
        channels=CHANNELS,
        groups=SOME_GROUPS,
        timeout_s=TIMEOUTS_S,
        state=st.booleans(),
        patience_s=st.sampled_from((0.5, 30.0, float("inf"))),
        linger_s=st.sampled_from((0.0, 0.0, 5.0)),
    )
    def join(
        self,
        user_id: str,
        channels: tuple[str, ...],
        groups: tuple[str, ...],
        timeout_s: int,
        state: bool,
        patience_s: float,
        linger_s: float,
    ) -> None:
        self.world.join(
            self.leases,
            user_id,
            channels,
            groups,
            timeout_s,
            state=state,
            patience_s=patience_s,
            linger_s=linger_s,
        )
        self.leases += 1

    @rule(lease=LEASES, channels=CHANNELS)
    def add(self, lease: int, channels: tuple[str, ...]) -> None:
        self.world.add(lease, channels, 30.0)

    @rule(lease=LEASES, channels=CHANNELS)
    def narrow(self, lease: int, channels: tuple[str, ...]) -> None:
        self.world.narrow(lease, channels)

    @rule(lease=LEASES)
    def release(self, lease: int) -> None:
        self.world.release(lease)

    @rule(user_id=USERS, channels=CHANNELS, groups=SOME_GROUPS)
    def leave(
        self, user_id: str, channels: tuple[str, ...], groups: tuple[str, ...]
    ) -> None:
        self.world.leave(user_id, channels, groups)

    @rule(lease=LEASES, gathers=st.booleans())
    def set_state(self, lease: int, gathers: bool) -> None:
        self.world.set_state(lease, gathers=gathers)

    @rule(user_id=USERS, channels=CHANNELS, timeout_s=TIMEOUTS_S)
    def say_heartbeat(
        self, user_id: str, channels: tuple[str, ...], timeout_s: int
    ) -> None:
        self.world.say_heartbeat(user_id, channels, timeout_s)

    @rule(user_id=USERS, channels=CHANNELS)
    def say_state(self, user_id: str, channels: tuple[str, ...]) -> None:
        self.world.say_state(user_id, channels)

    @rule(number=st.integers(0, 3))
    def give_up(self, number: int) -> None:
        self.world.give_up(number)

    @rule()
    def retry_refused(self) -> None:
        self.world.retry_refused()

    @rule(seconds=st.sampled_from((3.0, 100.0)), notice_s=st.sampled_from((0.1, 5.0)))
    def sleep(self, seconds: float, notice_s: float) -> None:
        self.world.sleep(seconds, notice_s)

    @rule()
    def forget(self) -> None:
        self.world.forget()

    @rule(
        kind=st.sampled_from(list(TROUBLES)),
        lasts_s=st.sampled_from((0.1, 3.0, 30.0)),
        names=CHANNELS,
        retry_after_s=st.sampled_from((None, 5.0, 3600.0)),
    )
    def trouble(
        self,
        kind: str,
        lasts_s: float,
        names: tuple[str, ...],
        retry_after_s: float | None,
    ) -> None:
        self.world.trouble(
            kind,
            lasts_s,
            names=names if kind.startswith("refused") else (),
            retry_after_s=retry_after_s,
        )

    @invariant()
    def pump(self) -> None:
        self.world.pump()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            endings.calm_down(self.world)
            endings.release_all(self.world)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=25, stateful_step_count=20)
