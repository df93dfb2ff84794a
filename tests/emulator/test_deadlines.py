"""What is due next among many names: the same as a plain look at all of them."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import pytest

from presence_async.emulator import PresenceEmulator
from presence_async.emulator.deadlines import Deadlines


@pytest.mark.parametrize("seed", range(5))
def test_the_first_deadline_is_that_of_a_look_at_all(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # repeatable, guards nothing
    deadlines = Deadlines()
    expected: dict[str, float] = {}

    for _ in range(5000):
        name, due_s = rng.choice("abcdefgh"), rng.choice([*range(50), math.inf])
        deadlines.set(name, due_s)
        expected[name] = due_s

        assert deadlines.next_s() == min(expected.values())
        first = deadlines.first_due(20)
        assert (first is None) == (min(expected.values()) > 20)
        assert first is None or expected[first] == min(expected.values())


def test_deadlines_set_anew_do_not_pile_up() -> None:
    deadlines = Deadlines()
    deadlines.set("first", 0)

    for due_s in range(1, 10_000):
        deadlines.set("other", due_s)

    assert len(deadlines._heap) < 2000


async def test_users_of_many_keys_time_out_each_in_time(
    emulator: PresenceEmulator, sdk: Any
) -> None:
    for number in range(20):
        await sdk.get(
            f"/v2/presence/sub-key/k{number}/channel/a/heartbeat"
            f"?uuid=u&heartbeat={100 - number}"
        )
        await sdk.get(f"/v2/presence/sub-key/idle{number}/uuid/u")
    began_s = asyncio.get_running_loop().time()

    await asyncio.sleep(200)

    for number in range(20):
        joined, timed_out = emulator.events("a", f"k{number}")
        assert timed_out.at_s == joined.at_s + 100 - number
        assert timed_out.at_s <= began_s + 100 - number


async def test_what_was_due_under_a_key_that_is_reset_is_forgotten(
    emulator: PresenceEmulator, sdk: Any
) -> None:
    await sdk.beat("bob", "a")
    emulator.reset()
    await asyncio.sleep(30)

    await sdk.beat("bob", "a")

    assert [event.action for event in emulator.events("a")] == ["join"]
