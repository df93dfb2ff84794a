"""How soon and how long, as arithmetic."""

from __future__ import annotations

import itertools
import random

import pytest

from presence_async.presence.pace import (
    attempt_limit_s,
    default_interval_s,
    first_attempt_s,
    hold_s,
    next_beat_s,
    phase,
    retry_gap_s,
    slot_s,
)


@pytest.mark.parametrize(("timeout_s", "interval_s"), [(3, 0.5), (300, 149)])
def test_the_interval_is_half_the_timeout_less_a_second(
    timeout_s: int, interval_s: float
) -> None:
    assert default_interval_s(timeout_s) == interval_s


@pytest.mark.parametrize("first", [1, 1000])
def test_phases_of_users_who_join_one_after_the_other_are_spread_evenly(
    first: int,
) -> None:
    phases = sorted(phase(first + number) for number in range(100))

    gaps = [b - a for a, b in itertools.pairwise([*phases, phases[0] + 1])]
    assert phases[0] >= 0
    assert phases[-1] < 1
    assert min(gaps) > 0.5 / 100
    assert max(gaps) < 2 / 100


@pytest.mark.parametrize(
    ("now_s", "next_s"),
    [(1000, 1010), (1000.5, 1010), (1009, 1010), (1153, 1160), (997, 1000)],
)
def test_places_do_not_drift(now_s: float, next_s: float) -> None:
    assert next_beat_s(1000, 10, now_s) == pytest.approx(next_s)


@pytest.mark.parametrize(
    ("interval_s", "users", "width_s"),
    [
        (149, 1, 0.01),
        (149, 999, 0.01),
        (149, 1000, 0.149),
        (149, 64_000, 0.149),
        (149, 100_000, 0.0745),
        (149, 1_000_000, 0.01),
        (29, 10_000, 0.029),
        (4, 10_000, 0.01),
        (0.5, 10_000, 0.01),
        (0.005, 1, 0.005),
    ],
)
def test_slots_grow_with_the_interval_and_with_company(
    interval_s: float, users: int, width_s: float
) -> None:
    found_s = slot_s(interval_s, users, 64)

    assert found_s == pytest.approx(width_s)
    assert interval_s / found_s == pytest.approx(round(interval_s / found_s))


@pytest.mark.parametrize(
    ("remaining_s", "longest_s"), [(8, 1), (16, 2), (36, 4.5), (80, 4.5), (0, 4.5)]
)
def test_a_gap_is_up_to_an_eighth_of_what_is_left(
    remaining_s: float, longest_s: float
) -> None:
    rng = random.Random(1)  # noqa: S311  # repeatable
    gaps_s = [retry_gap_s(remaining_s, rng) for _ in range(500)]

    assert min(gaps_s) == pytest.approx(longest_s / 2, rel=0.02)
    assert max(gaps_s) == pytest.approx(longest_s, rel=0.02)
    assert max(gaps_s) <= longest_s


@pytest.mark.parametrize("remaining_s", [0.01, 0.5, 0.79])
def test_a_gap_is_never_shorter_than_a_tenth_of_a_second(remaining_s: float) -> None:
    assert retry_gap_s(remaining_s, random.Random(1)) == 0.1  # noqa: S311


@pytest.mark.parametrize(
    ("remaining_s", "attempt_timeout_s", "longest_s"),
    [
        (300, 10, 10),
        (12, 10, 10),
        (11, 10, 9),
        (6, 10, 4),
        (4, 10, 2),
        (3, 10, 1.5),
        (0.5, 10, 0.25),
        (0, 10, 10),
        (-5, 10, 10),
        (3, 1, 1),
    ],
)
def test_a_heartbeat_on_time_leaves_room_for_another(
    remaining_s: float, attempt_timeout_s: float, longest_s: float
) -> None:
    assert first_attempt_s(remaining_s, attempt_timeout_s) == longest_s


@pytest.mark.parametrize(
    ("remaining_s", "attempt_timeout_s", "longest_s"),
    [
        (100, 10, 10),
        (20, 10, 5),
        (4, 10, 1),
        (2, 10, 1),
        (0.1, 1, 0.5),
        (0, 10, 5),
        (-5, 10, 5),
        (0, 2, 2),
    ],
)
def test_an_attempt_at_risk_takes_a_quarter_of_what_is_left(
    remaining_s: float, attempt_timeout_s: float, longest_s: float
) -> None:
    assert attempt_limit_s(remaining_s, attempt_timeout_s) == longest_s


@pytest.mark.parametrize(
    ("asked_s", "remaining_s", "held_s"),
    [
        (3, 0, 3),
        (3600, 0, 14.5),
        (3600, -5, 14.5),
        (3600, 10, 14.5),
        (3600, 10.5, 5.25),
        (3600, 20, 10),
        (3600, 100, 14.5),
        (3, 20, 3),
    ],
)
def test_retry_after_is_obeyed_as_far_as_a_presence_allows(
    asked_s: float, remaining_s: float, held_s: float
) -> None:
    assert hold_s(asked_s, remaining_s, 10) == held_s
