"""``join`` tells whether its user is listed at all, once."""

from __future__ import annotations

import asyncio

import pytest

from presence_async import PresenceClient
from presence_async.cli.tracking import SETTLE_S, warn_if_untracked
from presence_async.emulator import Fault, PresenceEmulator


async def warned(
    emulator: PresenceEmulator, within_s: float = SETTLE_S + 1
) -> list[str]:
    """Be present on two channels, and return what is said about it."""
    said: list[str] = []
    async with (
        PresenceClient(emulator.config(user_id="bob")) as client,
        client.join(["lobby", "news"]) as lease,
    ):
        checking = asyncio.create_task(warn_if_untracked(client, lease, said.append))
        await asyncio.sleep(within_s)
        assert not checking.done()
        checking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await checking
    return said


async def test_a_channel_that_does_not_list_the_user_is_named_once() -> None:
    async with PresenceEmulator(tracked_channels=["lobby"]) as emulator:
        assert await warned(emulator, within_s=60) == [
            "bob is acknowledged, but not listed on news: Presence may not track the"
            " channel; find out with presence-async doctor news"
        ]
        assert len(emulator.requests.of("where now")) == 1


@pytest.mark.parametrize("status", [None, 403], ids=["tracked", "not allowed to ask"])
async def test_nothing_is_said_of_channels_that_may_be_tracked(
    emulator: PresenceEmulator, status: int | None
) -> None:
    if status is not None:
        emulator.inject(Fault(operation="where now", status=status))

    assert await warned(emulator) == []
