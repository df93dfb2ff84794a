"""The README: its programs run, its tests pass, its map lists what exists."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import presence_async
from presence_async import PresenceClient
from presence_async.cli.app import app
from presence_async.emulator import EmulatorProfile, PresenceEmulator
from presence_async.testing import ThreadedEmulator

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
# Each with its marker: a comment on the line before.
MARKED = re.findall(r"(?:<!-- ([^>]*) -->\n)?```(\w+)\n(.*?)```", TEXT, re.DOTALL)
UNTIL_STOPPED = "until stopped"
[BOT] = [x for marker, kind, x in MARKED if (marker, kind) == (UNTIL_STOPPED, "python")]
COMMANDS = [(marker, block) for marker, kind, block in MARKED if kind == "sh"]


def is_installed(block: str) -> bool:
    """Return True if all that a block imports is here; extras need not be."""
    tree = ast.parse(block)
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    names |= {EXTRAS[text] for text in EXTRAS if text in block}
    roots = {name.split(".")[0] for name in names}
    return all(importlib.util.find_spec(root) is not None for root in roots)


EXTRAS = {"presence_async.prometheus": "prometheus_client", "otel": "opentelemetry"}
HERE = [block for block in BLOCKS if block != BOT and is_installed(block)]
TESTS = [block for block in HERE if "def test_" in block]
PROGRAMS = [block for block in HERE if block not in TESTS]
[WEB] = [block for block in BLOCKS if "app = FastAPI(" in block]


def test_the_first_example_is_short() -> None:
    code = [line for line in BLOCKS[0].splitlines() if line.strip()]

    assert len(code) <= 15


# Runs each program as if it were the main one of a process of its own.
RUN_ALL = """
import sys
for program in sys.argv[1:]:
    exec(compile(program, "README", "exec"), {"__name__": "__main__"})
    print("done", flush=True)
"""


def service(emulator: PresenceEmulator) -> dict[str, str]:
    return os.environ | {
        "PUBNUB_SUBSCRIBE_KEY": "demo",
        "PUBNUB_USER_ID": "reader",
        "PUBNUB_ORIGIN": f"http://{emulator.origin}",
    }


@pytest.mark.real_time
async def test_every_program_runs_against_the_emulator(
    emulator: PresenceEmulator,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", RUN_ALL, *PROGRAMS),
        env=service(emulator),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()

    assert (process.returncode, errors.decode()) == (0, "")
    assert out.decode().startswith("reader {'mood': 'ok'} fresh\ndone\n")
    assert out.decode().count("done\n") == len(PROGRAMS)


@pytest.mark.real_time
async def test_every_test_it_shows_passes(
    emulator: PresenceEmulator, tmp_path: Path
) -> None:
    for number, block in enumerate(TESTS):
        (tmp_path / f"test_{number}.py").write_text(block, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-W", "error"),
        *("-p", "no:cacheprovider", "--strict-markers", "--rootdir", str(tmp_path)),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        cwd=tmp_path,
        env=service(emulator),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert TESTS
    assert process.returncode == 0, out.decode()


def test_the_page_shows_who_is_here(
    presence_emulator_thread: ThreadedEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What FastAPI's client for tests is made of; with FastAPI alone it cannot load.
    pytest.importorskip("httpx2", reason="no httpx2 here")
    testing = pytest.importorskip("fastapi.testclient", reason="no FastAPI here")
    monkeypatch.setenv("PUBNUB_SUBSCRIBE_KEY", "demo")
    monkeypatch.setenv("PUBNUB_USER_ID", "web")
    monkeypatch.setenv("PUBNUB_ORIGIN", presence_emulator_thread.url)
    module: dict[str, Any] = {"__name__": "web"}
    exec(WEB, module)  # noqa: S102  # it is ours

    with testing.TestClient(module["app"]) as web:
        assert "<ul" in web.get("/").text
        assert web.get("/ready").status_code == 200
        with web.websocket_connect("/ws?user=%3Cscript%3E") as tab:
            shown = [tab.receive_json()]
            while "<script>" not in shown[-1]:
                shown.append(tab.receive_json())
            assert set(presence_emulator_thread.occupants("lobby")) == {"<script>"}
        # Only after it was accepted does a browser see the code that stops the page.
        with web.websocket_connect("/ws?user=") as tab:
            assert tab.receive()["code"] == 1008
    presence_emulator_thread.wait_until(
        lambda: not presence_emulator_thread.occupants("lobby")
    )


# The commands it shows, those of the tutorial among them.


@pytest.fixture
async def folder(emulator: PresenceEmulator, tmp_path: Path) -> Path:
    """A folder with the files that the commands name."""
    (tmp_path / "bot.py").write_text(BOT, encoding="utf-8")
    told = tmp_path / "decisions.jsonl"
    config = emulator.config(user_id="alice", explain_to=str(told))
    async with PresenceClient(config) as client, client.join("lobby"):
        pass
    for name in ("web1.jsonl", "web2.jsonl"):
        shutil.copy(told, tmp_path / name)
    EmulatorProfile().save(tmp_path / "keyset.json")
    return tmp_path


async def shell(
    block: str, emulator: PresenceEmulator, folder: Path
) -> asyncio.subprocess.Process:
    """Start a block, against an emulator instead of what it names."""
    here = f"http://{emulator.origin}"
    block = block.replace("http://127.0.0.1:8080", here)
    block = block.replace("--port 8080", "--port 0")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", block),
        env=service(emulator)
        | {"PATH": path, "PRESENCE_EMULATOR_CONTROL_TOKEN": "not-asked-for"},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.real_time
@pytest.mark.parametrize(
    "uses_curl",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(shutil.which("curl") is None, reason="no curl"),
        ),
    ],
)
async def test_every_command_works(
    emulator: PresenceEmulator, folder: Path, uses_curl: bool
) -> None:
    blocks = [x for marker, x in COMMANDS if not marker and ("curl" in x) == uses_curl]
    running = [await shell(block, emulator, folder) for block in blocks]
    told = [await process.communicate() for process in running]

    assert len(blocks) > 2
    failed = {
        block: (out + errors).decode()
        for block, process, (out, errors) in zip(blocks, running, told, strict=True)
        if process.returncode
    }
    assert failed == {}


async def first_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


async def stop(process: asyncio.subprocess.Process) -> None:
    """Stop a process, which has complained about nothing."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    _, errors = await process.communicate()
    assert errors.decode() == ""


@pytest.mark.real_time
async def test_commands_that_go_on_work_until_they_are_stopped(
    emulator: PresenceEmulator, folder: Path
) -> None:
    emulate, bot, watch = (x for marker, x in COMMANDS if marker == UNTIL_STOPPED)

    # In the reader's order: before the bot has joined, there is nobody to watch.
    emulating = await shell(emulate, emulator, folder)
    assert re.match(r"http://127\.0\.0\.1:\d+\n", await first_line(emulating))
    running = await shell(bot, emulator, folder)
    assert await first_line(running) == "fresh - heartbeat acknowledged\n"
    watching = await shell(watch, emulator, folder)
    assert re.search(r"\d on lobby\n", await first_line(watching))

    for process in (watching, running, emulating):
        await stop(process)


def test_every_command_is_run_by_some_test() -> None:
    markers = {marker for marker, _ in COMMANDS}

    assert markers == {
        *("", UNTIL_STOPPED, "by hand: needs Docker"),
        *("demo command", "test command"),  # by .ci/run
    }


def test_shown_sessions_use_existing_commands_and_options() -> None:
    shown = re.findall(r"^\$ presence-async ([^\n]+)", TEXT, re.MULTILINE)
    shown += re.findall(r"`presence-async ([a-z][^`]*)`", TEXT)

    assert len(shown) > 15
    for command in shown:
        name, *words = command.split()
        if name.isupper():
            continue
        told = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "300"})
        assert told.exit_code == 0, command
        for word in words:
            if word.startswith("--"):
                assert word in told.output, command


# The map, and the ways through the code below it.

FOLDER = Path(presence_async.__file__).parent
MAP_AND_WAYS = TEXT.partition("\n## The map\n")[2].partition("\n## Working on it\n")[0]
MAP = re.findall(r"```\npresence_async/\n(.*?)```", MAP_AND_WAYS, re.DOTALL)[0]
WAYS = MAP_AND_WAYS.partition("\n### ")[2]


def mapped_files() -> set[str]:
    """Return the files that the map names, by their folders, as indentation tells."""
    folders: list[str] = []
    found: set[str] = set()
    for line in MAP.splitlines():
        names = re.match(r"( +)((?:\w+(?:\.py|/)\s*)+)", line)
        if names is None:
            continue
        # What stands above it with the same indent, or a larger one, is another branch.
        depth = len(names[1]) // 2 - 1
        del folders[depth:]
        for name in names[2].split():
            if name.endswith("/"):
                folders.append(name)
            else:
                found.add("".join([*folders, name]))
    return found


def test_the_map_names_every_file_and_no_other() -> None:
    files = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*.py")}

    assert mapped_files() == {x for x in files if not x.split("/")[-1].startswith("__")}


def test_the_ways_pass_existing_files() -> None:
    named = re.findall(r"`([\w/]+\.py)`", WAYS)
    files = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*.py")}

    assert len(named) > 50
    assert [
        name
        for name in named
        if not any(f"/{file}".endswith(f"/{name}") for file in files)
    ] == []
