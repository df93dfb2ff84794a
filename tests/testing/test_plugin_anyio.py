"""The plugin with anyio's, alone and beside pytest-asyncio, and in sync tests."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.real_time

INI = """
    [pytest]
    filterwarnings = error
    asyncio_default_fixture_loop_scope = function
    addopts = --strict-markers -p no:cacheprovider
"""
INI_WITHOUT_ASYNCIO = """
    [pytest]
    filterwarnings = error
    addopts = --strict-markers -p no:cacheprovider
"""
USERS = """
    import asyncio, sys, time
    import pytest
    from presence_async.testing import VirtualLoop

    class Base:
        @pytest.fixture
        async def lease(self, presence_client):
            async with presence_client.join("lobby") as lease:
                yield lease

    @pytest.mark.anyio
    class TestInRealTime(Base):
        @pytest.fixture
        def anyio_backend(self):
            return "asyncio"

        async def test_a_lease(self, lease, presence_emulator):
            assert asyncio.get_running_loop().time() == pytest.approx(time.monotonic())
            assert set(presence_emulator.occupants("lobby")) == {"tester"}

        async def test_two_users(self, make_presence_client, presence_emulator):
            alice = await make_presence_client("alice", presence_timeout_s=20)
            async with alice.join("lobby"):
                assert set(presence_emulator.occupants("lobby")) == {"alice"}

        @pytest.mark.virtual_time
        async def test_refused_as_time_is_real(self, lease):
            raise AssertionError("it ran")

    @pytest.mark.anyio
    @pytest.mark.virtual_time
    class TestInVirtualTime(Base):
        @pytest.fixture
        def anyio_backend(self):
            return "asyncio", {"loop_factory": VirtualLoop}

        async def test_an_hour_passes(self, lease, presence_emulator):
            started_s = time.monotonic()
            await asyncio.sleep(3600)
            assert time.monotonic() - started_s < 30
            assert set(presence_emulator.occupants("lobby")) == {"tester"}

        async def test_a_task_is_left_running(self, lease):
            self.task = asyncio.create_task(asyncio.Event().wait(), name="forgotten")

        async def test_leaks_of_a_failed_test(self, lease):
            self.task = asyncio.create_task(asyncio.Event().wait())
            raise KeyError("the test's own")

    @pytest.mark.anyio
    class TestOnTrio(Base):
        @pytest.fixture
        def anyio_backend(self):
            return "trio"

        async def test_refused(self, lease):
            raise AssertionError("it ran")

    def test_sync(anyio_backend, presence_client):
        raise AssertionError("it ran")
"""
BESIDE_ASYNCIO = """
    import asyncio
    import pytest, pytest_asyncio
    from presence_async.testing import VirtualLoop

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.anyio
    async def test_of_anyio(presence_client, presence_emulator):
        async with presence_client.join("lobby"):
            assert set(presence_emulator.occupants("lobby")) == {"tester"}

    @pytest.mark.asyncio
    @pytest.mark.virtual_time
    async def test_of_pytest_asyncio(presence_client, presence_emulator):
        async with presence_client.join("lobby"):
            await asyncio.sleep(3600)
            assert set(presence_emulator.occupants("lobby")) == {"tester"}

    @pytest.mark.anyio
    @pytest.mark.asyncio
    @pytest.mark.virtual_time
    async def test_of_both(presence_client, presence_emulator):
        async with presence_client.join("lobby"):
            await asyncio.sleep(3600)
            assert set(presence_emulator.occupants("lobby")) == {"tester"}
"""
IN_AUTO_MODE = """
    import asyncio
    import pytest
    from presence_async.testing import VirtualLoop

    @pytest.fixture
    async def lease(presence_client):
        async with presence_client.join("lobby") as lease:
            yield lease

    @pytest.mark.anyio
    @pytest.mark.parametrize("number", [1, 2])
    async def test_with_its_backend(anyio_backend, number, lease):
        assert anyio_backend == "asyncio"

    @pytest.mark.anyio
    async def test_marked_for_anyio(lease, presence_emulator):
        assert set(presence_emulator.occupants("lobby")) == {"tester"}

    @pytest.mark.anyio
    @pytest.mark.virtual_time
    async def test_in_virtual_time(lease, presence_emulator):
        await asyncio.sleep(3600)
        assert set(presence_emulator.occupants("lobby")) == {"tester"}
"""
SYNC = """
    import sys, threading, urllib.request
    import pytest

    @pytest.fixture
    def presence_emulator_options():
        return {"subscribe_key": "mine"}

    def test_sync(presence_emulator_thread):
        url = presence_emulator_thread.url
        urllib.request.urlopen(f"{url}/time/0").close()
        assert presence_emulator_thread.config().subscribe_key == "mine"
        assert presence_emulator_thread.requests[0].path == "/time/0"
        assert not {"anyio", "pytest_asyncio"} & set(sys.modules)

    @pytest.mark.virtual_time
    def test_refused_in_virtual_time(presence_emulator_thread):
        raise AssertionError("it ran")

    def test_the_thread_has_ended():
        assert threading.active_count() == 1
"""
ELSEWHERE = """
    import sys
    import anyio, pytest

    @pytest.fixture(scope="module")
    def anyio_backend():
        return "asyncio"

    @pytest.fixture(scope="module")
    async def number():
        yield 1

    @pytest.mark.anyio
    @pytest.mark.parametrize("other", [1, 2])
    async def test_async(number, other):
        await anyio.sleep(0)

    def test_sync(number):
        assert number == 1

    def test_nothing_was_imported():
        ours = {name for name in sys.modules if name.startswith("presence_async.")}
        assert {name.split(".")[1] for name in ours} <= {"first_use", "testing"}
        assert not {"aiohttp", "attrs", "msgspec", "yarl"} & set(sys.modules)
"""


def run(pytester: pytest.Pytester, text: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_it=dedent(text))
    pytester.makeini(INI_WITHOUT_ASYNCIO if "no:asyncio" in arguments else INI)
    return pytester.runpytest_subprocess(
        # No summary: in CI it repeats what is said above.
        *("-q", "-rN", "-p", "no:hypothesispytest", "-p", "no:xdist"),
        *arguments,
    )


def test_anyio_runs_the_fixtures(pytester: pytest.Pytester) -> None:
    result = run(pytester, USERS, "-p", "no:asyncio")

    result.assert_outcomes(passed=4, failed=1, errors=4)
    result.stdout.fnmatch_lines([
        "the marker virtual_time of presence_async needs a virtual loop; *",
        "test_a_task_is_left_running left behind:",
        "  task 'forgotten' of *",
        "every async fixture of presence_async runs on asyncio only, * on trio: *",
        "every async fixture of presence_async needs an async test *",
    ])
    assert result.stdout.str().count("left behind") == 1


def test_anyio_beside_pytest_asyncio(pytester: pytest.Pytester) -> None:
    result = run(pytester, BESIDE_ASYNCIO, "-o", "asyncio_mode=strict")

    result.assert_outcomes(passed=3)


def test_pytest_asyncio_in_auto_mode_runs_every_test(pytester: pytest.Pytester) -> None:
    result = run(pytester, IN_AUTO_MODE, "-o", "asyncio_mode=auto")

    result.assert_outcomes(passed=4)


def test_anyio_in_auto_mode_needs_no_marks(pytester: pytest.Pytester) -> None:
    text = USERS.replace("@pytest.mark.anyio\n", "\n")
    others = ("-k", "InRealTime and not refused", "-o", "anyio_mode=auto")
    result = run(pytester, text, "-p", "no:asyncio", *others)

    result.assert_outcomes(passed=2, deselected=6)


def test_sync_tests_need_no_plugin(pytester: pytest.Pytester) -> None:
    result = run(pytester, SYNC, "-p", "no:asyncio", "-p", "no:anyio")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["presence_emulator_thread runs in real time, *"])


def test_a_project_with_anyio_that_does_not_use_it_notices_nothing(
    pytester: pytest.Pytester,
) -> None:
    runs = [
        run(pytester, ELSEWHERE, "-p", "no:asyncio", "-v", "--setup-show", *others)
        for others in ([], ["-p", "no:presence_async"])
    ]

    with_it, without_it = [
        re.sub(r"^plugins: .*| in .*s", "", r.stdout.str(), flags=re.MULTILINE)
        for r in runs
    ]
    runs[0].assert_outcomes(passed=4)
    assert with_it == without_it
