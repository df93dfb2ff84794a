"""The times of joins, which leases share so that they take no memory."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from presence_async.client import join_times
from presence_async.client.join_times import JoinTimes, Moment


def joined_at(lease: SimpleNamespace) -> float:
    return join_times.moment_of(lease).joined_at


@pytest.fixture(name="leases")
def make_leases() -> list[SimpleNamespace]:
    calls = SimpleNamespace()
    calls.moment = Moment(calls)
    return [SimpleNamespace(_moment=calls.moment) for _ in range(2)]


@pytest.mark.parametrize(
    ("after_s", "expected"), [(0, 0), (0.4, 0), (0.6, 0.6), (-1, -1)]
)
def test_only_leases_that_join_at_once_share_a_time(
    leases: list[SimpleNamespace], after_s: float, expected: float
) -> None:
    times = JoinTimes()
    for lease, now_s in zip(leases, [1000, 1000 + after_s], strict=True):
        times.note(lease, now_s)

    one, two = leases
    assert joined_at(one) == 1000
    assert joined_at(two) == 1000 + expected
    assert (one._moment is two._moment) is (expected == 0)


def test_a_lease_that_has_not_joined_has_no_time(leases: list[SimpleNamespace]) -> None:
    assert joined_at(leases[0]) == 0


def test_a_time_is_forgotten_for_one_lease_alone(leases: list[SimpleNamespace]) -> None:
    times = JoinTimes()
    for lease in leases:
        times.note(lease, 1000)

    join_times.forget(leases[0])

    assert [joined_at(lease) for lease in leases] == [0, 1000]
    assert leases[0]._moment is leases[0]._moment.calls.moment
