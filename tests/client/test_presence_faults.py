"""Faults of our own code and of log handlers end nothing; promise 1."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from presence_async import LeaseHealth, PresenceClient
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.presence.backoff import Backoff
from presence_async.presence.engine import PresenceEngine
from presence_async.presence.places import Places
from presence_async.presence.timetable import Timetable
from presence_async.presence.user import UserTable
from presence_async.testing.virtual_loop import VirtualLoop

CLASSES = (PresenceEngine, Backoff, Places, Timetable, UserTable)
METHODS = [
    (owner, name)
    for owner in CLASSES
    for name, value in vars(owner).items()
    # _begin_next is what catches the crashes of the rest.
    if callable(value) and not name.startswith("__") and name != "_begin_next"
]


class CrashError(Exception):
    """Nothing that anybody expects."""


def criticals(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.CRITICAL]


async def use(client: PresenceClient) -> None:
    """Make calls of all kinds for users who come and go; none may hang."""
    for n in range(4):
        with contextlib.suppress(CrashError):
            lease = await client.join(["lobby", "news"], user_id=f"guest-{n}")
            await lease.add("sport")
            await lease.set_state({"n": n})
            await lease.patch_state(m=n)
            await lease.remove("news")
            await client.heartbeat("lobby", user_id="visitor")
            await client.leave("lobby", user_id="visitor")
            await lease.leave()
        await asyncio.sleep(4)


@pytest.mark.parametrize(
    ("owner", "method"), METHODS, ids=[f"{x.__name__}.{name}" for x, name in METHODS]
)
async def test_a_crash_anywhere_in_the_engine_ends_nothing_and_loses_nobody(
    client: PresenceClient,
    emulator: PresenceEmulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    method: str,
) -> None:
    leases = [
        await client.join("lobby", user_id=user, presence_timeout_s=30)
        for user in ("amy", "bob", "eve")
    ]
    sound = getattr(owner, method)

    def crash_once(*_: object, **__: object) -> None:
        monkeypatch.setattr(owner, method, sound)
        raise CrashError

    monkeypatch.setattr(owner, method, crash_once)
    using = asyncio.create_task(use(client))
    await asyncio.sleep(8)
    emulator.inject(Fault(operation="heartbeat", status=500, times=2))
    await asyncio.sleep(120)

    assert using.done()
    assert using.exception() is None
    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    seen = [(e.user_id, e.action) for e in emulator.events("lobby")]
    assert not [user for user, action in seen if action == "timeout"]
    assert len(criticals(caplog)) <= 1
    monkeypatch.setattr(owner, method, sound)
    report = await client.close()
    assert {"amy", "bob", "eve"} <= {gone.user_id for gone in report.left}


class BrokenHandler(logging.Handler):
    """Raises at every line."""

    def emit(self, record: logging.LogRecord) -> None:  # the base's
        raise CrashError


@pytest.fixture(params=[logging.DEBUG, logging.WARNING], ids=["DEBUG", "WARNING"])
def broken(request: pytest.FixtureRequest) -> Iterator[None]:
    logger = logging.getLogger("presence_async.client")
    before, handler = logger.level, BrokenHandler(request.param)
    logger.setLevel(request.param)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_a_log_handler_that_raises_costs_no_presence(
    client: PresenceClient, emulator: PresenceEmulator, broken: None
) -> None:
    leases = [
        await client.join("lobby", user_id=f"u{n}", presence_timeout_s=20)
        for n in range(5)
    ]
    await asyncio.sleep(60)
    before = {e.action for e in emulator.events("lobby")}
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=100))
    await asyncio.sleep(100 + 15)

    assert before == {"join"}
    assert {lease.health for lease in leases} == {LeaseHealth.FRESH}
    async with client.join("lobby", user_id="eve"):
        emulator.inject(Fault(operation="leave", status=403, times=1))
    report = await client.close()
    assert len(report.left) == 5


async def test_a_log_handler_that_raises_hides_no_sleep(
    client: PresenceClient, emulator: PresenceEmulator, broken: None
) -> None:
    lease = await client.join("lobby")
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    asked = emulator.requests.total

    loop.suspend(1000)
    await asyncio.sleep(5.5)

    assert emulator.requests.total == asked + 1
    assert lease.health is LeaseHealth.FRESH


async def test_a_log_handler_that_raises_is_reported_once(
    client: PresenceClient,
    emulator: PresenceEmulator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("presence_async.client")
    handler = BrokenHandler(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    logger.addHandler(handler)
    logger.addHandler(caplog.handler)
    for n in range(20):
        await client.join("lobby", user_id=f"u{n}", presence_timeout_s=20)
    await asyncio.sleep(60)
    logger.removeHandler(handler)
    logger.removeHandler(caplog.handler)

    assert criticals(caplog) == []  # it comes first, and stops every line
    logger.addHandler(caplog.handler)
    logger.addHandler(handler)
    await asyncio.sleep(60)
    logger.removeHandler(handler)
    logger.removeHandler(caplog.handler)
    assert len(criticals(caplog)) <= 1


async def test_a_change_that_nobody_can_be_told_of_loses_no_other(
    client: PresenceClient,
    emulator: PresenceEmulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lease = await client.join("lobby", presence_timeout_s=20)
    eves = await client.join("lobby", user_id="eve", presence_timeout_s=20)

    def crash(*_: object) -> None:
        monkeypatch.undo()
        raise CrashError

    monkeypatch.setattr("presence_async.client.presence_news.log_change", crash)
    async with asyncio.timeout(60):
        await lease.leave()  # the change comes before what the caller waits for
        await eves.set_state({"n": 1})
    await asyncio.sleep(60)

    assert len(criticals(caplog)) == 1
    assert eves.health is LeaseHealth.FRESH
    assert emulator.occupants("lobby") == {"eve": {"n": 1}}


async def test_a_crash_while_one_is_cancelled_does_not_hide_the_cancellation(
    client: PresenceClient,
    emulator: PresenceEmulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulator.inject(Fault(operation="heartbeat", delay_s=5, times=1))
    task = asyncio.ensure_future(client.heartbeat("lobby"))
    await asyncio.sleep(1)

    def crash(*_: object) -> None:
        monkeypatch.undo()
        raise CrashError

    monkeypatch.setattr(PresenceEngine, "give_up", crash)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert len(criticals(caplog)) == 1


async def test_a_crash_of_what_wakes_the_streams_hides_no_sleep(
    client: PresenceClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lease = await client.join("lobby")
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    changes = lease.changes()
    await anext(changes)

    def crash(_: object) -> None:
        raise CrashError

    monkeypatch.setattr(client._core.heartbeats, "_on_unseen", crash)
    loop.suspend(1000)

    assert (await anext(changes)).health is LeaseHealth.LOST
    assert (await anext(changes)).health is LeaseHealth.FRESH
    assert len(criticals(caplog)) == 1
