"""Every register gives the answers of the reference, whatever it is asked, and when."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from presence_async.register import MemoryRegister, SqliteRegister, ValkeyRegister
from presence_async.register.values import (
    WITHDRAWN,
    Attendance,
    Beaten,
    Claiming,
    Departing,
    Departures,
    Holding,
    Release,
    Wish,
    Worker,
)

from .servers import Server

pytestmark = pytest.mark.real_time

# More for a long run: PRESENCE_ASYNC_REGISTER_EXAMPLES=5000.
EXAMPLES = int(os.environ.get("PRESENCE_ASYNC_REGISTER_EXAMPLES", "25"))
STEPS = 40
ATTEMPT_S = 10.0

MakeRegister = Callable[..., SqliteRegister | ValkeyRegister]

users = st.sampled_from(["alice", "}{:\n%1 ü\0"])
names = st.sampled_from(["a", "b \n{}", ",g"])
some_names = st.lists(names, min_size=1, max_size=3, unique=True).map(tuple)
numbers = st.integers(0, 2)
states = st.sampled_from([None, None, WITHDRAWN, '{"a":1}', '{"b":"ü"}'])
wishes = st.lists(
    st.builds(
        Wish,
        name=names,
        timeout_s=st.sampled_from([0, 20, 60, 300]),
        state=states,
        state_age_s=st.sampled_from([0.0, 0.0, 1.0, 5.5]),
        is_told=st.booleans(),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda wish: wish.name,
).map(tuple)


def of_users(value: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(value, min_size=1, max_size=2, unique_by=lambda x: x.user_id)


class Alike(RuleBasedStateMachine):
    """Asks two registers the same."""

    def __init__(self, make: MakeRegister) -> None:
        super().__init__()
        self.now_s = 0.0
        self.make = make
        self.runner = asyncio.Runner()
        self.workers = [Worker("sub", f"w{i}", 1, f"host {i}") for i in range(3)]
        self.epochs: dict[int, tuple[str, str]] = {}
        self.versions = [-1]

    @initialize(
        # Small numbers are apart from "never"; today's are larger than 32 bits.
        now_s=st.sampled_from([5.0, 1_790_000_000.0]),
        grace_s=st.sampled_from([0, 10, math.inf]),
    )
    def open(self, now_s: float, grace_s: float) -> None:
        self.now_s = now_s
        kind: dict[str, Any] = {"crash_grace_s": grace_s, "clock": lambda: self.now_s}
        self.reference = MemoryRegister(**kind)
        self.other = self.make(**kind)
        self.runner.run(self.other.open())

    def teardown(self) -> None:
        if hasattr(self, "other"):
            self.runner.run(self.other.close())
        self.runner.close()

    def asked(self, operation: str, *values: Any) -> Sequence[Any]:
        expected = list(self.run(getattr(self.reference, operation)(*values)))
        actual = list(self.run(getattr(self.other, operation)(*values)))
        assert actual == expected
        return expected

    def run(self, answer: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(answer)

    @rule(i=numbers, holdings=of_users(st.builds(Holding, users, wishes)))
    def hold(self, i: int, holdings: list[Holding]) -> None:
        for standings in self.asked("hold", self.workers[i], holdings):
            self.versions += [x.version for x in standings]

    @rule(
        i=numbers,
        claimings=of_users(
            st.builds(Claiming, users, st.sampled_from([5.0, 9.5, 140]))
        ),
    )
    def claim(self, i: int, claimings: list[Claiming]) -> None:
        self.asked("claim", self.workers[i], claimings, ATTEMPT_S)

    @rule(
        i=numbers,
        user_id=users,
        names=some_names,
        timeout_s=st.sampled_from([20, 60, 300]),
        age_s=st.sampled_from([0.0, 0.0, 0.4, 3, 20]),
        data=st.data(),
    )
    def beaten(
        self,
        i: int,
        user_id: str,
        names: tuple[str, ...],
        timeout_s: int,
        age_s: float,
        data: st.DataObject,
    ) -> None:
        version = st.sampled_from(self.versions[-5:])
        carried = data.draw(st.none() | st.tuples(*[version] * len(names)))
        beaten = Beaten(user_id, names, timeout_s, age_s, carried or ())
        self.asked("beaten", self.workers[i], [beaten])

    @rule(
        i=numbers,
        releases=of_users(
            st.builds(
                Release,
                users,
                st.just(()) | some_names,
                st.sampled_from([0.0, 0.0, 20.0, math.inf]),
                st.sampled_from([0.0, 30.0]),
            )
        ),
    )
    def release(self, i: int, releases: list[Release]) -> None:
        self.asked("release", self.workers[i], releases, ATTEMPT_S)

    @rule(i=numbers, is_closing=st.booleans(), is_last=st.booleans())
    def depart(self, i: int, *, is_closing: bool, is_last: bool) -> None:
        attendance = Attendance(ATTEMPT_S, "", is_closing, is_closing and is_last)
        answers = []
        for which, register in enumerate((self.reference, self.other)):
            had = self.epochs[i][which] if i in self.epochs else ""
            said = attendance._replace(had_epoch=had)
            answers.append(self.run(register.depart(self.workers[i], said)))
        expected, actual = answers
        self.epochs[i] = expected.epoch, actual.epoch
        assert alike(actual) == alike(expected)

    @rule(i=numbers, leaves=of_users(st.builds(Departing, users, some_names)))
    def departed(self, i: int, leaves: list[Departing]) -> None:
        self.asked("departed", self.workers[i], leaves)

    @rule(user_id=users)
    def look(self, user_id: str) -> None:
        expected = self.run(self.reference.holders("sub", user_id))
        actual = self.run(self.other.holders("sub", user_id))
        assert actual == expected

    @rule(i=numbers)
    def begin_another_life(self, i: int) -> None:
        self.workers[i] = self.workers[i]._replace(life=self.workers[i].life + 1)

    @rule(i=numbers)
    def doubt_the_register(self, i: int) -> None:
        self.epochs[i] = "another", "another"

    @rule(seconds=st.sampled_from([0.2, 1, 4, 10, 16, 60, 300, 2000, -3, -100]))
    def let_time_pass(self, seconds: float) -> None:
        self.now_s = max(1.0, self.now_s + seconds)


def alike(departures: Departures) -> Departures:
    """Take away what may differ: epochs are random, and users come in any order."""
    return departures._replace(
        epoch="",
        leaves=tuple(sorted(departures.leaves)),
        again=tuple(sorted(departures.again, key=repr)),
    )


def hold_against_memory(make: MakeRegister) -> None:
    run_state_machine_as_test(
        lambda: Alike(make),  # type: ignore[arg-type]  # any callable will do
        settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS),
    )


def test_sqlite_answers_as_memory_does(tmp_path: Path) -> None:
    files = itertools.count()
    hold_against_memory(
        lambda **kind: SqliteRegister(tmp_path / f"{next(files)}.db", **kind)
    )


def test_a_server_answers_as_memory_does(server: Server) -> None:
    spaces = itertools.count()
    hold_against_memory(
        lambda **kind: ValkeyRegister(
            server.url, namespace=f"alike {next(spaces)}", **kind
        )
    )
