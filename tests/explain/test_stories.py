"""The stories that people ask for, told by a client of its own users."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from presence_async import PresenceClient
from presence_async.emulator import Fault, Grant, PresenceEmulator
from presence_async.explain.file import lines_of, read_facts
from presence_async.explain.service_side import facts_of
from presence_async.explain.story import explained
from presence_async.register import MemoryRegister

from .stories import NOON, at_noon, check, repeatable, until

UNAVAILABLE = Fault(operation="heartbeat", status=503)


async def test_an_outage(alice: PresenceClient, emulator: PresenceEmulator) -> None:
    await alice.join("lobby", presence_timeout_s=120)
    await until("12:02:30")
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=290))
    await until("12:08:00")

    check("outage", alice.explain("alice"))
    assert [e.action for e in emulator.events("lobby")] == ["join", "timeout", "join"]


async def test_an_outage_of_many(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    for user in ("alice", "bob", "carol", "dave"):
        await alice.join("lobby", user_id=user, presence_timeout_s=60)
    await until("12:01:00")
    emulator.inject(Fault(operation="heartbeat", cut=True, for_s=120))
    await until("12:05:00")

    check("outage_of_many", alice.explain("alice"))
    await until("12:06:00")


async def test_a_blocked_loop(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    loop = at_noon()
    await alice.join("lobby", presence_timeout_s=120)
    await until("12:01:10")
    loop.advance(200)
    await until("12:06:00")

    check("blocked_loop", alice.explain("alice"))


async def test_a_sleep(alice: PresenceClient, emulator: PresenceEmulator) -> None:
    loop = at_noon()
    await alice.join("lobby")
    await until("12:01:10")
    loop.suspend(4000)
    await until("13:10:00")

    check("sleep", alice.explain("alice"))


async def test_a_revoked_token(emulator: PresenceEmulator) -> None:
    at_noon()
    emulator.grant("old-token", Grant(channels="lobby"))
    config = emulator.config(user_id="alice", auth="old-token")
    async with repeatable(PresenceClient(config)) as client:
        await client.join("lobby", presence_timeout_s=120)
        await until("12:01:10")
        emulator.revoke("old-token")
        await until("12:06:00")
        emulator.grant("new-token", Grant(channels="lobby"))
        client.set_auth("new-token")
        await until("12:08:00")

        check("revoked_token", client.explain("alice"))


async def test_a_refused_channel(emulator: PresenceEmulator) -> None:
    at_noon()
    emulator.grant("token", Grant(channels=["lobby", "vip"]))
    config = emulator.config(user_id="alice", auth="token")
    async with repeatable(PresenceClient(config)) as client:
        await client.join(["lobby", "vip"], presence_timeout_s=120)
        await until("12:01:10")
        emulator.grant("token", Grant(channels="lobby"))
        await until("12:06:00")

        check("refused_channel", client.explain("alice"))


async def test_a_leave_by_another_device(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby", presence_timeout_s=120)
    async with alice.events("lobby"), PresenceClient(alice.config) as other:
        await until("12:03:20")
        await other.leave("lobby")
        await until("12:05:00")

        check("leave_by_another_device", alice.explain("alice"))


async def test_a_leave_by_another_device_that_nobody_saw(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    await alice.join("lobby", presence_timeout_s=120)
    async with PresenceClient(alice.config) as other:
        await until("12:03:20")
        await other.leave("lobby")
        await until("12:05:00")

        check("leave_that_nobody_saw", alice.explain("alice"))


async def test_a_leave_by_another_worker(emulator: PresenceEmulator) -> None:
    at_noon()
    register = MemoryRegister()
    config = emulator.config(user_id="alice")
    async with (
        repeatable(PresenceClient(config, register=register)) as one,
        repeatable(PresenceClient(config, register=register)) as two,
    ):
        mine = await one.join("lobby")
        theirs = await two.join("lobby")
        await until("12:05:00")
        await mine.leave()
        await until("12:10:00")
        await theirs.leave()
        await until("12:12:00")

        check("leave_by_another_worker", f"{one.explain()}\n\n* * *\n\n{two.explain()}")


async def test_a_process_that_was_killed(
    emulator: PresenceEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = at_noon()
    monkeypatch.setattr("platform.node", lambda: "web1")
    file = tmp_path / "decisions"
    config = emulator.config(user_id="alice", explain_to=file)
    monkeypatch.setattr("os.getpid", lambda: 4711)
    killed = repeatable(PresenceClient(config))
    await killed.start()
    await killed.join("lobby", presence_timeout_s=120)
    await until("12:03:10")
    await kill(killed)
    await until("12:08:00")
    monkeypatch.setattr("os.getpid", lambda: 4712)
    async with repeatable(PresenceClient(config)) as client:
        await client.join("lobby", presence_timeout_s=120)
        await until("12:10:00")
        facts, unread = read_facts(lines_of(file))

    assert unread == 0
    check("process_killed", explained("alice", facts, at=None, now=loop.wall_time()))
    assert [e.at_s - 1000 for e in emulator.events("lobby")][1] == pytest.approx(
        258, abs=30
    )


async def test_two_workers_of_which_one_is_killed(
    emulator: PresenceEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writes a file; the stories of both, told as one, are in order."""
    loop, register = at_noon(), MemoryRegister()
    workers, files = [], [tmp_path / "one", tmp_path / "two"]
    for pid, file in zip((4711, 4712), files, strict=True):
        monkeypatch.setattr("os.getpid", lambda pid=pid: pid)
        monkeypatch.setattr("platform.node", lambda: "web1")
        config = emulator.config(user_id="alice", explain_to=file)
        client = repeatable(PresenceClient(config, register=register))
        await client.start()
        await client.join("lobby", presence_timeout_s=120)
        workers.append(client)
        await asyncio.sleep(60)
    await until("12:05:00")
    await kill(workers[0])
    await until("12:15:00")
    await workers[1].close()
    facts = [fact for file in files for fact in read_facts(lines_of(file))[0]]

    check("two_workers", explained("alice", facts, at=None, now=loop.wall_time()))
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_what_the_service_saw(
    alice: PresenceClient, emulator: PresenceEmulator
) -> None:
    loop = at_noon()
    await alice.join("lobby", presence_timeout_s=120)
    await until("12:03:00")
    emulator.inject(Fault(operation="heartbeat", status=503, for_s=200))
    await until("12:08:00")
    asked = f"http://{emulator.origin}/_emulator/%s?user_id=alice"
    async with aiohttp.ClientSession() as session:
        events = await (await session.get(asked % "events")).read()
        requests = await (await session.get(asked % "requests")).read()

    facts = facts_of("alice", events, requests, loop.wall_time())
    check("seen_by_the_service", explained("alice", facts, at=None, now=NOON + 480))


def test_answers_of_the_service_that_took_a_while_leave_its_order() -> None:
    events = (
        b'{"now_s": 100, "events": ['
        b'{"action": "join", "channel": "lobby", "at_s": 10.1},'
        b'{"action": "leave", "channel": "lobby", "at_s": 10.3}]}'
    )
    requests = (
        b'{"now_s": 101, "requests": ['
        b'{"operation": "heartbeat", "at_s": 10.0, "status": 200},'
        b'{"operation": "leave", "at_s": 10.2, "status": 200}]}'
    )

    facts = facts_of("alice", events, requests, NOON + 100)

    in_order = sorted(facts, key=lambda fact: fact.at)
    assert [type(fact).__name__ for fact in in_order] == ["Asked", "Seen"] * 2
    assert [round(fact.at - NOON, 1) for fact in in_order] == [10.0, 10.1, 10.2, 10.3]


async def kill(client: PresenceClient) -> None:
    """End a client as SIGKILL does: nothing is said or written any more."""
    client._core.heartbeats.news.recorder = None
    client._core._leave_all = nothing  # type: ignore[assignment, method-assign]
    await client.close()


async def nothing(*_: object) -> None:
    """Leave nobody."""
