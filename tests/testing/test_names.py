from __future__ import annotations

import pytest

from presence_async import testing


def test_every_public_name_is_found_when_it_is_asked_for() -> None:
    assert [getattr(testing, name).__name__ for name in testing.__all__] == [
        "LeakCheck",
        "LeakError",
        "MakePresenceClient",
        "ThreadedEmulator",
        "VirtualLoop",
    ]
    assert set(testing.__all__) <= set(dir(testing))


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match=r"presence_async\.testing.*VirtualClock"):
        testing.VirtualClock  # noqa: B018  # the look-up is what is tested
