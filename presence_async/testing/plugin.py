"""The pytest plugin: an emulator, clients, virtual time and a leak check.

pytest imports this module in every run if the package is installed. So it imports
nothing but pytest, works with old versions of it, and holds only what users see. The
other half is ``async_plugin``.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..client.client import PresenceClient
    from ..emulator import PresenceEmulator
    from .clients import MakePresenceClient

_MARKER = "virtual_time"
_ASYNC_PART = "presence_async.testing.async_plugin"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and the async half if pytest-asyncio is new enough."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}: run an async test on a VirtualLoop, whose clock jumps to the next"
        " timer instead of waiting (presence_async)",
    )
    if hasattr(config.hook, "pytest_asyncio_loop_factories"):
        from . import async_plugin  # noqa: PLC0415  # older pytests cannot read it

        async_plugin.register(config.pluginmanager)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a marked test that would wait for hours, as there is no virtual loop."""
    if item.get_closest_marker(_MARKER) is None:
        return
    if inspect.iscoroutinefunction(getattr(item, "obj", None)):
        _require_pytest_asyncio(item, f"the marker {_MARKER}")


# The fixtures as users see them. Each delegates to its part in ``async_plugin`` for the
# loop that the test runs on.


@pytest.fixture
def presence_emulator_options() -> Mapping[str, Any]:
    """Keyword arguments of ``presence_emulator``; override it to change them.

    For example ``return {"secret_key": "sec-c-1", "min_presence_timeout_s": 20}``.
    """
    return {}


@pytest.fixture
def presence_emulator(request: pytest.FixtureRequest) -> PresenceEmulator:
    """A presence service for one test, listening on loopback.

    Its keys are ``"demo"``; ``presence_emulator.config(user_id=...)`` makes configs for
    it. Override ``presence_emulator_options`` to change how it behaves. Under
    ``virtual_time`` it uses the clock of the loop.
    """
    emulator: PresenceEmulator = _on_the_tests_loop(request, "presence_emulator")
    return emulator


@pytest.fixture
def presence_client(
    request: pytest.FixtureRequest,
    presence_emulator: PresenceEmulator,  # noqa: ARG001  # a project may override it
) -> PresenceClient:
    """A started client of ``presence_emulator`` for the user ``"tester"``.

    It is closed at the end, which leaves every channel that is still joined.
    """
    client: PresenceClient = _on_the_tests_loop(request, "presence_client")
    return client


@pytest.fixture
def make_presence_client(
    request: pytest.FixtureRequest,
    presence_emulator: PresenceEmulator,  # noqa: ARG001  # a project may override it
) -> MakePresenceClient:
    """A factory of started clients of ``presence_emulator``, closed at the end.

    ``alice = await make_presence_client("alice", presence_timeout_s=20)``. Keyword
    arguments are those of ``PresenceConfig``. Clients with different
    ``subscribe_key`` see nothing of each other.
    """
    make: MakePresenceClient = _on_the_tests_loop(request, "make_presence_client")
    return make


@pytest.fixture
def presence_leak_check(request: pytest.FixtureRequest) -> None:
    """Fail a test that passed but left tasks, sockets or unread exceptions behind.

    Every test that uses one of the fixtures above has it, around all its other
    fixtures; other tests have it if they ask for it. To switch it off, as for tasks
    that live on a shared loop, override it with a fixture that does nothing.
    """
    _on_the_tests_loop(request, "presence_leak_check")


def _on_the_tests_loop(request: pytest.FixtureRequest, name: str) -> Any:  # noqa: ANN401  # as getfixturevalue
    _require_pytest_asyncio(request.node, "every fixture")
    return request.getfixturevalue(f"_{name}_{_loop_scope(request.node)}")


def _loop_scope(item: pytest.Item) -> str:
    """Return the scope of the loop that pytest-asyncio runs a test on."""
    marker = item.get_closest_marker("asyncio")
    options = {} if marker is None else marker.kwargs
    chosen = options.get("loop_scope") or options.get("scope")
    return str(chosen or item.config.getini("asyncio_default_test_loop_scope"))


def _require_pytest_asyncio(item: pytest.Item, user: str) -> None:
    if not item.config.pluginmanager.has_plugin(_ASYNC_PART):
        try:
            found = importlib.metadata.version("pytest-asyncio")
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        pytest.fail(
            f"{user} of presence_async needs pytest-asyncio 1.4 or newer, enabled"
            f" (installed: {found}): pip install 'presence-async[test]'",
            pytrace=False,
        )
    if item.get_closest_marker("asyncio") is None:
        pytest.fail(
            f"{user} of presence_async needs a test that pytest-asyncio runs:"
            " async def, and marked asyncio unless asyncio_mode is auto",
            pytrace=False,
        )
