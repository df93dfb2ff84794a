"""Wire samples, each with its evidence mark."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from presence_async.protocol.exchange import HttpReply, HttpRequest

SAMPLES = Path(__file__).parent.parent / "samples"


class Sample:
    """One recorded exchange."""

    def __init__(self, name: str) -> None:
        text = SAMPLES.joinpath(f"{name}.json").read_text(encoding="utf-8")
        facts: dict[str, Any] = json.loads(text)
        self.evidence: str = facts["evidence"]
        self.operation: str = facts["operation"]
        self.request = HttpRequest(**facts["request"])
        reply = facts["reply"]
        self.reply = HttpReply(
            status=reply["status"],
            body=reply["body"].encode(),
            headers=reply["headers"],
        )


@pytest.fixture
def sample() -> Callable[[str], Sample]:
    """Read a sample by its name."""
    return Sample


@pytest.fixture
def sample_names() -> list[str]:
    """Every sample there is."""
    return sorted(path.stem for path in SAMPLES.glob("*.json"))
