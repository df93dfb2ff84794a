"""The half of the plugin that needs pytest-asyncio; imported only if that is enabled.

It gives marked tests a virtual loop. The other half is ``plugin``, which documents the
marker and the fixtures.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from typing import Any

import pytest
import pytest_asyncio

from . import async_fixtures

_MARKER = "virtual_time"


def register(manager: pytest.PytestPluginManager) -> None:
    """Register the loop hook, and the fixtures once for each scope of a loop."""
    manager.register(_VirtualTime(manager), __name__)
    for scope in ("function", "class", "module", "package", "session"):
        fixture = functools.partial(pytest_asyncio.fixture, loop_scope=scope)
        async_fixtures.register(manager, scope, fixture)


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
