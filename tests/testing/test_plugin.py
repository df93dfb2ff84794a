"""The plugin as projects meet it: each test runs pytest in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
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
HEADERS = {
    "strict": """
        import asyncio, time
        import pytest, pytest_asyncio
        from pytest_asyncio import fixture as async_fixture

        asyncio_mark = pytest.mark.asyncio
    """,
    "auto": """
        import asyncio, time
        import pytest, pytest_asyncio
        from pytest import fixture as async_fixture

        def asyncio_mark(test):
            return test
    """,
}
USERS = """
    @async_fixture
    async def lease(presence_client):
        async with presence_client.join("lobby") as lease:
            yield lease

    def test_sync(presence_client):
        pass

    @asyncio_mark
    @pytest.mark.virtual_time
    async def test_an_hour_passes(lease, presence_emulator):
        began_s, started_s = asyncio.get_running_loop().time(), time.monotonic()
        await asyncio.sleep(3600)
        assert asyncio.get_running_loop().time() - began_s >= 3600
        assert time.monotonic() - started_s < 30
        assert set(presence_emulator.occupants("lobby")) == {"tester"}

    @asyncio_mark
    async def test_without_the_marker_time_is_real(lease, presence_emulator):
        assert asyncio.get_running_loop().time() == pytest.approx(time.monotonic())
        assert set(presence_emulator.occupants("lobby")) == {"tester"}

    @asyncio_mark
    @pytest.mark.virtual_time
    class TestSeveral:
        async def test_users(self, make_presence_client, presence_emulator):
            alice = await make_presence_client("alice", presence_timeout_s=20)
            bob = await make_presence_client("bob")
            async with alice.join("lobby"), bob.join("lobby"):
                await asyncio.sleep(600)
                assert set(presence_emulator.occupants("lobby")) == {"alice", "bob"}
            assert not alice.is_closed

        async def test_keys(self, make_presence_client, presence_emulator):
            there = await make_presence_client("alice", subscribe_key="other")
            await there.join("lobby")
            assert set(presence_emulator.occupants("lobby", "other")) == {"alice"}
            assert not presence_emulator.occupants("lobby")

    @asyncio_mark
    class TestOptions:
        @pytest.fixture
        def presence_emulator_options(self):
            return {"min_presence_timeout_s": 77}

        @pytest.mark.virtual_time
        async def test_are_the_projects(self, make_presence_client, presence_emulator):
            bob = await make_presence_client("bob", presence_timeout_s=5)
            await bob.heartbeat("lobby")
            await asyncio.sleep(76)
            assert presence_emulator.occupants("lobby")
            await asyncio.sleep(2)
            assert not presence_emulator.occupants("lobby")

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def shared():
        yield asyncio.get_running_loop()

    @pytest.mark.asyncio(loop_scope="module")
    class TestOneLoop:
        async def test_in_real_time(self, shared, presence_client):
            await presence_client.where_now()
            assert shared is asyncio.get_running_loop()
            assert asyncio.get_running_loop().time() == pytest.approx(time.monotonic())

        @pytest.mark.virtual_time
        async def test_in_virtual_time(self, shared):
            await asyncio.sleep(3600)
            assert shared is asyncio.get_running_loop()

        async def test_in_real_time_again(self, presence_client):
            await presence_client.where_now()
            assert asyncio.get_running_loop().time() == pytest.approx(time.monotonic())
"""
LEAKS = """
    pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_time]
    kept = []

    async def poll():
        await asyncio.Event().wait()

    async def test_task(presence_client):
        kept.append(asyncio.create_task(poll(), name="forgotten"))

    async def test_error(presence_emulator):
        async def fail():
            raise ValueError("nobody hears me")
        task = asyncio.create_task(fail())
        await asyncio.wait({task})

    async def test_socket(make_presence_client):
        server = await asyncio.start_server(print, "127.0.0.1", 0)
        asyncio.get_running_loop().call_soon(kept.append, server)

    async def test_failed(presence_client):
        kept.append(asyncio.create_task(poll()))
        raise KeyError("the test's own")

    @async_fixture
    async def server():
        handlers = []
        yield lambda: handlers.append(asyncio.create_task(poll()))
        for handler in handlers:
            handler.cancel()

    async def test_order(server, presence_client):
        server()

    async def test_elsewhere():
        kept.append(asyncio.create_task(poll()))

    class TestSwitchedOff:
        @pytest.fixture
        def presence_leak_check(self):
            for server in kept[1:2]:
                server.close()

        async def test_silent(self, presence_client):
            kept.append(asyncio.create_task(poll()))
"""
RERUNS = """
    import pytest
    from _pytest.runner import runtestprotocol

    # Repeats failed tests the way pytest-rerunfailures does.
    def pytest_runtest_protocol(item, nextitem):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if any(report.failed for report in reports):
            item._initrequest()
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        return True
"""
LEAKS_WHEN_REPEATED = """
    pytestmark = [pytest.mark.asyncio, pytest.mark.virtual_time]
    kept, runs = [], []

    async def test_flaky(presence_client):
        runs.append(1)
        assert len(runs) > 1
        kept.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
"""
ELSEWHERE = """
    import asyncio, sys
    import pytest

    @pytest.mark.parametrize("number", [1, 2])
    @pytest.mark.asyncio
    async def test_async(number):
        await asyncio.sleep(0)

    @pytest.mark.asyncio(loop_scope="module")
    async def test_on_a_shared_loop():
        await asyncio.sleep(0)

    def test_sync():
        ours = {name for name in sys.modules if name.startswith("presence_async.")}
        assert {name.split(".")[1] for name in ours} <= {"first_use", "testing"}
        assert not {"aiohttp", "attrs", "msgspec", "yarl"} & set(sys.modules)
"""
OWN_HOOK = """
    import asyncio

    class OwnLoop(asyncio.SelectorEventLoop):
        pass

    class OtherLoop(asyncio.SelectorEventLoop):
        pass

    def pytest_asyncio_loop_factories(config, item):
        return {"own": OwnLoop, "other": OtherLoop}
"""
BESIDE_OWN_HOOK = """
    import asyncio
    import pytest

    @pytest.mark.asyncio
    async def test_ones_own(presence_client):
        await presence_client.where_now()
        print(type(asyncio.get_running_loop()).__name__)

    @pytest.mark.asyncio
    @pytest.mark.virtual_time
    async def test_virtual(presence_client):
        await presence_client.where_now()
        print(type(asyncio.get_running_loop()).__name__)
"""
NO_ASYNCIO = """
    import sys
    import pytest

    async def test_fixture(presence_client):
        pass

    @pytest.mark.virtual_time
    async def test_marker():
        pass

    def test_sync():
        assert "pytest_asyncio" not in sys.modules
"""


def write(pytester: pytest.Pytester, text: str, mode: str = "strict") -> None:
    pytester.makepyfile(test_it=dedent(HEADERS[mode]) + dedent(text))
    pytester.makeini(INI)


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    others = ("-p", "no:anyio", "-p", "no:hypothesispytest")  # which take their time
    return pytester.runpytest_subprocess("-q", *others, *arguments)


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_fixtures_run_on_the_loop_of_the_test(
    pytester: pytest.Pytester, mode: str
) -> None:
    write(pytester, USERS, mode)

    result = run(pytester, "-o", f"asyncio_mode={mode}")

    result.assert_outcomes(passed=8, errors=1)
    result.stdout.fnmatch_lines([
        "every async fixture of presence_async needs an async test that *"
    ])


def test_leaks_of_a_passed_test_are_reported(
    pytester: pytest.Pytester,
) -> None:
    write(pytester, LEAKS)

    result = run(pytester)

    result.assert_outcomes(passed=6, failed=1, errors=3)
    found = re.findall(
        r"^(\w+) left behind:\n  (.*)", result.stdout.str(), re.MULTILINE
    )
    assert [(name, re.sub(r"\d+", "N", text)) for name, text in found] == [
        ("test_task", "task 'forgotten' of poll, at test_it.py:N"),
        (
            "test_error",
            "unread: Task exception was never retrieved: ValueError('nobody hears me')",
        ),
        ("test_socket", "socket ('N.N.N.N', N), number N"),
    ]


def test_leaks_of_a_test_that_passes_when_repeated_are_reported(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(dedent(RERUNS))
    write(pytester, LEAKS_WHEN_REPEATED)

    result = run(pytester)

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*test_flaky left behind:", "*'forgotten'*"])


def test_a_project_that_does_not_use_it_notices_nothing(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_it=dedent(ELSEWHERE))
    pytester.makeini(INI)

    runs = [
        run(pytester, "-v", "--setup-show", *p)
        for p in ([], ["-p", "no:presence_async"])
    ]

    with_it, without_it = [
        re.sub(r"^plugins: .*| in .*s", "", r.stdout.str(), flags=re.MULTILINE)
        for r in runs
    ]
    runs[0].assert_outcomes(passed=4)
    assert with_it == without_it


def test_a_loop_hook_of_the_project_still_applies_to_unmarked_tests(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(dedent(OWN_HOOK))
    pytester.makepyfile(test_it=dedent(BESIDE_OWN_HOOK))
    pytester.makeini(INI)

    result = run(pytester, "-s")

    result.assert_outcomes(passed=3)
    assert re.findall(r"\w+Loop", result.stdout.str()) == [
        "OwnLoop",
        "OtherLoop",
        "VirtualLoop",
    ]


def test_without_pytest_asyncio_only_tests_that_use_the_plugin_fail(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_it=dedent(NO_ASYNCIO))

    result = run(pytester, "-p", "no:asyncio")

    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines([
        "every async fixture of presence_async needs an async test that *not enabled*",
        "the marker virtual_time of presence_async needs an async test that *",
    ])


def test_importing_the_plugin_imports_nothing_but_pytest() -> None:
    code = dedent("""
        import sys, pytest
        before = set(sys.modules)
        import presence_async.testing.plugin
        roots = {name.split(".")[0] for name in set(sys.modules) - before}
        print(sorted(roots - set(sys.stdlib_module_names)))
    """)

    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "['presence_async']\n"
