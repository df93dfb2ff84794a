"""Two emulators that differ in some options: exactly these are found."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from presence_async.doctor.comparison import compared
from presence_async.doctor.examination import examine
from presence_async.doctor.finding import Report
from presence_async.doctor.verification import verify
from presence_async.emulator import EmulatorProfile, Grant, PresenceEmulator

CHANNEL = "lobby"
# Values that an option may have; nothing hides another option here.
VALUES: dict[str, list[Any]] = {
    "tracked_channels": [None, ("lobby",), ("lobby", "news")],
    "implicit_heartbeats": [False, True],
    "announce_max": [20, 0, 3, 100],
    "interval_s": [10, 15, 30],
    "presence_deltas": [False, True],
    "leave_on_disconnect": [False, True],
    "debounce_s": [0, 1, 2, 5],
    "min_presence_timeout_s": [0, 5, 20],
    "max_presence_timeout_s": [None, 30, 45],
    "global_here_now": [True, False],
    "stream_filtering": [True, False],
    "access_manager": [False, True],
    "leave_needs_read": [True, False],
    "here_now_cache_s": [0, 2, 3],
    "heartbeat_cache_s": [0, 2, 3],
}
EVERYTHING = {"t": Grant(channels="*", channel_groups="*", manage=True)}


async def measured(profile: EmulatorProfile, channel: str | None = CHANNEL) -> Report:
    access = EVERYTHING if profile.access_manager else None
    async with PresenceEmulator(profile=profile, access=access) as emulator:
        token = "t" if access else None
        report = await examine(emulator.config(user_id="bob", auth=token), channel)
        await asyncio.sleep(profile.debounce_s)
        assert not emulator.occupants(CHANNEL)
    return report


def any_profile(rng: random.Random) -> EmulatorProfile:
    chosen = {
        option: rng.choice(values if rng.random() < 0.5 else values[:1])
        for option, values in VALUES.items()
    }
    return EmulatorProfile(**chosen)


@pytest.mark.parametrize("seed", range(6))
async def test_exactly_the_options_that_differ_are_found(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311  # to be the same in each run
    one, other = any_profile(rng), any_profile(rng)
    expected = {
        option
        for option in VALUES
        if seen(one, option) != seen(other, option)
        # Without Access Manager nobody needs a right.
        and (
            option != "leave_needs_read"
            or {one.access_manager, other.access_manager} == {True}
        )
    }

    comparison = compared(await measured(one), await measured(other))

    assert {x.option for x in comparison.differences} == expected, (one, other)
    assert {x.option: x.keyset for x in comparison.differences} == {
        option: seen(one, option) for option in expected
    }


def seen(profile: EmulatorProfile, option: str) -> Any:
    """Return what can be measured of an option: of tracking, what is asked about."""
    value = getattr(profile, option)
    return [CHANNEL] if option == "tracked_channels" and value else value


async def test_what_hides_the_rest_is_the_only_difference() -> None:
    """Without Presence nobody is present, so there is nothing else to compare."""
    without = EmulatorProfile(presence=False, announce_max=3, debounce_s=2)

    comparison = compared(await measured(without), await measured(EmulatorProfile()))

    assert [x.keyword for x in comparison.differences] == ["presence=False"]
    assert {"announce_max", "debounce_s", "tracked_channels"} < set(
        comparison.not_compared
    )


@pytest.mark.parametrize(
    ("tracked", "channel", "found"),
    [
        (None, None, None),
        (("lobby",), None, []),
        (("lobby",), "lobby", ["lobby"]),
        (("game.*",), "game.lobby", ["game.*"]),
        (("game.lobby",), "game.lobby", ["game.lobby"]),
        (("news",), "lobby", []),
    ],
)
async def test_tracking_is_measured_on_the_channel_asked_about(
    tracked: tuple[str, ...] | None, channel: str | None, found: list[str] | None
) -> None:
    async with PresenceEmulator(tracked_channels=tracked) as emulator:
        report = await examine(emulator.config(), channel, is_quick=True)

    assert report.measured["tracked_channels"] == found


async def test_an_emulator_with_the_measured_profile_does_not_differ() -> None:
    # Without heartbeats the crowd would time out before the second interval event.
    profile = EmulatorProfile(
        announce_max=19,
        interval_s=30,
        max_presence_timeout_s=30,
        access_manager=True,
        here_now_cache_s=3,
    )
    async with PresenceEmulator(profile=profile, access=EVERYTHING) as keyset:
        config = keyset.config(auth="t")
        saved = (await examine(config)).profile()
        verification = await verify(config, saved)

    assert saved == profile
    assert not verification.is_different
    assert verification.comparison.not_compared == ()
