"""What the tests of event streams share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from presence_async import PresenceClient

from .subscribe_service import SubscribeService


@pytest.fixture
async def service(
    presence_leak_check: None,
) -> AsyncIterator[SubscribeService]:  # before it
    """A subscribe service that does what a test tells it."""
    async with SubscribeService() as service:
        yield service


@pytest.fixture
async def watcher(service: SubscribeService) -> AsyncIterator[PresenceClient]:
    """A started client of that service."""
    async with PresenceClient(service.config()) as client:
        yield client
