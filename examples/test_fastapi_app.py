"""Tests of ``fastapi_app.py`` without async code: its tabs, and the service behind it.

python -m pytest -o pythonpath=examples examples/test_fastapi_app.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fastapi_app
import pytest
from fastapi.testclient import TestClient

from presence_async.emulator import Fault
from presence_async.testing import ThreadedEmulator


@pytest.fixture
def service(presence_emulator_thread: ThreadedEmulator) -> ThreadedEmulator:
    return presence_emulator_thread


@pytest.fixture
def web(
    service: ThreadedEmulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[TestClient]:
    """The app, started, in an environment that points to the emulator."""
    monkeypatch.setenv("PUBNUB_SUBSCRIBE_KEY", "demo")
    monkeypatch.setenv("PUBNUB_USER_ID", "web")
    monkeypatch.setenv("PUBNUB_ORIGIN", service.url)
    monkeypatch.setattr(fastapi_app, "SHARED", str(tmp_path / "presence.db"))
    monkeypatch.setattr(fastapi_app, "RELOAD_S", 0)
    with TestClient(fastapi_app.app) as web:
        yield web


def test_a_tab(web: TestClient, service: ThreadedEmulator) -> None:
    with web.websocket_connect("/ws?user=alice") as tab:
        assert tab.receive_text() == "present"
        assert set(service.occupants("lobby")) == {"alice"}
    service.wait_until(lambda: not service.occupants("lobby"))


def test_an_outage(web: TestClient, service: ThreadedEmulator) -> None:
    service.inject(Fault(operation="heartbeat", status=503, times=2))
    with web.websocket_connect("/ws?user=alice") as tab:
        assert tab.receive_text() == "present"
        assert set(service.occupants("lobby")) == {"alice"}
    beats = service.requests.of("heartbeat")
    assert [beat.status for beat in beats] == [503, 503, 200]
