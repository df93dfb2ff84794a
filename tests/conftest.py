"""What every test shares: virtual time, the plugin's leak check and emulator."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping

import hypothesis
import pytest

from presence_async import PresenceClient, PresenceConfig
from presence_async.emulator import PresenceEmulator
from presence_async.testing import VirtualLoop

hypothesis.settings.register_profile(
    "suite", deadline=None, derandomize=True, database=None, max_examples=60
)
hypothesis.settings.load_profile("suite")


HAS_EAGER_TASKS = os.environ.get("PRESENCE_ASYNC_EAGER_TASKS") == "1"
"""Run the suite under ``asyncio.eager_task_factory``, which came with Python 3.12."""

if HAS_EAGER_TASKS and sys.version_info < (3, 12):
    raise pytest.UsageError("PRESENCE_ASYNC_EAGER_TASKS=1 needs Python 3.12 or newer")


if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # As under nohup. Programs that tests start would inherit it and ignore SIGHUP, too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl
def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run every test in virtual time, but those that need the real clock."""
    if item.get_closest_marker("real_time") is not None:
        return {"real": lambda: with_task_factory(asyncio.new_event_loop())}
    return {"virtual": lambda: with_task_factory(VirtualLoop())}


class Unhurried(logging.Filter):
    """Drops what asyncio's debug mode logs of slow callbacks.

    How long one takes on a busy machine says nothing about the code, and tests read
    what has been logged.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "Executing %s took %.3f seconds"


logging.getLogger("asyncio").addFilter(Unhurried())


def with_task_factory(
    loop: asyncio.AbstractEventLoop,
) -> asyncio.AbstractEventLoop:
    """Set the task factory that the environment asks for."""
    if HAS_EAGER_TASKS and sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def pytest_collection_finish() -> None:
    """Spare full garbage collections the thousands of tests that wait to be run.

    Saves 3 % of all CPU time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def leaks_nothing(request: pytest.FixtureRequest) -> None:
    """Fail a test that leaves a task, a socket or an unread exception behind."""
    test = getattr(request, "function", None)
    if inspect.iscoroutinefunction(test):
        request.getfixturevalue("presence_leak_check")


@pytest.fixture
def emulator(presence_emulator: PresenceEmulator) -> PresenceEmulator:
    """A service of one's own."""
    return presence_emulator


@pytest.fixture
def config(emulator: PresenceEmulator) -> PresenceConfig:
    """A config that points to the emulator."""
    return emulator.config(user_id="bob")


@pytest.fixture
async def client(config: PresenceConfig) -> AsyncIterator[PresenceClient]:
    """A started client of the emulator, closed at the end."""
    async with PresenceClient(config) as client:
        yield client
