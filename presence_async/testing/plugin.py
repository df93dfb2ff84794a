"""The pytest plugin: an emulator, clients, virtual time and a leak check.

pytest imports this module in every run if the package is installed. So it imports
nothing but pytest, works with old versions of it, and holds only what users see. What
has to run on the loop of a test is in ``async_fixtures``.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..client.client import PresenceClient
    from ..emulator import PresenceEmulator
    from .clients import MakePresenceClient
    from .threaded import ThreadedEmulator

_MARKER = "virtual_time"
_PYTEST_ASYNCIO_HALF = "presence_async.testing.async_plugin"
_ANYIO_HALF = "presence_async.testing.anyio_plugin"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and what the plugins that run async tests need."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}: run an async test on a VirtualLoop, whose clock jumps to the next"
        " timer instead of waiting (presence_async)",
    )
    if hasattr(config.hook, "pytest_asyncio_loop_factories"):
        from . import async_plugin  # noqa: PLC0415  # older pytests cannot read it

        async_plugin.register(config.pluginmanager)
    if config.pluginmanager.has_plugin("anyio"):
        from . import anyio_plugin  # noqa: PLC0415  # nobody else needs it

        anyio_plugin.register(config.pluginmanager)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a marked test that would wait for hours, as there is no virtual loop."""
    if item.get_closest_marker(_MARKER) is not None and _is_async(item):
        _runner_of(item, f"the marker {_MARKER}")


# The fixtures as users see them. The async ones delegate to ``async_fixtures``, to the
# part for the loop that the test runs on.


@pytest.fixture
def presence_emulator_options() -> Mapping[str, Any]:
    """Keyword arguments of the emulators; override it to change them.

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
def presence_emulator_thread(
    request: pytest.FixtureRequest, presence_emulator_options: Mapping[str, Any]
) -> Iterator[ThreadedEmulator]:
    """A presence service for one test in a thread: for sync tests and other processes.

    It needs no loop and no plugin that runs one; async tests may use it, too, but not
    under ``virtual_time``, for its time is real.
    """
    if request.node.get_closest_marker(_MARKER) is not None:
        pytest.fail(
            f"presence_emulator_thread runs in real time, and the marker {_MARKER}"
            " would let its clients' timeouts pass at once; use presence_emulator",
            pytrace=False,
        )
    from .threaded import ThreadedEmulator  # noqa: PLC0415  # only when it is used

    with ThreadedEmulator(**presence_emulator_options) as emulator:
        yield emulator


@pytest.fixture
def presence_leak_check(request: pytest.FixtureRequest) -> None:
    """Fail a test that passed but left tasks, sockets or unread exceptions behind.

    Every test that uses one of the async fixtures has it, around all its other
    fixtures; other tests have it if they ask for it. To switch it off, as for tasks
    that live on a shared loop, override it with a fixture that does nothing.
    """
    _on_the_tests_loop(request, "presence_leak_check")


def _on_the_tests_loop(request: pytest.FixtureRequest, name: str) -> Any:  # noqa: ANN401  # as getfixturevalue
    runner = _runner_of(request.node, "every async fixture")
    if runner == "anyio":
        backend = request.getfixturevalue("anyio_backend")
        backend_name = backend if isinstance(backend, str) else backend[0]
        if backend_name != "asyncio":
            pytest.fail(
                "every async fixture of presence_async runs on asyncio only, and anyio"
                f" runs this test on {backend_name}: let the fixture anyio_backend"
                " return 'asyncio'",
                pytrace=False,
            )
    return request.getfixturevalue(f"_{name}_{runner}")


def _runner_of(item: pytest.Item, user: str) -> str:
    """Return who runs an async test: a scope of pytest-asyncio's loops, or anyio.

    A test that is marked for both is run by pytest-asyncio, as is every async test in
    its auto mode, which marks them all.
    """
    is_enabled = item.config.pluginmanager.has_plugin
    marker = item.get_closest_marker("asyncio")
    if marker is not None and is_enabled("asyncio"):
        if is_enabled(_PYTEST_ASYNCIO_HALF):
            chosen = marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")
            return str(chosen or item.config.getini("asyncio_default_test_loop_scope"))
    elif is_enabled(_ANYIO_HALF) and _is_anyios(item):
        return "anyio"
    pytest.fail(
        f"{user} of presence_async needs an async test that pytest-asyncio 1.4 or newer"
        f" ({_state(item, 'pytest-asyncio', _PYTEST_ASYNCIO_HALF)}) or anyio"
        f" ({_state(item, 'anyio', _ANYIO_HALF)}) runs: async def, and marked asyncio"
        " or anyio unless asyncio_mode or anyio_mode is auto; for sync tests there is"
        " presence_emulator_thread",
        pytrace=False,
    )


def _is_anyios(item: pytest.Item) -> bool:
    return _is_async(item) and "anyio_backend" in getattr(item, "fixturenames", ())


def _is_async(item: pytest.Item) -> bool:
    function = getattr(item, "obj", None)
    test = getattr(function, "hypothesis", None)
    return inspect.iscoroutinefunction(getattr(test, "inner_test", function))


def _state(item: pytest.Item, distribution: str, half: str) -> str:
    try:
        found = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed: pip install 'presence-async[test]'"
    return (
        found if item.config.pluginmanager.has_plugin(half) else f"{found}, not enabled"
    )
