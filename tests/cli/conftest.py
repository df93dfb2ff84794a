from __future__ import annotations

import os

import pytest

from presence_async.emulator import PresenceEmulator


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands without settings from outside, in a terminal of 80 columns."""
    for name in os.environ:
        if name.startswith("PUBNUB_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("PRESENCE_REGISTER_URL", raising=False)
    monkeypatch.delenv("PRESENCE_EXPLAIN_FILE", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def service(emulator: PresenceEmulator) -> dict[str, str]:
    """The variables that point to the emulator."""
    return {
        "PUBNUB_SUBSCRIBE_KEY": "demo",
        "PUBNUB_ORIGIN": f"http://{emulator.origin}",
        "PUBNUB_USER_ID": "bob",
    }
