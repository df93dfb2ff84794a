"""An outage of a day: 12,000 requests, which take six times as long over sockets.

Those of a quarter of an hour go through sockets, in ``tests/client/test_outages.py``.
"""

from __future__ import annotations

import pytest

from presence_async.presence.claims import LeaseHealth

from .scene import Setup
from .world import World

USERS = 5
DAY_S = 24 * 3600.0
RECOVERY_S = 15


@pytest.mark.slow
def test_everybody_is_fresh_soon_after_an_outage_of_a_day() -> None:
    world = World(Setup())
    for number in range(USERS):
        world.join(number, f"u{number}", ("lobby",))
    world.run_for(100)
    world.trouble("unavailable", DAY_S, retry_after_s=3600.0)
    began = len(world.scene.sent)

    world.run_for(DAY_S - 1)
    healths = {lease.health for lease in world.leases.values()}
    probes = len(world.scene.sent) - began
    world.run_for(1 + RECOVERY_S)

    assert healths == {LeaseHealth.LOST}
    # One user at a time tries, every few seconds.
    assert DAY_S / 20 < probes < DAY_S / 2
    assert {lease.health for lease in world.leases.values()} == {LeaseHealth.FRESH}
    assert set(world.scene.service.until_s) == {
        (f"u{number}", "lobby") for number in range(USERS)
    }
