"""Nothing of an examination stays: no user, no group, no secret."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from presence_async import PresenceClient
from presence_async.cli.findings import line
from presence_async.doctor.examination import examine
from presence_async.doctor.finding import Finding, Report
from presence_async.emulator import Fault, Grant, PresenceEmulator

TOKEN = "planted-token-0123456789"
SECRET = "sec-c-planted-secret-0123456789"
EVERYTHING = Grant(channels="*", channel_groups="*", manage=True)


@pytest.mark.parametrize("after_s", [0, 0.05, 1, 5, 12, 70, 74, 78])
async def test_a_cancelled_examination_leaves_its_users(
    emulator: PresenceEmulator, after_s: float
) -> None:
    emulator.grant(TOKEN, EVERYTHING)
    task = asyncio.create_task(examine(emulator.config(auth=TOKEN), "lobby"))
    await asyncio.sleep(after_s)
    assert not task.done()

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert present(emulator) == {}
    async with PresenceClient(emulator.config(auth=TOKEN)) as client:
        assert await client.list_groups() == ()


@pytest.mark.parametrize("name", ["name", "tracking", "disconnect"])
async def test_a_reader_who_goes_away_ends_it_plainly(
    emulator: PresenceEmulator, name: str
) -> None:
    def read(finding: Finding) -> None:
        if finding.name == name:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await examine(emulator.config(), "lobby", on_finding=read)

    assert present(emulator) == {}


async def test_users_and_groups_of_others_are_left_alone(
    emulator: PresenceEmulator,
) -> None:
    config = emulator.config(user_id="alice", presence_timeout_s=300)
    async with PresenceClient(config) as client:
        await client.join("lobby")
        await client.add_channels("doctors", "lobby")
        report = await examine(emulator.config(user_id="alice"), "lobby")

        assert set(emulator.occupants("lobby")) == {"alice"}
        assert [e.action for e in emulator.events("lobby")] == ["join"]
        assert await client.list_channels("doctors") == ("lobby",)
    assert report.measured["tracked_channels"] is None


async def test_a_channel_where_somebody_is_sees_no_crowd() -> None:
    async with (
        PresenceEmulator(tracked_channels=["lobby"]) as emulator,
        PresenceClient(emulator.config(user_id="alice")) as client,
    ):
        await client.join("lobby")
        report = await examine(emulator.config(), "lobby")
        seen = {event.user_id for event in emulator.events("lobby")}

    assert seen == {"alice"}
    assert report.measured["tracked_channels"] == ["lobby"]
    assert "announce_max" in report.not_measured


@pytest.mark.parametrize(
    "operation", ["time", "where now", "here now", "subscribe", "heartbeat", None]
)
async def test_no_secret_is_told(
    operation: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even if the service repeats it, as some error pages do."""
    caplog.set_level(logging.DEBUG)
    words = f"no {TOKEN} {SECRET}"
    body = json.dumps({"status": 400, "message": words}).encode()
    async with PresenceEmulator(secret_key=SECRET) as emulator:
        emulator.grant(TOKEN, EVERYTHING)
        config = emulator.config(auth=TOKEN)
        emulator.inject(Fault(operation=operation, status=400, body=body, times=2))
        first = await examine(config, "lobby", is_quick=True)
        emulator.inject(Fault(operation=operation, status=200, body=body, times=3))
        second = await examine(config, "lobby")

    for told in (everything(first), everything(second), caplog.text):
        assert "planted" not in told
        assert "=v2." not in told


def everything(report: Report) -> str:
    profile = json.dumps(report.profile().to_dict())
    lines = map(line, report.findings)
    return "\n".join([json.dumps(report.to_dict()), profile, repr(report), *lines])


def present(emulator: PresenceEmulator) -> dict[str, int]:
    keyset = emulator._server.service.keyset("demo")
    return {c: keyset.occupancy.occupancy(c) for c in keyset.occupancy.channels()}
