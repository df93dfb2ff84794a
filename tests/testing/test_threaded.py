"""The emulator in a thread, as sync tests and other processes meet it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

import pytest

from presence_async import InvalidArgumentError, PresenceClient
from presence_async.emulator import Fault, Grant
from presence_async.testing import ThreadedEmulator

pytestmark = pytest.mark.real_time


@pytest.fixture
def emulator() -> Iterator[ThreadedEmulator]:
    with ThreadedEmulator() as emulator:
        yield emulator


def get(emulator: ThreadedEmulator, path: str) -> str:
    with urllib.request.urlopen(emulator.url + path, timeout=5) as answer:  # noqa: S310  # ours
        return answer.read().decode()  # type: ignore[no-any-return]  # bytes


def join(emulator: ThreadedEmulator, user: str, key: str = "demo") -> None:
    path = f"/v2/presence/sub-key/{key}/channel/lobby/heartbeat?uuid={user}"
    get(emulator, f"{path}&heartbeat=300")


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "presence-emulator"]


def test_it_listens_and_shows_what_happened(emulator: ThreadedEmulator) -> None:
    join(emulator, "alice")
    before = emulator.requests
    join(emulator, "bob", key="other")

    assert emulator.occupants("lobby") == {"alice": {}}
    assert set(emulator.occupants("lobby", "other")) == {"bob"}
    assert [event.action for event in emulator.events("lobby")] == ["join"]
    assert [entry.user_id for entry in emulator.requests] == ["alice", "bob"]
    assert (len(before), before.total, before[0].status) == (1, 1, 200)
    assert emulator.open_polls == 0
    emulator.reset("*")
    assert emulator.requests.total == 0
    assert not emulator.occupants("lobby", "other")


def test_it_can_be_steered(emulator: ThreadedEmulator) -> None:
    emulator.inject(Fault(operation="heartbeat", status=503, times=1))
    with pytest.raises(urllib.request.HTTPError, match="503") as failed:
        join(emulator, "alice")
    failed.value.close()
    join(emulator, "alice")
    assert emulator.kick("alice") == ("lobby",)
    join(emulator, "alice")
    emulator.advance(10_000)
    assert [event.action for event in emulator.events("lobby")] == [
        *("join", "timeout"),
        *("join", "timeout"),
    ]
    emulator.lose_messages()
    emulator.restart_timetokens(60)
    emulator.grant("token", Grant(channels="lobby"))
    emulator.revoke("token")
    with pytest.raises(urllib.request.HTTPError, match="403") as refused:
        join(emulator, "alice")
    refused.value.close()

    assert [entry.status for entry in emulator.requests] == [503, 200, 200, 403]


def test_clients_on_any_loop_use_it(emulator: ThreadedEmulator) -> None:
    async def visit() -> set[str]:
        config = emulator.config(user_id="alice")
        async with PresenceClient(config) as client, client.join("lobby"):
            return set(emulator.occupants("lobby"))

    assert asyncio.run(visit()) == {"alice"}
    assert not emulator.occupants("lobby")


def test_the_thread_ends_with_the_block_whatever_happens() -> None:
    url = ""
    with pytest.raises(KeyboardInterrupt), ThreadedEmulator() as emulator:
        url = emulator.url
        assert threads() == ["presence-emulator"]
        raise KeyboardInterrupt
    assert threads() == []
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)  # noqa: S310  # was ours


def test_a_held_poll_is_cut_at_the_end_of_the_block() -> None:
    with ThreadPoolExecutor(1) as pool:
        with ThreadedEmulator() as emulator:
            path = "/v2/subscribe/demo/lobby/0?uuid=alice&tt=1"
            poll = pool.submit(get, emulator, path)
            emulator.wait_until(lambda: emulator.open_polls)
        assert isinstance(poll.exception(timeout=5), OSError)


def test_errors_of_the_start_reach_the_caller() -> None:
    with ThreadedEmulator() as first:
        port = int(first.origin.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), ThreadedEmulator(port=port):
            pass
    with pytest.raises(InvalidArgumentError, match="idle_poll_s"):
        ThreadedEmulator(idle_poll_s=-1)
    assert threads() == []


def test_an_interrupt_while_it_starts_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulator = ThreadedEmulator()
    interrupts = iter([KeyboardInterrupt])
    result = emulator._started.result

    def interrupted() -> object:
        for interrupt in interrupts:
            raise interrupt
        return result()

    monkeypatch.setattr(emulator._started, "result", interrupted)
    with pytest.raises(KeyboardInterrupt), emulator:
        pass
    assert threads() == []


def test_so_does_an_interrupt_before_the_thread_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    emulator = ThreadedEmulator()
    start = emulator._thread.start

    def interrupted() -> None:
        start()
        raise KeyboardInterrupt

    monkeypatch.setattr(emulator._thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), emulator:
        pass
    assert threads() == []

    emulator = ThreadedEmulator()
    monkeypatch.setattr(emulator._thread, "start", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError), emulator:
        pass


def test_it_serves_one_block() -> None:
    emulator = ThreadedEmulator()
    with pytest.raises(RuntimeError, match="not serving"):
        _ = emulator.url
    with emulator, pytest.raises(RuntimeError, match="one block"):
        emulator.__enter__()
    for use in (emulator.config, lambda: emulator.occupants("lobby")):
        with pytest.raises(RuntimeError, match="not serving"):
            use()
    with pytest.raises(RuntimeError, match="one block"), emulator:
        pass


def test_errors_of_a_call_are_the_callers(emulator: ThreadedEmulator) -> None:
    with pytest.raises(AttributeError):
        emulator.inject("not a fault")  # type: ignore[arg-type]
    assert not emulator.occupants("lobby")


def test_not_even_a_failed_assertion_of_pytest_keeps_a_caller_waiting() -> None:
    has_failed = threading.Event()

    def clock() -> float:
        return pytest.fail("no more") if has_failed.is_set() else time.time()

    with ThreadedEmulator(clock=clock) as emulator, ThreadPoolExecutor(1) as pool:
        join(emulator, "alice")
        has_failed.set()
        kick = pool.submit(emulator.kick, "alice")
        assert isinstance(kick.exception(5), pytest.fail.Exception)


def test_a_forgotten_or_doubled_end_of_the_block_harms_nobody() -> None:
    emulator = ThreadedEmulator()
    emulator.__exit__(None, None, None)
    with emulator:
        assert emulator._thread.daemon
    emulator.__exit__(None, None, None)


def test_many_threads_may_use_it(emulator: ThreadedEmulator) -> None:
    def visit(number: int) -> bool:
        join(emulator, f"user-{number}")
        return f"user-{number}" in emulator.occupants("lobby")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(visit, range(24)))
    assert emulator.requests.total == 24


def test_its_own_thread_is_refused_instead_of_waiting_for_itself() -> None:
    refused: list[RuntimeError] = []

    def clock() -> float:
        try:
            served.occupants("lobby")
        except RuntimeError as error:
            refused.append(error)
        return time.time()

    served = ThreadedEmulator(clock=clock)
    with served:
        get(served, "/time/0")
    assert "wait for itself" in str(refused[0])


class SlowLoop:
    """A loop whose queue the thread's end may overtake."""

    def __init__(self, emulator: ThreadedEmulator) -> None:
        self._loop = emulator._require().loop
        self._thread = emulator._thread
        self.is_called = threading.Event()

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        self.is_called.set()
        self._thread.join(0.1)
        self._loop.call_soon_threadsafe(callback)


def test_a_call_at_the_end_of_the_block_is_answered() -> None:
    """It never waits for a loop that has gone."""
    with ThreadPoolExecutor(1) as pool:
        with ThreadedEmulator() as emulator:
            slow: Any = SlowLoop(emulator)
            emulator._serving = emulator._require()._replace(loop=slow)
            call = pool.submit(emulator.occupants, "lobby")
            assert slow.is_called.wait(5)
        assert call.result(5) == {}


def in_child(emulator: ThreadedEmulator, told: Connection) -> None:
    """Say what works in a forked child, and end the block there."""
    try:
        emulator.occupants("lobby")
    except RuntimeError as error:
        join(emulator, "child")
        emulator.__exit__(None, None, None)
        told.send(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_uses_it_as_any_other_process_does(
    emulator: ThreadedEmulator,
) -> None:
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=in_child, args=(emulator, theirs)
    )
    with emulator._lock:  # as if another thread made a call
        child.start()
    try:
        assert ours.poll(10)
        assert "forked" in ours.recv()
    finally:
        child.kill()
        child.join()

    assert set(emulator.occupants("lobby")) == {"child"}


def test_wait_until_returns_what_was_found(emulator: ThreadedEmulator) -> None:
    late = threading.Timer(0.02, join, [emulator, "alice"])
    late.start()
    assert emulator.wait_until(lambda: emulator.occupants("lobby")) == {"alice": {}}
    late.join()


def test_wait_until_says_what_arrived_instead(emulator: ThreadedEmulator) -> None:
    with pytest.raises(TimeoutError, match=r"within 0\.01 s; no requests came"):
        emulator.wait_until(lambda: False, timeout_s=0.01)
    join(emulator, "alice")
    with pytest.raises(TimeoutError, match="heartbeat of alice: 200"):
        emulator.wait_until(lambda: emulator.occupants("hall"), timeout_s=0)
    with pytest.raises(KeyError):
        emulator.wait_until(lambda: emulator.occupants("lobby")["bob"])


async def test_wait_until_never_stops_a_loop(emulator: ThreadedEmulator) -> None:
    with pytest.raises(RuntimeError, match="to_thread"):
        emulator.wait_until(lambda: True)
    assert await asyncio.to_thread(emulator.wait_until, lambda: True)
