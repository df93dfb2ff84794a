"""What is told of names, one by one, is what the service showed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from presence_async import PresenceClient, UnavailableError
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.explain.file import lines_of, read_facts
from presence_async.explain.story import explained

from .stories import NOON, at_noon, repeatable, until


def shown(client: PresenceClient, clock: str) -> str:
    """Return the verdict about a time of that day."""
    hours, minutes, seconds = map(int, clock.split(":"))
    at = NOON + (hours - 12) * 3600 + minutes * 60 + seconds
    return client.explain("alice", at=at).verdict


async def test_to_leave_a_name_that_was_never_joined_joins_nothing(
    alice: PresenceClient,
) -> None:
    await alice.join("lobby")
    await until("12:01:00")
    await alice.leave("news")

    assert shown(alice, "12:00:30") == (
        "alice was shown online on lobby at 12:00:30, and had been since 12:00:00, as"
        " far as this client knows."
    )


async def test_a_name_that_every_lease_gives_up_was_joined_by_each(
    alice: PresenceClient,
) -> None:
    first = await alice.join(["lobby", "news"])
    await until("12:01:00")
    await first.remove("news")
    await until("12:02:00")
    await alice.join(["news", "lobby"])
    await until("12:03:00")
    await alice.leave("news")
    await until("12:04:00")

    assert "online on lobby and news at 12:00:30" in shown(alice, "12:00:30")
    assert "offline on news from 12:01:00 to 12:02:00" in shown(alice, "12:01:30")
    assert "online on lobby and news at 12:02:30" in shown(alice, "12:02:30")
    assert "offline on news since 12:03:00" in shown(alice, "12:03:30")


async def test_what_one_lease_adds_another_may_have_held_before(
    alice: PresenceClient,
) -> None:
    await alice.join(["lobby", "news"])
    await until("12:01:00")
    other = await alice.join("lobby")
    await until("12:02:00")
    await other.add("news")

    assert "online on lobby and news at 12:00:30" in shown(alice, "12:00:30")


async def test_only_what_ran_out_is_told_to_have_run_out(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    """News has a shorter timeout by another lease, so it goes first."""
    await alice.join(["lobby", "news"], presence_timeout_s=120)
    await alice.join("news", presence_timeout_s=45)
    await until("12:01:00")
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=240))
    await until("12:03:30")
    lost = {
        event.channel: event.at_s - 1000
        for name in ("lobby", "news")
        for event in emulator.events(name)
        if event.action == "timeout"
    }

    assert lost["news"] < lost["lobby"] - 30
    assert "offline on news since" in shown(alice, "12:02:00")
    assert shown(alice, "12:02:00").endswith("On lobby alice was shown online.")
    assert "offline on lobby since" in shown(alice, "12:03:10")
    # Failures of the two in turn are a few decisions, not a hundred.
    assert len(alice.explain("alice").decisions) < 12


async def test_a_leave_that_is_given_up_is_about_its_names_only(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby", presence_timeout_s=60)
    await until("12:00:10")
    lease = await alice.join("news", presence_timeout_s=60)
    emulator.inject(Fault(operation="leave", status=503, for_s=600))
    with pytest.raises(UnavailableError):
        await lease.leave()
    await until("12:05:00")

    verdict = alice.explain("alice").verdict
    assert verdict.endswith(
        "its leave failed (503 Service Unavailable). On lobby alice was shown online."
    )


async def test_nothing_is_told_of_a_time_that_is_forgotten(
    emulator: PresenceEmulator,
) -> None:
    at_noon()
    config = emulator.config(user_id="alice", explain_decisions=2)
    async with repeatable(PresenceClient(config)) as client:
        await client.join("lobby", presence_timeout_s=60)
        for clock in ("12:01:00", "12:06:00"):
            await until(clock)
            emulator.inject(Fault(operation="heartbeat", status=503, for_s=120))
        await until("12:10:00")

        # Offline from 12:01:22, as is forgotten.
        assert "is not remembered any more" in shown(client, "12:02:00")
        assert "offline" in shown(client, "12:07:30")
        assert not client.explain("alice").is_complete


async def test_a_user_who_was_forgotten_is_online_at_least_since_then(
    emulator: PresenceEmulator,
) -> None:
    at_noon()
    config = emulator.config(user_id="alice", explain_bytes=1000)
    async with repeatable(PresenceClient(config)) as client:
        await client.join("lobby", presence_timeout_s=60)
        await until("12:01:00")
        emulator.inject(Fault(operation="heartbeat", status=503, for_s=120))
        await until("12:05:00")
        for user in ("bob", "carol", "dave"):
            await client.join("news", user_id=user)
            await client.leave("news", user_id=user)
        await asyncio.sleep(60)

        assert "is not remembered any more" in shown(client, "12:02:00")
        verdict = client.explain("alice").verdict
        assert "online on lobby since 12:05:00 at least, as far as" in verdict


async def test_a_process_that_keeps_nobody_has_not_ended(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    loop, file = at_noon(), tmp_path / "decisions"
    config = emulator.config(user_id="alice", explain_to=file)
    async with repeatable(PresenceClient(config)) as client:
        lease = await client.join("lobby")
        await until("12:00:10")
        await lease.leave()
        await until("13:00:00")
        facts, _ = read_facts(lines_of(file))
        told = explained("alice", facts, at=None, now=loop.wall_time())

    assert [decision.kind for decision in told.decisions] == ["joined", "left"]
    # It says so once, and is silent then.
    assert len(file.read_text().splitlines()) < 10
