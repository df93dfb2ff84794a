"""The async part of each fixture, for whichever plugin runs it, and the leak check.

``plugin`` has the fixtures as users see them, and imports this module only if a plugin
that runs async tests is enabled.
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..client.client import PresenceClient
    from ..emulator import PresenceEmulator
    from .clients import MakePresenceClient

_LEAK_CHECK = "presence_leak_check"
NAMES: frozenset[str] = frozenset({
    *(_LEAK_CHECK, "presence_emulator"),
    *("presence_client", "make_presence_client"),
})
"""The fixtures that run on the loop of a test, as users ask for them."""
_HOOKS = f"{__name__}.leak_check_hooks"
_has_failed = pytest.StashKey[bool]()


def register(
    manager: pytest.PytestPluginManager, runner: str, fixture: Callable[..., Any]
) -> None:
    """Register the fixtures for one that runs them, and the hooks of the leak check.

    Args:
        manager: Pytest's own.
        runner: Who runs them: ``plugin`` asks for ``_<name>_<runner>``.
        fixture: The decorator that makes fixtures for it.
    """
    holder = types.ModuleType(f"{__name__}.{runner}")
    for function in _functions():
        setattr(holder, f"_{function.__name__}_{runner}", fixture(function))
    manager.register(holder, holder.__name__)
    if not manager.has_plugin(_HOOKS):
        manager.register(_LeakCheckHooks(), _HOOKS)


def put_first(names: list[str], first: str) -> None:
    """Make a fixture the first of a test; its parameter sets share the list."""
    names[:] = [first, *(name for name in names if name != first)]


class _LeakCheckHooks:
    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Make the leak check the first fixture of a test to be set up."""
        names: list[str] = getattr(item, "fixturenames", [])
        if {"presence_emulator", _LEAK_CHECK} & set(names):
            put_first(names, _LEAK_CHECK)

    # An old-style wrapper, since anyio also works with pytests that know no other.
    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any]:
        """Record that a test failed: the leaks of a failed test are not reported."""
        result = yield
        if result.get_result().failed:
            item.stash[_has_failed] = True


def _functions() -> Iterator[Callable[..., Any]]:
    """Make the functions anew: ``pytest_asyncio.fixture`` marks the function itself."""

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

    async def presence_emulator(
        presence_leak_check: None,  # noqa: ARG001  # is set up first
        presence_emulator_options: Mapping[str, Any],
    ) -> AsyncIterator[PresenceEmulator]:
        from ..emulator import PresenceEmulator  # noqa: PLC0415  # only when it is used

        async with PresenceEmulator(**presence_emulator_options) as emulator:
            yield emulator

    async def make_presence_client(
        presence_emulator: PresenceEmulator,
    ) -> AsyncIterator[MakePresenceClient]:
        from .clients import MakePresenceClient  # noqa: PLC0415  # only when it is used

        async with MakePresenceClient(presence_emulator) as make:
            yield make

    async def presence_client(
        presence_emulator: PresenceEmulator,
    ) -> AsyncIterator[PresenceClient]:
        from .clients import MakePresenceClient  # noqa: PLC0415  # only when it is used

        async with MakePresenceClient(presence_emulator) as make:
            yield await make()

    yield from (presence_leak_check, presence_emulator)
    yield from (make_presence_client, presence_client)
