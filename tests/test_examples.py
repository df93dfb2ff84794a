"""Every example runs, against its own emulator and a service in the environment."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from presence_async import PresenceClient
from presence_async.emulator import Grant, PresenceEmulator
from presence_async.register import SqliteRegister

pytestmark = pytest.mark.real_time

EXAMPLES = Path(__file__).parent.parent / "examples"


async def start(
    name: str, *arguments: str, **environment: str
) -> asyncio.subprocess.Process:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PUBNUB_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(EXAMPLES / name), *arguments),
        env=inherited | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def service(emulator: PresenceEmulator, user_id: str) -> dict[str, str]:
    return {
        "PUBNUB_SUBSCRIBE_KEY": "demo",
        "PUBNUB_ORIGIN": f"http://{emulator.origin}",
        "PUBNUB_USER_ID": user_id,
    }


async def test_who_is_here_shows_the_emulators_users() -> None:
    process = await start("who_is_here.py")
    out, errors = await process.communicate()

    assert errors.decode() == ""
    assert out.decode().splitlines() == [
        "2 on lobby",
        "  alice {'mood': 'ok'} also on ['lobby']",
        "  bob {} also on ['lobby', 'news']",
    ]


async def test_who_is_here_asks_the_service_in_the_environment(
    emulator: PresenceEmulator,
) -> None:
    process = await start("who_is_here.py", **service(emulator, "eve"))
    out, errors = await process.communicate()

    assert (out.decode(), errors.decode()) == ("0 on lobby\n", "")
    assert emulator.requests[0].user_id == "eve"


async def test_stay_present_leaves_on_ctrl_c(emulator: PresenceEmulator) -> None:
    process = await start("stay_present.py", **service(emulator, "bot"))
    assert process.stdout is not None
    first = await process.stdout.readline()
    present = set(emulator.occupants("lobby"))

    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()

    assert first == b"bot is present on lobby\n"
    assert present == {"bot"}
    assert (out, process.returncode) == (b"left 1 of 1\n", -signal.SIGINT)
    assert b"KeyboardInterrupt" in errors
    assert not emulator.occupants("lobby")


async def test_stay_present_leaves_its_own_emulator_on_sigterm() -> None:
    process = await start("stay_present.py")
    assert process.stdout is not None
    first = await process.stdout.readline()

    process.send_signal(signal.SIGTERM)
    out, errors = await process.communicate()

    assert first == b"weather-bot is present on lobby\n"
    assert (out, errors, process.returncode) == (b"left 1 of 1\n", b"", 143)


async def test_the_gateway_keeps_users_with_an_open_tab_present() -> None:
    process = await start("gateway.py", "--browsers", "100")
    out, errors = await process.communicate()

    assert "Traceback" not in errors.decode()
    assert out.decode().splitlines() == [
        "100 of 100 are present",
        "one of two tabs closed: user-0000 was seen to {'join': 1}",
        "page reloaded:          user-0001 was seen to {'join': 1}",
        "0 are present after all have gone",
    ]


async def test_the_gateway_leaves_for_all_users_on_sigterm(
    emulator: PresenceEmulator,
) -> None:
    process = await start(
        "gateway.py", "--serve", "--port", "0", **service(emulator, "gate")
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(url)
        await socket.receive_str()
        assert set(emulator.occupants("lobby")) == {"alice"}

        process.send_signal(signal.SIGTERM)
        await process.wait()
        await socket.close()

    assert process.returncode == 128 + signal.SIGTERM
    assert not emulator.occupants("lobby")


async def browse(session: aiohttp.ClientSession, url: str) -> None:
    """Keep a tab open, as a browser does that reconnects."""
    while True:
        try:
            async with session.ws_connect(url) as tab:
                async for _ in tab:
                    pass
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)


async def test_the_gateways_workers_share_users_and_are_replaced_unseen(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    file = str(tmp_path / "presence.db")
    process = await start(
        *("gateway.py", "--workers", "2", "--port", "0"),
        **service(emulator, "gate"),
        PRESENCE_REGISTER_URL=file,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    register = SqliteRegister(file)
    await register.open()

    async def workers() -> set[str]:
        found = await register.holders("demo", "alice")
        return {holder.label for holder in found.holders}

    # However many connections one worker takes before the other takes one.
    unlimited = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(connector=unlimited) as session,
        asyncio.timeout(30),
    ):
        tabs = []
        while len(before := await workers()) < 2:
            tabs.append(asyncio.create_task(browse(session, url)))
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        told = await process.stdout.readline()
        while not (after := await workers()):  # noqa: ASYNC110  # of other processes
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        await process.wait()
        for tab in tabs:
            tab.cancel()
        await asyncio.wait(tabs)
    between = await register.holders("demo", "alice")
    await register.close()

    assert told == b"replaced the workers\n"
    assert not before & after
    assert process.returncode == 0
    assert [e.action for e in emulator.events("lobby")] == ["join"]
    assert between.holders == ()
    assert between.names[0].lingers_s is not None


async def run_tests(folder: Path, name: str, **environment: str) -> str:
    """Run the tests of an example in a project of its own; returns what it prints."""
    shutil.copy(EXAMPLES / name, folder)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PUBNUB_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-W", "error"),
        *("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio"),
        *("--strict-markers", "--rootdir", str(folder)),
        *("-o", "asyncio_default_fixture_loop_scope=function", name),
        cwd=folder,
        env=inherited | environment,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode()


async def test_the_tests_of_a_bot_pass_in_a_project_of_its_own(tmp_path: Path) -> None:
    assert "3 passed" in await run_tests(tmp_path, "test_my_bot.py")
    assert len((tmp_path / "test_my_bot.py").read_text().splitlines()) < 60


async def test_a_keyset_is_replayed_without_a_service_and_its_secrets(
    tmp_path: Path,
) -> None:
    pytest.importorskip("vcr", reason="vcrpy is not installed")
    keys = {
        f"PUBNUB_{name}": f"real-{name.lower()}"
        for name in ("SUBSCRIBE_KEY", "PUBLISH_KEY", "SECRET_KEY", "AUTH")
    }
    async with PresenceEmulator(
        subscribe_keys=[keys["PUBNUB_SUBSCRIBE_KEY"]],
        publish_key=keys["PUBNUB_PUBLISH_KEY"],
        secret_key=keys["PUBNUB_SECRET_KEY"],
        access={keys["PUBNUB_AUTH"]: Grant(channels="lobby")},
    ) as keyset:
        origin = {"PUBNUB_ORIGIN": f"http://{keyset.origin}"}
        recorded = await run_tests(tmp_path, "test_replay.py", **keys, **origin)
    replayed = await run_tests(tmp_path, "test_replay.py")
    cassette = (tmp_path / "cassettes" / "test_who_is_here.yaml").read_text()

    assert "1 passed" in recorded, recorded
    assert "1 passed" in replayed, replayed
    assert [entry.status for entry in keyset.requests] == [200, 200, 200]
    assert "/sub-key/demo/channel/lobby/heartbeat" in cassette
    assert "real-" not in cassette
    assert "signature" not in cassette


async def test_watch_room_follows_the_emulators_users() -> None:
    process = await start("watch_room.py")
    out, errors = await process.communicate()

    assert errors.decode() == ""
    assert [line.split()[:2] for line in out.decode().splitlines()] == [
        ["snapshot", "[]"],
        *(["join", f"user-{n}"] for n in (1, 2, 3)),
        *(["leave", f"user-{n}"] for n in (1, 2, 3)),
    ]


async def test_watch_room_watches_the_service_in_the_environment(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    lease = await client.join("lobby", user_id="alice")
    process = await start("watch_room.py", **service(emulator, "eve"))
    assert process.stdout is not None
    first = await process.stdout.readline()
    await lease.leave()
    out, errors = await process.communicate()

    assert first == b"snapshot          ['alice']\n"
    assert (out, errors) == (b"leave     alice   []\n", b"")


async def test_the_roster_page_shows_changes_and_never_runs_a_user_id_as_markup(
    emulator: PresenceEmulator, client: PresenceClient
) -> None:
    hostile = "</script><script>alert(1)</script>\ndata: {}"
    lease = await client.join("lobby", user_id=hostile, state={"a": "<b>"})
    process = await start("roster_page.py", "--port", "0", **service(emulator, "page"))
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as page:
            policy = page.headers["Content-Security-Policy"]
            assert "<script src" in await page.text()
        async with session.get(f"{url}page.js") as script:
            text = await script.text()
        async with session.get(f"{url}events") as stream, asyncio.timeout(10):
            snapshot = await stream.content.readuntil(b"\n\n")
            await lease.leave()
            leave = await stream.content.readuntil(b"\n\n")
            process.send_signal(signal.SIGTERM)
            rest = await stream.content.read()
        await process.wait()

    assert policy.startswith("default-src 'none'; script-src 'self'")
    assert "innerHTML" not in text
    for message in (snapshot, leave):
        assert message.startswith(b"data: {")
        assert message.count(b"\n") == 2
        assert b"<" not in message
    assert json.loads(snapshot[6:])["occupants"][0]["user_id"] == hostile
    left = json.loads(leave[6:])
    assert (left["action"], left["user_id"]) == ("leave", hostile)
    assert rest == b""
    assert process.returncode == 128 + signal.SIGTERM


async def test_the_roster_page_shows_visitors_on_its_own_emulator() -> None:
    process = await start("roster_page.py", "--port", "0")
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}events") as stream,
        asyncio.timeout(10),
    ):
        told = [await stream.content.readuntil(b"\n\n") for _ in range(2)]
        process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()

    assert json.loads(told[0][6:])["action"] == "snapshot"
    assert json.loads(told[1][6:])["action"] == "join"
    assert b"Traceback" not in errors


def test_every_example_has_a_test() -> None:
    tests = Path(__file__).parent.glob("test_example*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in tests)

    assert [p.name for p in EXAMPLES.glob("*.py") if p.name not in text] == []
