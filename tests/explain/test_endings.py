"""Further ways in which a user goes, and the same story out of a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from presence_async import PresenceClient, UnavailableError
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.explain.facts import Failed
from presence_async.explain.file import lines_of, read_facts
from presence_async.explain.story import explained
from presence_async.register import MemoryRegister

from .stories import at_noon, check, repeatable, until

HOSTILE = "al\x1b[31mice\n\u202e"


async def test_names_that_come_and_go(alice: PresenceClient) -> None:
    lease = await alice.join("lobby")
    await until("12:00:10")
    await lease.add("news")
    await until("12:00:20")
    await lease.remove("lobby")
    await until("12:00:30")
    async with alice.join(channel_groups="rooms", linger_s=30):
        await until("12:01:00")
    await alice.leave("news")
    await until("12:02:00")

    check("names_that_come_and_go", alice.explain())


async def test_three_tabs_of_one_user(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    """Two close, and the user stays; what concerns all of them is told once."""
    tabs = []
    for clock in ("12:00:00", "12:00:20", "12:00:40"):
        await until(clock)
        tabs.append(await alice.join("lobby", presence_timeout_s=60))
    await tabs[0].leave()
    await until("12:01:00")
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=120))
    await until("12:05:00")
    await tabs[1].leave()
    await until("12:08:00")

    check("three_tabs", alice.explain())


async def test_a_leave_that_fails(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    lease = await alice.join("lobby", presence_timeout_s=60)
    emulator.inject(Fault(operation="leave", status=503, for_s=300))
    await until("12:00:10")
    with pytest.raises(UnavailableError):
        await lease.leave()
    await until("12:05:00")

    check("leave_that_fails", alice.explain())


async def test_a_client_that_hands_over_and_is_not_followed(
    emulator: PresenceEmulator,
) -> None:
    at_noon()
    client = repeatable(PresenceClient(emulator.config(user_id="alice")))
    await client.start()
    await client.join("lobby")
    await until("12:01:00")
    await client.close(hand_over_s=20)
    await until("12:05:00")

    check("handed_over", client.explain())


async def test_a_client_that_leaves_its_users_to_a_register(
    emulator: PresenceEmulator,
) -> None:
    at_noon()
    register, config = MemoryRegister(), emulator.config(user_id="alice")
    old = repeatable(PresenceClient(config, register=register))
    await old.start()
    await old.join("lobby")
    async with repeatable(PresenceClient(config, register=register)) as other:
        await until("12:01:00")
        await old.close(hand_over_s=20)
        await until("12:05:00")

        check("left_to_a_register", f"{old.explain()}\n\n* * *\n\n{other.explain()}")


async def test_a_join_that_fails_and_one_that_nobody_waits_for(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    emulator.inject(Fault(operation="heartbeat", status=503, times=4))
    with pytest.raises(UnavailableError):
        await alice.join("lobby")
    await until("12:01:00")
    emulator.inject(Fault(delay_s=5, at="after_effect", times=1))
    joining = asyncio.ensure_future(alice.join("lobby"))
    await asyncio.sleep(2)
    joining.cancel()
    await until("12:02:00")

    check("joins_that_fail", alice.explain())


async def test_nothing_in_a_name_or_an_answer_steers_the_terminal(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby", user_id=HOSTILE, presence_timeout_s=60)
    body = b'{"message": "\\u001b[31m\\u009b\\n\\u202e"}'
    emulator.inject(Fault(status=500, body=body, for_s=200))
    await until("12:05:00")

    told = str(alice.explain(HOSTILE))
    assert told.startswith(
        r"al\x1b[31mice\n\u202e may have been shown offline on lobby"
    )
    assert r"500 \x1b[31m\x9b\n\u202e" in told
    assert all(line.isprintable() for line in told.split("\n"))


async def test_a_file_tells_what_memory_tells(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    loop, file = at_noon(), tmp_path / "decisions"
    config = emulator.config(user_id="alice", explain_to=file)
    async with repeatable(PresenceClient(config)) as client:
        lease = await client.join("lobby", presence_timeout_s=60)
        emulator.inject(Fault(operation="heartbeat", status=503, for_s=200))
        await until("12:02:30")
        # Nothing else has happened for a minute: signs of life write what goes on.
        failed = [x for x in read_facts(lines_of(file))[0] if isinstance(x, Failed)]
        assert sum(fact.times for fact in failed if fact.at > failed[0].until) > 5
        await until("12:05:00")
        emulator.inject(Fault(operation="heartbeat", cut=True, for_s=20))
        await until("12:06:00")
        await lease.leave()

    facts, _ = read_facts(lines_of(file))
    told = explained("alice", facts, at=None, now=loop.wall_time())
    assert str(told) == str(client.explain())
    lines = file.read_text().splitlines()
    assert sum('"failed"' in line for line in lines) < 20
    assert sum('"alive"' in line for line in lines) > 10
