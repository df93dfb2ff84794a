"""``fastapi_app.py`` under Uvicorn: real workers, websockets and signals."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from presence_async.emulator import Fault, PresenceEmulator
from presence_async.register import SqliteRegister

pytest.importorskip("fastapi", reason="FastAPI is not installed")
pytest.importorskip("uvicorn", reason="Uvicorn is not installed")
pytest.importorskip("websockets", reason="Uvicorn has no websockets")

pytestmark = pytest.mark.real_time

EXAMPLES = Path(__file__).parent.parent / "examples"
QUICK = "import fastapi_app\nfastapi_app.RELOAD_S = {}\napp = fastapi_app.app\n"


class Server:
    """Uvicorn, as a user starts it, and a browser."""

    def __init__(
        self, process: asyncio.subprocess.Process, browser: aiohttp.ClientSession
    ) -> None:
        self.process: asyncio.subprocess.Process = process
        self.browser: aiohttp.ClientSession = browser
        self.log: str = ""
        self.tabs: list[aiohttp.ClientWebSocketResponse] = []
        self.streams: list[aiohttp.ClientResponse] = []

    async def wait_until_up(self) -> None:
        assert self.process.stderr is not None
        while (found := re.search(r"running on (http://\S+)", self.log)) is None:
            line = await self.process.stderr.readline()
            assert line, self.log
            self.log += line.decode()
        self.url = found[1]
        await eventually(self._is_up)

    async def _is_up(self) -> bool:
        try:
            return (await self.ready())[0] == 200
        except aiohttp.ClientConnectionError:
            return False

    async def ready(self) -> tuple[int, dict[str, object]]:
        async with self.browser.get(f"{self.url}/ready") as answer:
            return answer.status, await answer.json()

    async def open_tab(self, user: str) -> aiohttp.ClientWebSocketResponse:
        tab = await self.browser.ws_connect(f"{self.url}/ws", params={"user": user})
        self.tabs.append(tab)
        assert await tab.receive_str() == "present"
        return tab

    async def follow(self) -> aiohttp.StreamReader:
        stream = await self.browser.get(f"{self.url}/events")
        self.streams.append(stream)
        return stream.content

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        _, rest = await self.process.communicate()
        self.log += rest.decode()
        for tab in self.tabs:
            await tab.close()
        for stream in self.streams:
            stream.close()


@asynccontextmanager
async def uvicorn(
    folder: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    reload_s: float = 0.3,
) -> AsyncIterator[Server]:
    """Run the example, with a short time for reloads and a register in a folder."""
    (folder / "quick.py").write_text(QUICK.format(reload_s))
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PUBNUB_")}
    named = {"PRESENCE_REGISTER_URL": str(folder / "presence.db")}
    paths = os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--app-dir", str(folder), "quick:app"),
        *("--port", "0", "--timeout-graceful-shutdown", "1", *options),
        env={**inherited, **named, **(environment or {}), "PYTHONPATH": paths},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
        server = Server(process, browser)
        try:
            yield server
        finally:
            await server.stop()


async def eventually(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(15):
        while not await is_so():  # noqa: ASYNC110  # of other processes
            await asyncio.sleep(0.05)


def service(emulator: PresenceEmulator) -> dict[str, str]:
    return {
        "PUBNUB_SUBSCRIBE_KEY": "demo",
        "PUBNUB_ORIGIN": f"http://{emulator.origin}",
        "PUBNUB_USER_ID": "web",
    }


@pytest.fixture
async def register(tmp_path: Path) -> AsyncIterator[SqliteRegister]:
    """What the workers share."""
    register = SqliteRegister(str(tmp_path / "presence.db"))
    await register.open()
    yield register
    await register.close()


async def tabs_on_two_workers(
    server: Server, register: SqliteRegister
) -> list[aiohttp.ClientWebSocketResponse]:
    """Open a tab of alice on each of two workers.

    The first worker is stopped meanwhile; an idle one might take every connection.
    """
    first = await server.open_tab("alice")
    (holder,) = (await register.holders("demo", "alice")).holders
    process = int(holder.label.rpartition(":")[2])
    os.kill(process, signal.SIGSTOP)
    try:
        second = await server.open_tab("alice")
    finally:
        os.kill(process, signal.SIGCONT)
    return [first, second]


def seen(emulator: PresenceEmulator) -> list[str]:
    return [e.action for e in emulator.events("lobby")]


async def test_closing_the_only_tab_on_one_of_two_workers_is_seen_by_nobody(
    emulator: PresenceEmulator, register: SqliteRegister, tmp_path: Path
) -> None:
    async with uvicorn(
        tmp_path, "--workers", "2", environment=service(emulator)
    ) as server:
        await server.wait_until_up()
        on_one, on_another = await tabs_on_two_workers(server, register)
        held_by = (await register.holders("demo", "alice")).holders

        async def is_held_by_one() -> bool:
            return len((await register.holders("demo", "alice")).holders) == 1

        async def has_left() -> bool:
            return seen(emulator) != ["join"]

        await on_another.close()
        await eventually(is_held_by_one)
        between = seen(emulator)
        await on_one.close()
        await eventually(has_left)

    assert len(held_by) == 2
    assert between == ["join"]
    assert seen(emulator) == ["join", "leave"]
    assert server.process.returncode == 0


async def test_a_restart_of_all_workers_is_seen_by_nobody(
    emulator: PresenceEmulator, register: SqliteRegister, tmp_path: Path
) -> None:
    options, variables = ("--workers", "2"), service(emulator)
    async with uvicorn(tmp_path, *options, reload_s=5, environment=variables) as server:
        await server.wait_until_up()
        await server.open_tab("alice")
        snapshot = await (await server.follow()).readuntil(b"\n\n")
    between = await register.holders("demo", "alice")
    async with uvicorn(tmp_path, *options, environment=variables) as server:
        await server.wait_until_up()
        await server.open_tab("alice")
        after = await register.holders("demo", "alice")
        so_far = seen(emulator)

    assert json.loads(snapshot[6:])["action"] == "snapshot"
    assert between.holders == ()
    assert 0 < (between.names[0].lingers_s or 0) <= 20
    assert [x.lingers_s for x in after.names] == [None]
    assert so_far == ["join"]
    assert "Traceback" not in server.log


async def test_it_is_not_ready_while_heartbeats_fail_and_shows_ids_as_text(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    hostile = "</script><script>alert(1)</script>\ndata: {}"
    variables = service(emulator) | {"PUBNUB_PRESENCE_TIMEOUT_S": "4"}
    async with uvicorn(tmp_path, environment=variables) as server:
        await server.wait_until_up()

        async def is_unready() -> bool:
            return (await server.ready())[0] == 503

        async def is_ready() -> bool:
            return (await server.ready())[0] == 200

        async with server.browser.get(f"{server.url}/") as page:
            html = await page.text()
        async with server.browser.get(f"{server.url}/page.js") as script:
            code = await script.text()
        for refused in "../admin", "x" * 3000, "":
            url = f"{server.url}/ws"
            async with server.browser.ws_connect(url, params={"user": refused}) as tab:
                # The page gives up on this code, which a refused handshake has not.
                assert (await tab.receive()).data == 1008
        await server.open_tab(hostile)
        snapshot = await (await server.follow()).readuntil(b"\n\n")
        _, told = await server.ready()
        emulator.inject(Fault(operation="heartbeat", status=503, for_s=2))
        await eventually(is_unready)
        await eventually(is_ready)

    assert "script-src 'self'" in html
    assert "innerHTML" not in code
    assert snapshot.startswith(b"data: {")
    assert snapshot.count(b"\n") == 2
    assert json.loads(snapshot[6:])["occupants"][0]["user_id"] == hostile
    shared = told["register"]
    assert isinstance(shared, dict)
    assert (shared["engine"], shared["is_up"]) == ("sqlite", True)


async def test_without_settings_one_worker_has_an_emulator(tmp_path: Path) -> None:
    async with uvicorn(tmp_path) as server:
        await server.wait_until_up()
        await server.open_tab("alice")

    assert "Traceback" not in server.log


async def test_without_settings_several_workers_say_what_is_missing(
    tmp_path: Path,
) -> None:
    options = ("--workers", "2", "--timeout-worker-healthcheck", "1")
    async with uvicorn(tmp_path, *options) as server:
        await server.process.wait()

    assert "workers need one service for all; set PUBNUB_ORIGIN" in server.log


async def test_the_apps_tests_pass_in_a_project_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("httpx2", reason="Starlette has no TestClient")
    shutil.copytree(EXAMPLES / "fastapi_page", tmp_path / "fastapi_page")
    for name in ("fastapi_app.py", "test_fastapi_app.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-W", "error"),
        *("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:hypothesispytest"),
        *("--strict-markers", "--rootdir", str(tmp_path)),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert "2 passed" in out.decode(), out.decode()
    assert len((tmp_path / "test_fastapi_app.py").read_text().splitlines()) < 60
