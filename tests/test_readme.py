"""What the README shows is true."""

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


def test_the_first_example_is_short() -> None:
    code = [line for line in BLOCKS[0].splitlines() if line.strip()]

    assert len(code) <= 15


@pytest.mark.real_time
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
async def test_every_block_runs_against_the_emulator(
    emulator: PresenceEmulator, block: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-c", block),
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

    # The second block provokes an outage, which is logged.
    assert "Traceback" not in errors.decode()
    assert "Warning" not in errors.decode()
    assert process.returncode == 0
    if block is BLOCKS[0]:
        assert out.decode() == "reader {'mood': 'ok'} fresh\n"


def test_the_map_names_what_is_there() -> None:
    found = re.findall(r"^  (\w+(?:\.py|/))", TEXT, re.MULTILINE)
    package = Path(presence_async.__file__).parent

    assert len(found) >= 6
    assert [name for name in found if not (package / name).exists()] == []
