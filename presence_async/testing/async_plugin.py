"""The half of the plugin that needs pytest-asyncio; imported only if that is enabled.

The other half is ``plugin``, which documents the marker and the fixtures.
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from ..client.client import PresenceClient
    from ..emulator import PresenceEmulator
    from .clients import MakePresenceClient

LoopScope = Literal["function", "class", "module", "package", "session"]

_MARKER = "virtual_time"
_LEAK_CHECK = "presence_leak_check"
_has_failed = pytest.StashKey[bool]()


def register(manager: pytest.PytestPluginManager) -> None:
    """Register the loop hook, the hooks of the leak check and the fixtures."""
    manager.register(_VirtualTime(manager))
    manager.register(_LeakCheckAroundAll())
    manager.register(_fixtures(), __name__)


class _VirtualTime:
    """Gives marked tests a virtual loop, and is invisible to all others."""

    def __init__(self, manager: pytest.PytestPluginManager) -> None:
        self._manager = manager
        self._hook = _LoopHook()
        self._is_used = False

    # The mere presence of a loop hook changes how pytest-asyncio treats a test (its
    # parameters, no current loop afterwards). So only marked tests may see one.
    @pytest.hookimpl(wrapper=True)
    def pytest_generate_tests(
        self, metafunc: pytest.Metafunc
    ) -> Generator[None, None, None]:
        if metafunc.definition.get_closest_marker(_MARKER) is None:
            return (yield)
        self._is_used = True
        self._manager.register(self._hook)
        try:
            return (yield)
        finally:
            self._manager.unregister(self._hook)

    def pytest_collection_finish(self) -> None:
        # While tests run, pytest-asyncio looks only at whether there is such a hook. If
        # there is, it replaces a shared loop between tests that need different kinds.
        if self._is_used and not self._manager.is_registered(self._hook):
            self._manager.register(self._hook)


class _LoopHook:
    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_asyncio_loop_factories(
        self, item: pytest.Item
    ) -> Generator[None, Any, Any]:
        """Replace the answer of the project's own hook for a marked test."""
        factories = yield
        if item.get_closest_marker(_MARKER) is None:
            return factories
        from .virtual_loop import VirtualLoop  # noqa: PLC0415  # only when it is used

        return {"virtual": VirtualLoop}


class _LeakCheckAroundAll:
    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Make the leak check the first fixture of a test to be set up."""
        names: list[str] = getattr(item, "fixturenames", [])
        if {"presence_emulator", _LEAK_CHECK} & set(names):
            names[:] = [_LEAK_CHECK, *(name for name in names if name != _LEAK_CHECK)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record that a test failed: the leaks of a failed test are not reported."""
        report = yield
        if report.failed:
            item.stash[_has_failed] = True
        return report


def _fixtures() -> types.ModuleType:
    """Return the async part of each fixture, once for each scope of a loop."""
    holder = types.ModuleType("presence_async.testing.async_fixtures")
    for scope in ("function", "class", "module", "package", "session"):
        for fixture in _fixtures_of(scope):
            setattr(holder, f"_{fixture.__name__}_{scope}", fixture)
    return holder


def _fixtures_of(scope: LoopScope) -> Iterator[Callable[..., Any]]:
    @pytest_asyncio.fixture(loop_scope=scope)
    async def presence_leak_check(
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[None]:
        from .leaks import LeakCheck, LeakError  # noqa: PLC0415  # only when it is used

        # A plugin that repeats failed tests runs the same item again.
        request.node.stash[_has_failed] = False
        found = None
        try:
            async with LeakCheck():
                yield
        except LeakError as error:
            found = str(error)
        if found and not request.node.stash[_has_failed]:
            pytest.fail(f"{request.node.name} {found}", pytrace=False)

    @pytest_asyncio.fixture(loop_scope=scope)
    async def presence_emulator(
        presence_leak_check: None,  # noqa: ARG001  # is set up first
        presence_emulator_options: Mapping[str, Any],
    ) -> AsyncIterator[PresenceEmulator]:
        from ..emulator import PresenceEmulator  # noqa: PLC0415  # only when it is used

        async with PresenceEmulator(**presence_emulator_options) as emulator:
            yield emulator

    @pytest_asyncio.fixture(loop_scope=scope)
    async def make_presence_client(
        presence_emulator: PresenceEmulator,
    ) -> AsyncIterator[MakePresenceClient]:
        from .clients import MakePresenceClient  # noqa: PLC0415  # only when it is used

        async with MakePresenceClient(presence_emulator) as make:
            yield make

    @pytest_asyncio.fixture(loop_scope=scope)
    async def presence_client(
        presence_emulator: PresenceEmulator,
    ) -> AsyncIterator[PresenceClient]:
        from .clients import MakePresenceClient  # noqa: PLC0415  # only when it is used

        async with MakePresenceClient(presence_emulator) as make:
            yield await make()

    yield from (presence_leak_check, presence_emulator)
    yield from (make_presence_client, presence_client)
