"""Exceptions nobody expected in a roster: logged, and the list is healed."""

from __future__ import annotations

import asyncio

import pytest

from presence_async import (
    GapEvent,
    JoinEvent,
    PresenceClient,
    SnapshotEvent,
    StreamHealth,
)
from presence_async.client.roster import RECONCILE_PERIOD_S
from presence_async.emulator import EventFault, Fault, PresenceEmulator

PACKAGE = "presence_async"


def crash(*_: object, **__: object) -> None:
    raise OverflowError("nobody expected this")


@pytest.mark.parametrize(
    "place",
    [
        "client.snapshot_requests.SnapshotRequests.ask",
        "client.snapshot_requests.SnapshotRequests.wait_turn",
        "roster.state.RosterState.reconcile",
        "roster.schedule.SnapshotSchedule.sent",
        "roster.schedule.SnapshotSchedule.answered",
    ],
)
async def test_a_check_that_crashes_is_repeated_and_nothing_is_in_sync_meanwhile(
    emulator: PresenceEmulator,
    client: PresenceClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)
        with monkeypatch.context() as patch:
            patch.setattr(f"{PACKAGE}.{place}", crash)
            emulator.inject(EventFault(drop=1, for_s=60))
            await client.heartbeat("lobby", user_id="amy", presence_timeout_s=900)
            await asyncio.sleep(60)
            was_synced = roster.is_synced
        await asyncio.sleep(RECONCILE_PERIOD_S)

        assert not was_synced
        assert roster.is_synced
        assert roster.user_ids == {"amy"}
    crashes = [r for r in caplog.records if "a check of" in r.getMessage()]
    assert {r.levelname for r in crashes} == {"CRITICAL"}
    assert 5 <= len(crashes) <= 13


async def test_waiting_for_the_next_check_may_crash_too(
    client: PresenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)
        with monkeypatch.context() as patch:
            patch.setattr(f"{PACKAGE}.client.roster_sync.RosterSync._until_due", crash)
            await asyncio.sleep(60)
        await asyncio.sleep(RECONCILE_PERIOD_S)

        assert roster.is_synced


@pytest.mark.parametrize(
    "place", ["roster.state.RosterState.apply", "roster.evidence.ServiceClock.record"]
)
async def test_an_event_that_crashes_the_list_costs_a_check_and_a_snapshot(
    client: PresenceClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
) -> None:
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)
        changes = roster.changes()
        with monkeypatch.context() as patch:
            patch.setattr(f"{PACKAGE}.{place}", crash)
            await client.heartbeat("lobby", user_id="amy", presence_timeout_s=900)
            await asyncio.sleep(1)
            was_synced = roster.is_synced
        gap, snapshot, join = [await anext(changes) for _ in range(3)]

        assert not was_synced
        assert isinstance(gap, GapEvent)
        assert gap.reason == "reconnect"
        assert isinstance(snapshot, SnapshotEvent)
        assert snapshot.occupants == ()
        assert isinstance(join, JoinEvent)
        assert join.user_id == "amy"
        await roster.wait_for(lambda r: r.is_synced, timeout_s=RECONCILE_PERIOD_S)
    assert "crashed on events" in caplog.text


async def test_a_schedule_that_crashes_ends_neither_the_roster_nor_its_checks(
    emulator: PresenceEmulator, client: PresenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)
        with monkeypatch.context() as patch:
            schedule = f"{PACKAGE}.roster.schedule.SnapshotSchedule"
            patch.setattr(f"{schedule}.due_s", property(crash))
            emulator.inject(EventFault(drop=1, for_s=60))
            await client.heartbeat("lobby", user_id="amy", presence_timeout_s=900)
            await asyncio.sleep(60)
            meanwhile = (roster.user_ids, roster.health)
        await roster.wait_for(lambda r: r.is_synced, timeout_s=RECONCILE_PERIOD_S)

        assert meanwhile == (frozenset({"amy"}), StreamHealth.LIVE)


async def test_a_list_that_cannot_even_be_doubted_is_not_in_sync(
    client: PresenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)
        with monkeypatch.context() as patch:
            for place in ("state.RosterState.apply", "schedule.SnapshotSchedule.doubt"):
                patch.setattr(f"{PACKAGE}.roster.{place}", crash)
            await client.heartbeat("lobby", user_id="amy", presence_timeout_s=900)
            await asyncio.sleep(1)
            was_synced = roster.is_synced
        await roster.wait_for(lambda r: r.is_synced, timeout_s=RECONCILE_PERIOD_S)

        assert not was_synced
        assert roster.user_ids == {"amy"}


async def test_a_change_of_health_that_crashes_costs_a_check(
    emulator: PresenceEmulator, client: PresenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)
        with monkeypatch.context() as patch:
            patch.setattr(
                f"{PACKAGE}.roster.schedule.SnapshotSchedule.record_trouble", crash
            )
            emulator.inject(Fault(operation="subscribe", cut=True, for_s=1))
            emulator.restart_timetokens(0)
            await asyncio.sleep(1)
            was_synced = roster.is_synced
        await roster.wait_for(lambda r: r.is_synced, timeout_s=RECONCILE_PERIOD_S)

        assert not was_synced


async def test_a_roster_ends_with_a_task_that_somebody_else_cancels(
    client: PresenceClient,
) -> None:
    async with client.roster("lobby") as roster:
        await roster.wait_for(lambda r: r.is_synced)
        for task in asyncio.all_tasks():
            if task.get_name() == "roster of lobby":
                task.cancel()
        await asyncio.sleep(0.1)

        assert not roster.is_synced
        assert roster.health is StreamHealth.CLOSED
