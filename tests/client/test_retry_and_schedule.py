"""Pure arithmetic: when to try again, when the next heartbeat is due."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presence_async import (
    ExponentialRetry,
    InvalidArgumentError,
    LinearRetry,
    NoRetry,
)
from presence_async.presence.pace import (
    attempt_limit_s,
    next_beat_s,
    phase,
    retry_gap_s,
)

RNG = random.Random(1)  # noqa: S311  # spreads load


def test_full_jitter_spreads_from_zero_to_the_cap() -> None:
    policy = ExponentialRetry(base_s=1, cap_s=4, attempts=math.inf)

    for failures, top in ((1, 1), (2, 2), (3, 4), (9, 4), (10_000, 4)):
        waits = [policy.delay_s(failures, RNG) or 0 for _ in range(500)]
        assert 0 <= min(waits) < 0.1 * top
        assert 0.9 * top < max(waits) <= top


def test_attempts_are_counted_with_the_first() -> None:
    assert ExponentialRetry(attempts=2).delay_s(1, RNG) is not None
    assert ExponentialRetry(attempts=2).delay_s(2, RNG) is None
    assert LinearRetry(attempts=1).delay_s(1, RNG) is None
    assert NoRetry().delay_s(1, RNG) is None


def test_linear_waits_the_same_plus_jitter() -> None:
    waits = [LinearRetry(wait_s=2, jitter_s=1).delay_s(3, RNG) or 0 for _ in range(200)]

    assert min(waits) >= 2
    assert max(waits) <= 3


@pytest.mark.parametrize(
    "settings", [{"attempts": 0}, {"attempts": 1.5}, {"base_s": 0}, {"cap_s": math.nan}]
)
def test_a_policy_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        ExponentialRetry(**settings)


def test_phases_spread_any_run_of_users_evenly() -> None:
    for first in (0, 777):
        phases = sorted(phase(first + n) for n in range(1000))
        gaps = [b - a for a, b in itertools.pairwise(phases)]
        assert max(gaps) < 3 / 1000


def test_beats_keep_their_rhythm_without_drift() -> None:
    assert next_beat_s(100, 10, 100.4) == pytest.approx(110)
    assert next_beat_s(100, 10, 100) == 110
    assert next_beat_s(100, 10, 153) == pytest.approx(160)
    assert next_beat_s(100, 10, 97) == pytest.approx(100)
    assert next_beat_s(100, 10, 12) == pytest.approx(20)


@given(st.floats(0.01, 300))
def test_several_tries_fit_into_what_remains(remaining_s: float) -> None:
    gap_s = retry_gap_s(remaining_s, RNG)

    assert gap_s <= max(0.1, remaining_s / 8)
    assert attempt_limit_s(remaining_s, 10) <= max(1, remaining_s / 4)


def test_a_lost_presence_is_tried_every_few_seconds() -> None:
    assert retry_gap_s(-1, RNG) <= 5
    assert attempt_limit_s(0, 10) == 5
