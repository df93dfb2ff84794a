"""Streams through outages of every kind: they go on where they were."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections import Counter
from collections.abc import Callable

import attrs
import pytest

from presence_async import (
    EventStream,
    GapEvent,
    PresenceClient,
    RateLimitedError,
    StreamHealth,
    UserEvent,
)
from presence_async.emulator import EventFault, Fault, PresenceEmulator
from presence_async.testing import VirtualLoop

from . import outages
from .subscribe_service import (
    HANG,
    Asked,
    Say,
    SubscribeService,
    read,
    read_all,
    users,
)

pytestmark = pytest.mark.slow

RECOVERY_S = 15
KINDS = {
    **outages.KINDS,
    "odd": Fault(body=b'{"t":{"t":"x"}}'),
}


def now_s() -> float:
    return asyncio.get_running_loop().time()


def health(stream: EventStream) -> StreamHealth:
    return stream.health


@pytest.mark.parametrize("outage_s", [1, 60, 1800])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_goes_on_after_any_outage(
    client: PresenceClient, emulator: PresenceEmulator, kind: str, outage_s: int
) -> None:
    async with client.events("lobby") as stream:
        await asyncio.sleep(10)
        emulator.inject(
            attrs.evolve(KINDS[kind], operation="subscribe", for_s=outage_s)
        )
        began = emulator.requests.total
        # The answer to the poll that is held does not arrive for all but the cuts.
        await client.heartbeat("lobby", user_id="amy", presence_timeout_s=3600)
        await asyncio.sleep(outage_s / 2)
        await client.heartbeat("lobby", user_id="bob", presence_timeout_s=3600)
        await asyncio.sleep(outage_s / 2)
        asked = emulator.requests.total - began
        # A poll that hangs says nothing until its own limit.
        await asyncio.sleep(325 if kind in {"half-open", "slow"} else RECOVERY_S)
        await client.heartbeat("lobby", user_id="eve", presence_timeout_s=3600)
        await asyncio.sleep(1)
        events = await read_all(stream)

        assert stream.health is StreamHealth.LIVE
    gaps = [event for event in events if isinstance(event, GapEvent)]
    seen = [event.user_id for event in events if isinstance(event, UserEvent)]
    assert asked <= 10 + outage_s
    if outage_s > 20 * 60:
        assert [gap.reason for gap in gaps] == ["reconnect"]
        assert seen[-2:] == ["bob", "eve"]
    else:
        assert seen == ["amy", "bob", "eve"]
        assert not gaps


async def test_a_poll_that_hangs_is_cut_and_resumed(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    service.script = lambda asked: None if asked.is_handshake else HANG
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        service.publish("lobby", "amy")
        began_s = now_s()
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        events = await read(stream, 1)

        assert users(events) == ["amy"]
        assert 300 < now_s() - began_s < 325


async def test_the_configured_silence_counts(service: SubscribeService) -> None:
    async with PresenceClient(service.config(poll_timeout_s=20)) as client:
        service.script = lambda asked: None if asked.is_handshake else HANG
        async with client.events("lobby"):
            await asyncio.sleep(200)
            lasted_s = [x.ended_at_s - x.at_s for x in service.polls if x.ended_at_s]

    assert len(lasted_s) >= 5
    assert max(lasted_s) == pytest.approx(20)


async def test_idle_polls_go_on_for_hours(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.events("lobby") as stream:
        await asyncio.sleep(12 * 3600)
        await client.heartbeat("lobby", user_id="amy")
        events = await read(stream, 1)

        assert users(events) == ["amy"]
    assert len(emulator.requests.of("subscribe")) < 2 * 12 * 3600 / 280 + 10


@pytest.mark.parametrize("shift_s", [-1e6, -100, -20, 1e6])
async def test_a_service_restarted_with_other_timetokens_is_followed(
    watcher: PresenceClient, service: SubscribeService, shift_s: float
) -> None:
    async with watcher.events("lobby") as stream:
        service.publish("lobby", "amy")
        await asyncio.sleep(600)
        await service.stop()
        service.queue.clear()
        service.offset += int(shift_s * 1e7)
        await asyncio.sleep(10)
        await service.start()
        await asyncio.sleep(RECOVERY_S)
        service.publish("lobby", "bob")
        service.publish("lobby", "amy")
        await asyncio.sleep(1)
        events = await read_all(stream)

    if shift_s < 0:
        assert users(events) == ["amy", "reconnect", "bob", "amy"]
    else:
        assert users(events) == ["amy", "bob", "amy"]


@pytest.mark.parametrize("shift_s", [-3600, -20])
async def test_an_emulator_that_restarts_its_timetokens_is_followed(
    client: PresenceClient, emulator: PresenceEmulator, shift_s: float
) -> None:
    async with client.events("lobby") as stream:
        await client.heartbeat("lobby", user_id="amy")
        await asyncio.sleep(1)
        emulator.restart_timetokens(shift_s)
        await asyncio.sleep(1)
        await client.heartbeat("lobby", user_id="bob")
        await asyncio.sleep(1)
        events = await read_all(stream)

    assert users(events) == ["amy", "reconnect", "bob"]


async def test_a_cursor_that_goes_far_back_without_a_cut_is_a_restart(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    back = 10**12

    def restart_once(asked: Asked) -> Say:
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        service.queue.clear()
        service.offset = -back
        return service.delivery(asked, asked.tt - back)

    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        service.script = restart_once
        service.publish("lobby", "amy")
        await asyncio.sleep(1)
        service.publish("lobby", "bob")
        await asyncio.sleep(1)
        events = await read_all(stream)

    assert users(events) == ["amy", "reconnect", "bob"]


async def test_an_idle_poll_that_ends_where_it_began_is_checked(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    def end_idle_and_be_another(asked: Asked) -> Say:
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        service.queue.clear()
        service.offset = -(10**11)
        return service.delivery(asked, asked.tt)

    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        service.script = end_idle_and_be_another
        service.publish("lobby", "amy")
        await asyncio.sleep(10)
        service.publish("lobby", "bob")
        await asyncio.sleep(1)
        events = await read_all(stream)

    assert users(events) == ["amy", "reconnect", "bob"]


async def test_a_cursor_that_is_refused_is_given_up(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        service.publish("lobby", "amy")
        await asyncio.sleep(1)
        old = service.held[0].tt
        await service.stop()
        service.publish("lobby", "lost")
        service.script = lambda asked: Say(b"{}", 400) if 0 < asked.tt <= old else None
        await service.start()
        await asyncio.sleep(90)
        service.publish("lobby", "bob")
        await asyncio.sleep(1)

        assert users(await read_all(stream)) == ["amy", "reconnect", "bob"]
        assert stream.health is StreamHealth.LIVE


async def test_a_poll_refused_once_by_mistake_loses_nothing(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.events("lobby") as stream:
        await client.heartbeat("lobby", user_id="amy", presence_timeout_s=900)
        await read(stream, 1)
        emulator.inject(Fault(operation="subscribe", status=404, times=1))
        await asyncio.sleep(400)
        await client.heartbeat("lobby", user_id="bob")
        events = await read(stream, 1)

    assert users(events) == ["bob"]


async def test_a_reply_that_never_can_be_read_is_given_up_in_the_end(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        old = service.held[0].tt
        service.script = lambda asked: (
            Say(outages.SIGN_IN) if 0 < asked.tt <= old else None
        )
        service.publish("lobby", "never read")
        await service.stop()
        await service.start()
        await asyncio.sleep(15 * 60)
        assert users(await read_all(stream)) == []
        await asyncio.sleep(30 * 60)
        service.publish("lobby", "bob")
        await asyncio.sleep(1)

        assert users(await read_all(stream)) == ["reconnect", "bob"]


async def test_more_than_the_queue_holds_is_a_gap(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.events("lobby") as stream:
        await asyncio.sleep(10)
        emulator.inject(Fault(operation="subscribe", cut=True, for_s=60))
        for n in range(150):
            user = f"u{n % 15}"
            await client.heartbeat("lobby", user_id=user)
            await client.leave("lobby", user_id=user)
        await asyncio.sleep(80)
        events = await read_all(stream)

    reasons = [x.reason for x in events if isinstance(x, GapEvent)]
    assert reasons == ["service_queue"]
    assert len(events) >= 101


# Pace.


@pytest.mark.parametrize("kind", ["cut", "half-open", "portal page"])
async def test_reconnects_are_unlimited_and_capped(
    client: PresenceClient, emulator: PresenceEmulator, kind: str
) -> None:
    async with client.events("lobby") as stream:
        emulator.inject(attrs.evolve(KINDS[kind], operation="subscribe", for_s=3600))
        await client.heartbeat("lobby")
        await asyncio.sleep(600)
        began = emulator.requests.total
        await asyncio.sleep(1000)
        asked = emulator.requests.total - began

        assert health(stream) is StreamHealth.RECONNECTING
        assert stream.error is not None
    assert 60 <= asked <= 1000


async def test_retry_after_is_obeyed_and_bounded(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    async with client.events("lobby") as stream:
        fault = Fault(operation="subscribe", status=429, retry_after_s=7)
        emulator.inject(attrs.evolve(fault, for_s=200))
        await client.heartbeat("lobby")
        await asyncio.sleep(190)

        assert isinstance(stream.error, RateLimitedError)
    times = [x.at_s for x in emulator.requests.of("subscribe")][3:]
    gaps_s = [after - before for before, after in itertools.pairwise(times)]
    assert 7 <= min(gaps_s) <= max(gaps_s) <= 12


async def test_streams_do_not_come_back_together(service: SubscribeService) -> None:
    clients = [await PresenceClient(service.config()).start() for _ in range(40)]
    streams = [await client.events("lobby").__aenter__() for client in clients]
    await service.stop()
    await asyncio.sleep(60)
    await service.start()
    began_s = now_s()
    await asyncio.sleep(RECOVERY_S)

    checks = [x.at_s - began_s for x in service.handshakes if x.at_s >= began_s]
    assert len(checks) == 40
    assert max(checks) - min(checks) > 2
    assert {stream.health for stream in streams} == {StreamHealth.LIVE}
    for client in clients:
        await client.close()


def empty(
    service: SubscribeService, tt: Callable[[Asked], int]
) -> Callable[[Asked], Say]:
    return lambda asked: service.delivery(asked, tt(asked))


@pytest.mark.parametrize("token", ["the same", "the next", "nought"])
async def test_empty_answers_at_once_make_no_storm(
    watcher: PresenceClient, service: SubscribeService, token: str
) -> None:
    answers = {
        "the same": lambda asked: asked.tt or service.now_tt(),
        "the next": lambda asked: asked.tt + 1 if asked.tt else service.now_tt(),
        "nought": lambda asked: 0,  # noqa: ARG005  # whatever was asked
    }
    async with watcher.events("lobby") as stream:
        service.script = empty(service, answers[token])
        await asyncio.sleep(1)
        service.publish("lobby", "amy")
        await asyncio.sleep(600)

        assert len(service.asked) < 700
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        await asyncio.sleep(10)
        service.publish("lobby", "bob")
        await asyncio.sleep(1)
        assert users(await read_all(stream))[-1] == "bob"


async def test_a_flood_of_events_is_fetched_by_few_polls(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        began_s = now_s()
        for n in range(500):
            service.publish("lobby", f"u{n}")
            await asyncio.sleep(0.002)
        await asyncio.sleep(1)

        assert users(await read_all(stream)) == [f"u{n}" for n in range(500)]
        assert len(service.polls) <= 25 * (now_s() - began_s) + 2


async def test_the_same_event_again_and_again_is_heard_once_and_makes_no_storm(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    async with watcher.events("lobby") as stream:
        service.publish("lobby", "amy")
        found = [(service.queue[0], "lobby-pnpres")]
        service.script = lambda asked: service.delivery(
            asked, asked.tt or service.now_tt(), found
        )
        await asyncio.sleep(600)

        assert users(await read_all(stream)) == ["amy"]
        assert len(service.asked) < 700


# Time unseen.


@pytest.mark.parametrize("slept_s", [60, 3600])
async def test_a_suspend_cuts_the_poll_and_resumes_it_at_once(
    watcher: PresenceClient, service: SubscribeService, slept_s: int
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with watcher.events("lobby") as stream:
        service.script = lambda asked: None if asked.is_handshake else HANG
        service.publish("lobby", "dropped by the hanging poll")
        await asyncio.sleep(20)
        await read_all(stream)
        service.publish("lobby", "amy")
        loop.suspend(slept_s)
        service.script = lambda asked: None  # noqa: ARG005  # nothing special
        await asyncio.sleep(5.5)
        events = await read_all(stream)

    assert users(events)[-1] == "amy"
    assert ("reconnect" in users(events)) == (slept_s > 20 * 60)


async def test_a_blocked_loop_resumes_too(
    watcher: PresenceClient, service: SubscribeService
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with watcher.events("lobby"):
        await asyncio.sleep(7)
        polls = len(service.polls)
        loop.advance(100)
        await asyncio.sleep(0.5)

        assert len(service.polls) == polls + 1


# What must not happen.


async def test_random_trouble_loses_and_doubles_nothing(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    rng = random.Random(7)  # noqa: S311  # an order, no secret
    for n, fault in enumerate((
        Fault(operation="subscribe", cut=True),
        Fault(operation="subscribe", cut=True, at="after_effect"),
        Fault(operation="subscribe", status=503),
        Fault(operation="subscribe", body=outages.SIGN_IN),
        Fault(operation="subscribe", delay_s=2, at="after_effect"),
    )):
        emulator.inject(attrs.evolve(fault, probability=0.1, seed=n, for_s=900))
    async with client.events("lobby") as stream:
        for _ in range(300):
            user = f"u{rng.randrange(9)}"
            if rng.random() < 0.6:
                await client.heartbeat("lobby", user_id=user)
            else:
                await client.leave("lobby", user_id=user)
            await asyncio.sleep(rng.random() * 5)
        await asyncio.sleep(400)
        seen = [(e.action, *users([e])) for e in await read_all(stream)]

    truth = [(e.action, e.user_id) for e in emulator.events("lobby")]
    assert seen == truth


async def test_events_that_come_late_twice_and_in_another_order_are_heard_once(
    client: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(EventFault(duplicate=0.3, reorder=0.3, spread_s=20))
    emulator.inject(Fault(operation="subscribe", cut=True, probability=0.1, for_s=300))
    async with client.events("lobby") as stream:
        for n in range(200):
            act = client.leave if n % 2 else client.heartbeat
            await act("lobby", user_id=f"u{n // 2 % 9}")
            await asyncio.sleep(1)
        await asyncio.sleep(400)
        seen = Counter((e.timetoken, *users([e])) for e in await read_all(stream))

    assert seen.total() == len(emulator.events("lobby")) == 200
    assert set(seen.values()) == {1}


async def test_a_crash_is_told_and_the_poll_goes_on(
    watcher: PresenceClient,
    service: SubscribeService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watcher.events("lobby") as stream:
        await asyncio.sleep(1)
        with monkeypatch.context() as patch:
            patch.setattr("presence_async.client.feed.routing.read_event", None)
            service.publish("lobby", "amy")
            await asyncio.sleep(0.5)
        events = await read(stream, 1)

    assert users(events) == ["amy"]
    assert "an event poll crashed" in caplog.text


async def test_a_listener_that_fails_harms_no_other(
    watcher: PresenceClient,
    service: SubscribeService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watcher.events("lobby") as bad, watcher.events("lobby") as good:
        monkeypatch.setattr(bad._listener, "deliver", None)
        service.publish("lobby", "amy")

        assert users(await read(good, 1)) == ["amy"]
    assert "a listener to presence events crashed" in caplog.text


async def test_each_change_of_health_is_logged_once(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "presence_async.client")
    async with client.events("lobby"):
        emulator.inject(Fault(operation="subscribe", status=503, for_s=60))
        await client.heartbeat("lobby")
        await asyncio.sleep(100)

    lines = [
        r.getMessage() for r in caplog.records if "event poll is" in r.getMessage()
    ]
    assert [line.split(":")[0] for line in lines] == [
        "an event poll is reconnecting",
        "an event poll is live",
    ]
