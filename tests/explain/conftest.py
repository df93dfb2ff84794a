"""What the tests of stories share: noon, UTC, and a client that keeps alice."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from presence_async import PresenceClient
from presence_async.emulator import PresenceEmulator

from .stories import at_noon, in_utc, repeatable


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    in_utc()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture
async def alice(emulator: PresenceEmulator) -> AsyncIterator[PresenceClient]:
    """A client of alice's, started at noon."""
    at_noon()
    config = emulator.config(user_id="alice")
    async with PresenceClient(config) as client:
        yield repeatable(client)
