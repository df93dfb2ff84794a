"""How long a poll waits: pure arithmetic."""

from __future__ import annotations

import pytest

from presence_async import ConnectError, RateLimitedError
from presence_async.client.feed.pace import PollPace


def pauses_s(pace: PollPace, times: int) -> list[float]:
    found = []
    for _ in range(times):
        pace.failed(ConnectError("gone"), 0.0)
        found.append(pace.take_pause_s())
    return found


def test_a_pause_is_taken_once() -> None:
    pace = PollPace()
    pace.refused()

    assert 24 <= pace.take_pause_s() <= 30
    assert pace.take_pause_s() == 0


def test_failures_wait_longer_and_longer_up_to_5_s() -> None:
    rows = [pauses_s(PollPace(), 12) for _ in range(200)]
    longest_s = [max(column) for column in zip(*rows, strict=True)]

    assert longest_s[0] <= 0.25
    assert longest_s[-1] == pytest.approx(5, abs=0.3)
    assert max(longest_s) <= 5
    # Full jitter: some hardly wait at all.
    assert min(row[-1] for row in rows) < 0.5


def test_a_failure_after_a_good_time_is_the_first_again() -> None:
    pace = PollPace()
    pauses_s(pace, 12)
    pace.failed(ConnectError("gone"), 200.0)

    assert pace.take_pause_s() <= 0.25


@pytest.mark.parametrize(("asked_s", "least_s"), [(0, 0), (7, 7), (3600, 10)])
def test_retry_after_comes_before_the_jitter(asked_s: float, least_s: float) -> None:
    pace = PollPace()
    for _ in range(20):
        error = RateLimitedError("slow", status=429, retry_after_s=asked_s)
        pace.failed(error, 0.0)

        assert least_s <= pace.take_pause_s() <= least_s + 5


@pytest.mark.parametrize(
    ("took_s", "messages", "has_news", "longest_s"),
    [
        (200.0, 1, True, 0),
        (200.0, 0, False, 0),
        (0.01, 1, True, 0.04),
        (0.01, 60, True, 0),
        (0.01, 0, False, 0.25),
    ],
)
def test_an_answer_is_followed_at_once_but_by_no_storm(
    took_s: float, messages: int, *, has_news: bool, longest_s: float
) -> None:
    pace = PollPace()
    pace.answered(took_s, messages, has_news=has_news)

    assert pace.take_pause_s() <= longest_s
