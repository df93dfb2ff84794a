"""An outside witness: the official SDK works against the emulator, unchanged."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from presence_async.emulator import Grant, PresenceEmulator

pubnub_asyncio = pytest.importorskip("pubnub.pubnub_asyncio")

pytestmark = [
    pytest.mark.real_time,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # The SDK makes event loops that it never closes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("guard", ["open", "guarded"])
async def test_every_presence_call_of_the_sdk_is_answered(guard: str) -> None:
    everything = Grant(channels="*", channel_groups="*", manage=True)
    guards: dict[str, Any] = {}
    if guard == "guarded":
        guards = {"secret_key": "sec", "access": {"t": everything}}
    async with PresenceEmulator(**guards) as emulator:
        await ask_everything(emulator, **guards)


async def ask_everything(
    emulator: PresenceEmulator, *, secret_key: str | None = None, access: Any = None
) -> None:
    from pubnub.endpoints.presence.heartbeat import Heartbeat  # noqa: PLC0415  # optional
    from pubnub.endpoints.presence.leave import Leave  # noqa: PLC0415  # optional
    from pubnub.pnconfiguration import PNConfiguration  # noqa: PLC0415  # optional

    config = PNConfiguration()
    config.subscribe_key = config.publish_key = "demo"
    config.uuid = "sdk"
    config.origin = emulator.origin
    config.ssl = False
    config.secret_key = secret_key
    config.auth_key = "t" if access else None
    pubnub = pubnub_asyncio.PubNubAsyncio(config)

    async def ask(endpoint: Any) -> Any:
        envelope = await endpoint.future()
        assert not envelope.status.is_error(), envelope.status.error_data
        return envelope.result

    try:
        await ask(
            pubnub.add_channel_to_channel_group().channels(["b"]).channel_group("g")
        )
        mood = {"c": {"mood": "so so, ok?"}}
        # A variable for the request would keep the SDK's event loop from collection.
        await ask(
            Heartbeat(pubnub).channels(["a", "c"]).channel_groups(["g"]).state(mood)
        )
        await ask(pubnub.set_state().channels(["a"]).state({"x": 1}))
        got = await ask(pubnub.get_state().channels(["a", "b"]))
        one = await ask(pubnub.here_now().channels(["a"]).include_state(True))
        several = await ask(pubnub.here_now().channels(["a", "c"]))
        everywhere = await ask(pubnub.here_now())
        where = await ask(pubnub.where_now())
        listed = await ask(pubnub.list_channels_in_channel_group().channel_group("g"))
        await ask(Leave(pubnub).channels(["a"]))
        for sent in (
            pubnub.publish().channel("a").message({"x": "ü, ok?"}).use_post(True),
            pubnub.signal().channel("a").message("typing"),
        ):
            assert (await ask(sent)).timetoken
        del sent
    finally:
        await pubnub.stop()
        del pubnub
        gc.collect()

    assert dict(emulator.occupants("c")) == {"sdk": {"mood": "so so, ok?"}}
    assert got.channels == {"a": {"x": 1}, "b": {}}
    (channel,) = one.channels
    assert (channel.occupancy, channel.occupants[0].state) == (1, {"x": 1})
    assert several.total_channels == 2
    assert everywhere.total_occupancy == 3
    assert where.channels == ["a", "b", "c"]
    assert listed.channels == ["b"]
    assert dict(emulator.occupants("a")) == {}
    sends = [(e.method, e.operation, e.status) for e in emulator.requests][-2:]
    assert sends == [("POST", "publish", 200), ("GET", "signal", 200)]
