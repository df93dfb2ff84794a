"""What the tests of clients that share a register have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from presence_async.emulator import PresenceEmulator

from .scene import Scene


@pytest.fixture
async def scene(emulator: PresenceEmulator) -> AsyncIterator[Scene]:
    """An emulator and a register; processes left alive are killed at the end."""
    scene = Scene(emulator)
    yield scene
    await scene.end()
