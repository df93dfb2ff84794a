"""Exceptions nobody expected in the tasks of streams: logged, and gone on after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from presence_async import GapEvent, PresenceClient, StreamHealth

from .subscribe_service import SubscribeService, read, read_all, users

FEED = "presence_async.client.feed"


def crash(*_: object, **__: object) -> None:
    raise OverflowError("nobody expected this")


@pytest.mark.parametrize(
    "place",
    [
        "subscribe_requests.SubscribeRequests.poll",
        "pace.PollPace.take_pause_s",
        "pace.PollPace.answered",
        "routing.RoutingTable.listed",
        "routing.RoutingTable.deliver",
        "routing.read_event",
    ],
)
async def test_a_poll_that_crashes_goes_on_and_is_not_live_meanwhile(
    watcher: PresenceClient,
    service: SubscribeService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        with monkeypatch.context() as patch:
            patch.setattr(f"{FEED}.{place}", crash)
            service.publish("lobby", "amy")
            await asyncio.sleep(0.5)
            meanwhile = stream.health
            await asyncio.sleep(2)
            service.publish("lobby", "bob")
        await asyncio.sleep(3)

        assert meanwhile is StreamHealth.RECONNECTING
        assert stream.health is StreamHealth.LIVE
        assert users(await read_all(stream)) == ["amy", "bob"]
    assert "an event poll crashed" in caplog.text
    assert {r.levelname for r in caplog.records if r.exc_info} == {"CRITICAL"}


async def test_a_poll_crashes_in_its_handshake_and_goes_on(
    watcher: PresenceClient,
    service: SubscribeService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        with monkeypatch.context() as patch:
            patch.setattr(f"{FEED}.subscribe_requests.SubscribeRequests.check", crash)
            await service.stop()
            await service.start()
            await asyncio.sleep(20)
            meanwhile = stream.health
        service.publish("lobby", "amy")

        assert users(await read(stream, 1)) == ["amy"]
        assert meanwhile is StreamHealth.RECONNECTING


async def test_a_listener_that_crashes_is_told_of_the_gap(
    watcher: PresenceClient,
    service: SubscribeService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watcher.events("lobby") as bad, watcher.events("lobby") as good:
        with monkeypatch.context() as patch:
            patch.setattr(bad._listener, "deliver", crash)
            service.publish("lobby", "amy")
            await asyncio.sleep(1)
        service.publish("lobby", "bob")
        await asyncio.sleep(1)
        service.publish("lobby", "eve")

        assert users(await read(good, 3)) == ["amy", "bob", "eve"]
        first, *others = await read(bad, 3)
    assert isinstance(first, GapEvent)
    assert users(others) == ["bob", "eve"]
    assert "a listener to presence events crashed" in caplog.text


def is_poll(task: asyncio.Task[object]) -> bool:
    return task.get_name() == "presence events"


async def cancel_tasks(is_meant: Callable[[asyncio.Task[object]], bool]) -> None:
    for task in asyncio.all_tasks():
        if is_meant(task):
            task.cancel()
    await asyncio.sleep(0.1)


async def test_streams_end_with_a_poll_that_somebody_else_cancels(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        service.publish("lobby", "amy")
        await asyncio.sleep(1)
        await cancel_tasks(is_poll)

        assert stream.health is StreamHealth.CLOSED
        assert users([event async for event in stream]) == ["amy"]
        async with watcher.events("lobby") as another:
            service.publish("lobby", "bob")
            assert users(await read(another, 1)) == ["bob"]
