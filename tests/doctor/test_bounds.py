"""A figure is told only if no other fits what was seen."""

from __future__ import annotations

import math

import pytest

from presence_async.doctor.bounds import Bounds, UnclearError


@pytest.mark.parametrize(
    ("least_s", "most_s", "seconds"),
    [
        (0, 0, 0),
        (-3, 0.9, 0),
        (1.7, 2.0, 2),
        (1.999, 2.9, 2),
        (2.01, 2.2, 2),
        (1.2, 1.99, 2),
    ],
)
def test_the_only_whole_number_that_fits_is_told(
    least_s: float, most_s: float, seconds: int
) -> None:
    assert Bounds(least_s, most_s).whole_s() == seconds


@pytest.mark.parametrize(
    ("least_s", "most_s", "says"),
    [
        (0, 1, "it may be 0.0 to 1.0 s"),
        (1.2, 1.8, "it may be 1.2 to 1.8 s"),
        (2, math.inf, "it may be 2.0 s or more"),
        (-math.inf, math.inf, "it may be 0.0 s or more"),
        (3, 2, "what was seen contradicts itself"),
        (-5, -1, "what was seen contradicts itself"),
    ],
)
def test_none_is_told_if_several_fit_or_none(
    least_s: float, most_s: float, says: str
) -> None:
    with pytest.raises(UnclearError) as caught:
        Bounds(least_s, most_s).whole_s()

    assert str(caught.value) == says


def test_a_difference_is_as_open_as_both_together() -> None:
    gone, came = Bounds(20, 20.5), Bounds(10, 10.25)

    assert gone - came == Bounds(9.75, 10.5)
    assert Bounds.around([gone, came]) == Bounds(10, 20.5)
    assert gone.overlaps(Bounds(20.5, 30))
    assert not gone.overlaps(came)
