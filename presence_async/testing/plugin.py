"""The pytest plugin: an emulator, clients, virtual time and a leak check.

pytest imports this module in every run where the package is installed, so it imports
nothing but pytest, and pytest-asyncio meets it only in tests that ask for it.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from ..client.client import PresenceClient
    from ..emulator import PresenceEmulator
    from .clients import MakePresenceClient

    LoopScope = Literal["function", "class", "module", "package", "session"]

_MARKER = "virtual_time"
_LEAK_CHECK = "presence_leak_check"
_LOOP_FACTORIES = "pytest_asyncio_loop_factories"
_ASYNC_FIXTURES = "presence_async.async_fixtures"
_has_failed = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Announce the marker; where pytest-asyncio can carry them, add the async parts."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}: run an async test on a VirtualLoop: nothing waits, the clock jumps"
        " to the next timer (presence_async)",
    )
    if hasattr(config.hook, _LOOP_FACTORIES):
        manager = config.pluginmanager
        manager.register(_async_fixtures(), _ASYNC_FIXTURES)
        manager.register(_LeakCheckAroundAll())
        manager.register(_VirtualTime(manager))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse to wait for hours where the marker cannot be obeyed."""
    is_async = inspect.iscoroutinefunction(getattr(item, "obj", None))
    if is_async and item.get_closest_marker(_MARKER) is not None:
        _require_pytest_asyncio(item, f"the marker {_MARKER}")


# The fixtures as users see them: each stands for one on the loop the test runs on.


@pytest.fixture
def presence_emulator_options() -> Mapping[str, Any]:
    """Keyword arguments of ``presence_emulator``; override it to change them.

    Such as ``return {"secret_key": "sec-c-1", "min_presence_timeout_s": 20}``.
    """
    return {}


@pytest.fixture
def presence_emulator(request: pytest.FixtureRequest) -> PresenceEmulator:
    """A presence service of the test's own, listening on loopback.

    Its keys are ``"demo"``; ``presence_emulator.config(user_id=...)`` makes configs for
    it. Override ``presence_emulator_options`` to have it behave otherwise. Under
    ``virtual_time`` its clock is the loop's.
    """
    emulator: PresenceEmulator = _on_the_tests_loop(request, "presence_emulator")
    return emulator


@pytest.fixture
def presence_client(
    request: pytest.FixtureRequest,
    presence_emulator: PresenceEmulator,  # noqa: ARG001  # which a project may override
) -> PresenceClient:
    """A started client of ``presence_emulator`` for the user ``"tester"``.

    Closed at the end, which leaves whatever is still joined.
    """
    client: PresenceClient = _on_the_tests_loop(request, "presence_client")
    return client


@pytest.fixture
def make_presence_client(
    request: pytest.FixtureRequest,
    presence_emulator: PresenceEmulator,  # noqa: ARG001  # which a project may override
) -> MakePresenceClient:
    """A factory of started clients of ``presence_emulator``, closed at the end.

    ``alice = await make_presence_client("alice", presence_timeout_s=20)``: keyword
    arguments are ``PresenceConfig``'s; another ``subscribe_key`` is another world.
    """
    make: MakePresenceClient = _on_the_tests_loop(request, "make_presence_client")
    return make


@pytest.fixture
def presence_leak_check(request: pytest.FixtureRequest) -> None:
    """Fail a test that passed but left tasks, sockets or unread exceptions behind.

    Every test with one of the fixtures above has it, around all its other fixtures; no
    other test has, unless it asks for it. Override it with a fixture that does nothing
    to be rid of it, as something that lives on a shared loop may demand.
    """
    _on_the_tests_loop(request, _LEAK_CHECK)


def _on_the_tests_loop(request: pytest.FixtureRequest, name: str) -> Any:  # noqa: ANN401  # as getfixturevalue
    _require_pytest_asyncio(request.node, "every fixture")
    return request.getfixturevalue(f"_{name}_{_loop_scope(request.node)}")


def _loop_scope(item: pytest.Item) -> str:
    """Return how long the loop lives that pytest-asyncio runs a test on."""
    marker = item.get_closest_marker("asyncio")
    options = {} if marker is None else marker.kwargs
    chosen = options.get("loop_scope") or options.get("scope")
    return str(chosen or item.config.getini("asyncio_default_test_loop_scope"))


def _require_pytest_asyncio(item: pytest.Item, user: str) -> None:
    if not item.config.pluginmanager.has_plugin(_ASYNC_FIXTURES):
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


class _VirtualTime:
    """Gives marked tests a loop; for all others it is as if it did not exist."""

    def __init__(self, manager: pytest.PytestPluginManager) -> None:
        self._manager = manager
        self._hook = _LoopHook()
        self._is_used = False

    # A loop hook, whatever it answers, makes pytest-asyncio treat a test differently
    # (other parameters, no current loop afterwards), so that only marked tests see one.
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
        # While tests run pytest-asyncio only asks whether there is such a hook: if so,
        # it changes the loop between tests that share one but for its kind.
        if self._is_used and not self._manager.is_registered(self._hook):
            self._manager.register(self._hook)


class _LoopHook:
    @pytest.hookimpl(wrapper=True, optionalhook=True)
    def pytest_asyncio_loop_factories(
        self, item: pytest.Item
    ) -> Generator[None, Any, Any]:
        """Answer for a marked test instead of the project's own hook."""
        factories = yield
        if item.get_closest_marker(_MARKER) is None:
            return factories
        from .virtual_loop import VirtualLoop  # noqa: PLC0415  # when asked for

        return {"virtual": VirtualLoop}


class _LeakCheckAroundAll:
    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Set the leak check up before all other fixtures of a test."""
        names: list[str] = getattr(item, "fixturenames", [])
        if {"presence_emulator", _LEAK_CHECK} & set(names):
            names[:] = [_LEAK_CHECK, *(name for name in names if name != _LEAK_CHECK)]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Remember failures: what a failed test leaves behind is no news."""
        report = yield
        if report.failed:
            item.stash[_has_failed] = True
        return report


def _async_fixtures() -> types.ModuleType:
    """Return the async side of each fixture, once for every scope a loop can have."""
    holder = types.ModuleType("presence_async.testing.async_fixtures")
    for scope in ("function", "class", "module", "package", "session"):
        for fixture in _async_fixtures_of(scope):
            setattr(holder, f"_{fixture.__name__}_{scope}", fixture)
    return holder


def _async_fixtures_of(scope: LoopScope) -> Iterator[Callable[..., Any]]:
    import pytest_asyncio  # noqa: PLC0415  # at hand: only called where it is enabled

    @pytest_asyncio.fixture(loop_scope=scope)
    async def presence_leak_check(
        request: pytest.FixtureRequest,
    ) -> AsyncIterator[None]:
        from .leaks import LeakCheck, LeakError  # noqa: PLC0415  # when asked for

        found = None
        try:
            async with LeakCheck():
                yield
        except LeakError as error:
            found = str(error)
        if found and not request.node.stash.get(_has_failed, False):
            pytest.fail(f"{request.node.name} {found}", pytrace=False)

    @pytest_asyncio.fixture(loop_scope=scope)
    async def presence_emulator(
        presence_leak_check: None,  # noqa: ARG001  # around it
        presence_emulator_options: Mapping[str, Any],
    ) -> AsyncIterator[PresenceEmulator]:
        from ..client import wall_clock  # noqa: PLC0415  # when asked for
        from ..emulator import PresenceEmulator  # noqa: PLC0415  # when asked for

        options = {"clock": wall_clock.now_s, **presence_emulator_options}
        async with PresenceEmulator(**options) as emulator:
            yield emulator

    @pytest_asyncio.fixture(loop_scope=scope)
    async def make_presence_client(
        presence_emulator: PresenceEmulator,
    ) -> AsyncIterator[MakePresenceClient]:
        from .clients import MakePresenceClient  # noqa: PLC0415  # when asked for

        async with MakePresenceClient(presence_emulator) as make:
            yield make

    @pytest_asyncio.fixture(loop_scope=scope)
    async def presence_client(
        presence_emulator: PresenceEmulator,
    ) -> AsyncIterator[PresenceClient]:
        from .clients import MakePresenceClient  # noqa: PLC0415  # when asked for

        async with MakePresenceClient(presence_emulator) as make:
            yield await make()

    yield from (presence_leak_check, presence_emulator)
    yield from (make_presence_client, presence_client)
