"""The half of the plugin for anyio's own; imported only if that is enabled.

The other half is ``plugin``, which documents the marker and the fixtures. Everything
here works with the old versions of pytest that anyio works with.
"""

from __future__ import annotations

import asyncio

import pytest

from . import async_fixtures

_MARKER = "virtual_time"
_BACKEND = "anyio_backend"
_CLOCK_CHECK = "_presence_virtual_time"


def register(manager: pytest.PytestPluginManager) -> None:
    """Register the fixtures, and what keeps time and pytest-asyncio apart from them."""
    async_fixtures.register(manager, "anyio", pytest.fixture)
    manager.register(_VirtualTime(), f"{__name__}.virtual_time")
    manager.register(_BesidePytestAsyncio(), __name__)


class _BesidePytestAsyncio:
    """Leaves the fixtures of a test to pytest-asyncio if that runs the test.

    It runs those that are marked for both, and in auto mode every async test. anyio
    would still run the fixtures, on another loop.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Hide from anyio a test that uses the plugin; all others stay as they are."""
        names: list[str] = getattr(item, "fixturenames", [])
        is_ours = item.get_closest_marker(_MARKER) or async_fixtures.NAMES & set(names)
        if not is_ours or not _is_pytest_asyncios(item):
            return
        if _BACKEND in names:
            names.remove(_BACKEND)
        if isinstance(item, pytest.Function):
            # For a test that asks for it by name.
            item.funcargs.setdefault(_BACKEND, "asyncio")


class _VirtualTime:
    """Refuses marked tests on a real loop, which would wait for hours.

    The loop is the choice of the fixture ``anyio_backend``, and may be shared.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Look at the loop before any fixture of a marked test uses it."""
        names: list[str] = getattr(item, "fixturenames", [])
        if (
            item.get_closest_marker(_MARKER) is not None
            and not _is_pytest_asyncios(item)
            and _BACKEND in names
        ):
            async_fixtures.put_first(names, _CLOCK_CHECK)

    @pytest.fixture(name=_CLOCK_CHECK)
    async def check_clock(self) -> None:
        from .virtual_loop import VirtualLoop  # noqa: PLC0415  # only when it is used

        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if not isinstance(loop, VirtualLoop):
            pytest.fail(
                f"the marker {_MARKER} of presence_async needs a virtual loop; let the"
                " fixture anyio_backend return"
                " ('asyncio', {'loop_factory': presence_async.testing.VirtualLoop})",
                pytrace=False,
            )


def _is_pytest_asyncios(item: pytest.Item) -> bool:
    is_enabled = item.config.pluginmanager.has_plugin("asyncio")
    return is_enabled and item.get_closest_marker("asyncio") is not None
