"""An outside witness: the official SDK's listeners receive the emulator's events."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
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


@pytest.fixture
def presence_emulator_options() -> dict[str, Any]:
    return {"announce_max": 2, "interval_s": 0.3, "presence_deltas": True}


def configured(emulator: PresenceEmulator) -> Any:
    from pubnub.pnconfiguration import PNConfiguration  # noqa: PLC0415  # optional

    config = PNConfiguration()
    config.subscribe_key = config.publish_key = "demo"
    config.uuid = "sdk"
    config.origin = emulator.origin
    config.ssl = False
    config.daemon = True
    return config


def of_event_engine(config: Any) -> Any:
    return pubnub_asyncio.PubNubAsyncio(config)


def of_subscription_manager(config: Any) -> Any:
    manager = pubnub_asyncio.AsyncioSubscriptionManager
    return pubnub_asyncio.PubNubAsyncio(config, subscription_manager=manager)


def of_threads(config: Any) -> Any:
    from pubnub.pubnub import PubNub  # noqa: PLC0415  # optional

    return PubNub(config)


class Heard:
    """What a listener of the SDK hears, also in a thread of the SDK's own."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
        self._all: list[tuple[object, ...]] = []

    def note(self, *what: object) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, what)

    async def until(self, *what: object) -> None:
        async with asyncio.timeout(5):
            while what not in self._all:
                self._all.append(await self._queue.get())


def listener(heard: Heard) -> Any:
    from pubnub.callbacks import SubscribeCallback  # noqa: PLC0415  # optional

    class Listener(SubscribeCallback):  # type: ignore[misc]  # the SDK has no types
        def status(self, _: Any, status: Any) -> None:
            pass

        def message(self, _: Any, message: Any) -> None:
            heard.note(message.channel, "message", message.publisher)

        def signal(self, _: Any, message: Any) -> None:
            heard.note(message.channel, "signal", message.publisher)

        def presence(self, _: Any, event: Any) -> None:
            heard.note(event.channel, event.event, event.uuid, event.occupancy)
            for user_id in event.join or ():
                heard.note(event.channel, "listed", user_id)

    return Listener()


@pytest.mark.parametrize("make", [of_event_engine, of_subscription_manager, of_threads])
async def test_listeners_receive_every_kind_of_event(
    sdk: Any, emulator: PresenceEmulator, make: Callable[[Any], Any]
) -> None:
    await sdk.get("/v1/channel-registration/sub-key/demo/channel-group/g?add=member")
    heard = Heard()
    pubnub = make(configured(emulator))
    pubnub.add_listener(listener(heard))
    try:
        pubnub.subscribe().channels("room").channel_groups(
            "g"
        ).with_presence().execute()
        await heard.until("room", "join", "sdk", 1)
        await heard.until("member", "join", "sdk", 1)
        await sdk.presence("channel/room/uuid/sdk/data?uuid=bob&state=%7B%22x%22:1%7D")
        await heard.until("room", "state-change", "sdk", 1)
        await sdk.beat("bob", "room", "&heartbeat=1")
        await heard.until("room", "join", "bob", 2)
        await heard.until("room", "timeout", "bob", 1)
        await sdk.beat("kim", "member")
        await heard.until("member", "join", "kim", 2)
        await sdk.leave("kim", ",", "&channel-group=g")
        await heard.until("member", "leave", "kim", 1)
        for user in ("bob", "eve", "kim"):
            await sdk.beat(user, "room")
        await heard.until("room", "listed", "eve")
        await heard.until("room", "listed", "kim")
        await heard.until("room", "interval", None, 4)
        await sdk.get("/publish/demo/demo/0/room/0/%22hi%22?uuid=eve")
        await heard.until("room", "message", "eve")
        await sdk.get("/signal/demo/demo/0/room/0/%22hi%22?uuid=kim")
        await heard.until("room", "signal", "kim")
        pubnub.unsubscribe_all()
    finally:
        await stopped(pubnub)
        del pubnub
        gc.collect()


async def stopped(pubnub: Any) -> None:
    if isinstance(pubnub, pubnub_asyncio.PubNubAsyncio):
        await pubnub.stop()
    else:
        await asyncio.to_thread(stop_threads, pubnub)


def stop_threads(pubnub: Any) -> None:
    """Stop the SDK, which leaves in a thread that it does not wait for.

    If that thread begins after the stop, it makes a session anew, whose socket nobody
    would close: the garbage collector would blame whichever test it comes by in.
    """
    pubnub.stop()
    for thread in threading.enumerate():
        if thread.name.startswith("Thread-Leave"):
            thread.join(timeout=5)
    pubnub._request_handler.close()
