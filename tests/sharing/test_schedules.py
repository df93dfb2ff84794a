"""Random schedules of processes that share a register; none breaks a rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from presence_async.presence import permission, rounds
from presence_async.register.hub import Hub
from presence_async.register.record import Record

from .schedules import failure_of, play

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*never awaited")]

SCHEDULES = 300
PER_TEST = 25
FEW = 60
"""Among so many there is one that needs each rule."""


@pytest.mark.parametrize("first", range(0, SCHEDULES, PER_TEST))
def test_no_schedule_breaks_a_rule(first: int) -> None:
    for seed in range(first, first + PER_TEST):
        if (story := failure_of(seed)) is not None:
            pytest.fail(story, pytrace=False)


def test_the_same_seed_makes_the_same_story() -> None:
    assert play(11) == play(11)


def holds_nobody(record: Record, *_: object) -> int:
    return 0


def buries_nobody(*_: object) -> list[tuple[str, int]]:
    return []


def never(*_: object) -> float:
    return 1e9


def always(*_: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("owner", "rule", "without"),
    [
        pytest.param(Record, "others", holds_nobody, id="who is held is not left"),
        pytest.param(Hub, "_bury", buries_nobody, id="the dead are released"),
        pytest.param(rounds, "follow_s", never, id="followers look after a leader"),
        pytest.param(permission, "is_granted", always, id="a leave has to be allowed"),
    ],
)
def test_without_a_rule_a_schedule_fails(
    monkeypatch: pytest.MonkeyPatch, owner: Any, rule: str, without: Callable[..., Any]
) -> None:
    monkeypatch.setattr(owner, rule, without)
    if owner is rounds:
        monkeypatch.setattr("presence_async.presence.turns.follow_s", without)

    assert any(failure_of(seed) is not None for seed in range(FEW))
