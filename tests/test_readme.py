"""The README: its programs run, its tests pass, its map lists what exists."""

from __future__ import annotations

import asyncio
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
TESTS = [block for block in BLOCKS if block not in PROGRAMS]


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


@pytest.mark.real_time
async def test_every_program_runs_against_the_emulator(
    emulator: PresenceEmulator,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-c", RUN_ALL, *PROGRAMS),
        env=os.environ
        | {
            "PUBNUB_SUBSCRIBE_KEY": "demo",
            "PUBNUB_USER_ID": "reader",
            "PUBNUB_ORIGIN": f"http://{emulator.origin}",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()

    assert (process.returncode, errors.decode()) == (0, "")
    assert out.decode().startswith("reader {'mood': 'ok'} fresh\ndone\n")
    assert out.decode().count("done\n") == len(PROGRAMS)


@pytest.mark.real_time
async def test_every_test_it_shows_passes(tmp_path: Path) -> None:
    for number, block in enumerate(TESTS):
        (tmp_path / f"test_{number}.py").write_text(block, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-m", "pytest", "-q", "-W", "error"),
        *("-p", "no:cacheprovider", "--strict-markers", "--rootdir", str(tmp_path)),
        *("-o", "asyncio_default_fixture_loop_scope=function"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert TESTS
    assert process.returncode == 0, out.decode()


def test_the_map_lists_existing_files() -> None:
    found = re.findall(r"^  (\w+(?:\.py|/))", TEXT, re.MULTILINE)
    package = Path(presence_async.__file__).parent

    assert len(found) >= 6
    assert [name for name in found if not (package / name).exists()] == []
