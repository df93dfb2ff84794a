"""A witness from outside: the official SDK works against the emulator, unchanged."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from presence_async.emulator import PresenceEmulator

pubnub_asyncio = pytest.importorskip("pubnub.pubnub_asyncio")

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # The SDK makes event loops that it never closes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def test_every_presence_call_of_the_sdk_is_answered(
    emulator: PresenceEmulator,
) -> None:
    from pubnub.endpoints.presence.heartbeat import Heartbeat  # noqa: PLC0415  # optional
    from pubnub.endpoints.presence.leave import Leave  # noqa: PLC0415  # optional
    from pubnub.pnconfiguration import PNConfiguration  # noqa: PLC0415  # optional

    config = PNConfiguration()
    config.subscribe_key = config.publish_key = "demo"
    config.uuid = "sdk"
    config.origin = emulator.origin
    config.ssl = False
    pubnub = pubnub_asyncio.PubNubAsyncio(config)

    async def ask(endpoint: Any) -> Any:
        envelope = await endpoint.future()
        assert not envelope.status.is_error(), envelope.status.error_data
        return envelope.result

    try:
        await ask(
            pubnub.add_channel_to_channel_group().channels(["b"]).channel_group("g")
        )
        await ask(Heartbeat(pubnub).channels(["a", "c"]).channel_groups(["g"]))
        await ask(pubnub.set_state().channels(["a"]).state({"x": 1}))
        got = await ask(pubnub.get_state().channels(["a", "b"]))
        one = await ask(pubnub.here_now().channels(["a"]).include_state(True))
        several = await ask(pubnub.here_now().channels(["a", "c"]))
        everywhere = await ask(pubnub.here_now())
        where = await ask(pubnub.where_now())
        listed = await ask(pubnub.list_channels_in_channel_group().channel_group("g"))
        await ask(Leave(pubnub).channels(["a"]))
    finally:
        await pubnub.stop()
        del pubnub
        gc.collect()

    assert got.channels == {"a": {"x": 1}, "b": {}}
    (channel,) = one.channels
    assert (channel.occupancy, channel.occupants[0].state) == (1, {"x": 1})
    assert several.total_channels == 2
    assert everywhere.total_occupancy == 3
    assert where.channels == ["a", "b", "c"]
    assert listed.channels == ["b"]
    assert dict(emulator.occupants("a")) == {}
