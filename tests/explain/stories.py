"""Golden stories: what is told is compared with a text file, word for word.

``WRITE_STORIES=1 pytest tests/explain`` writes the files anew; read them then.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import time
from pathlib import Path

from presence_async import PresenceClient
from presence_async.testing import VirtualLoop

TOLD = Path(__file__).parent / "told"
NOON = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC).timestamp()


def check(name: str, story: object) -> None:
    """Compare a story with the one in its file."""
    file, text = TOLD / f"{name}.txt", f"{story}\n"
    if os.environ.get("WRITE_STORIES"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def at_noon() -> VirtualLoop:
    """Set the clock of the running loop to noon."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._started_at_s = NOON - loop.boot_time() + 1000.0
    return loop


async def until(clock: str) -> None:
    """Sleep until a time of that day, ``12:04:30``."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    hours, minutes, seconds = map(int, clock.split(":"))
    due = NOON + (hours - 12) * 3600 + minutes * 60 + seconds
    await asyncio.sleep(due - loop.wall_time())


def repeatable(client: PresenceClient) -> PresenceClient:
    """Make a client's pauses the same in every run."""
    client._core.heartbeats.engine.shared.rng.seed(1)
    return client


def in_utc() -> None:
    """Let local time be UTC."""
    os.environ["TZ"] = "UTC"
    time.tzset()
