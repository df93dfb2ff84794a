"""The README: its programs run, its tests pass, its map lists what exists."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

import presence_async
from presence_async.emulator import PresenceEmulator

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
PROGRAMS = [block for block in BLOCKS if "def test_" not in block]
TESTS = [
    block
    for block in BLOCKS
    if block not in PROGRAMS
    # Only an environment for development has vcrpy.
    and ("import vcr\n" not in block or importlib.util.find_spec("vcr") is not None)
]


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
