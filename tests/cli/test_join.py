"""``join``: presence until a signal, a closed terminal, or nobody reads."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sqlite3
import sys
from datetime import datetime
from pathlib import Path

import pytest

from presence_async.emulator import Fault, PresenceEmulator
from presence_async.register import SqliteRegister

from .commands import ask, errors_of, read_line, read_line_and_close, start

pytestmark = pytest.mark.real_time

WITHOUT_UNIX = """
import asyncio, signal
def add_signal_handler(*_):
    raise NotImplementedError
for loop in (asyncio.SelectorEventLoop, asyncio.AbstractEventLoop):
    loop.add_signal_handler = add_signal_handler
del signal.SIGHUP
from presence_async.__main__ import main
main()
"""


async def test_join_stays_until_a_signal_then_leaves(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--state", '{"a": 1}', **service)
    first = await read_line(process)
    present = dict(emulator.occupants("lobby"))
    where = await ask("where-now", **service)

    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()

    assert first == "bob on lobby: fresh\n"
    assert present == {"bob": {"a": 1}}
    assert where == (0, "lobby\n", "")
    assert (out, errors, process.returncode) == (b"leaving lobby\n", b"", 0)
    assert not emulator.occupants("lobby")


async def test_join_leaves_by_itself_after_a_duration(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    outcome = await ask("join", "lobby", "--duration", "0.1s", **service)

    assert outcome == (0, "bob on lobby: fresh\nleaving lobby\n", "")
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_a_refused_heartbeat_is_said_with_its_reason(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--presence-timeout", "4", **service)
    await read_line(process)
    emulator.inject(Fault(operation="heartbeat", status=403))
    said = await read_line(process)
    while "lost" in said:  # a machine this busy takes longer than the timeout
        said = await read_line(process)
    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert said.startswith("bob on lobby: refused, ")


async def test_join_leaves_when_its_terminal_is_closed(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", **service)
    await read_line(process)

    process.send_signal(signal.SIGHUP)
    _, errors = await process.communicate()

    assert (errors, process.returncode) == (b"", 0)
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_join_leaves_quietly_when_nobody_reads_it_though_nothing_happens(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--json", **service)
    await read_line_and_close(process)

    assert await errors_of(process) == b""
    assert process.returncode == 1
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_a_signal_stops_join_quietly_when_nobody_reads_its_output(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--json", **service)
    await read_line_and_close(process)

    process.send_signal(signal.SIGINT)

    assert await errors_of(process) == b""
    assert process.returncode == 0
    assert not emulator.occupants("lobby")


@pytest.mark.parametrize("arguments", [["emulate"], ["join", "lobby"]], ids=str)
async def test_commands_stop_in_order_without_signal_handlers_of_the_loop(
    emulator: PresenceEmulator, service: dict[str, str], arguments: list[str]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", WITHOUT_UNIX, *arguments),
        env={**os.environ, **service},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await read_line(process)

    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()

    assert (errors, process.returncode) == (b"", 0)
    assert not emulator.occupants("lobby")


async def test_a_leave_that_fails_ends_join_with_1(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", **service)
    await read_line(process)
    emulator.inject(Fault(operation="leave", status=403))

    process.send_signal(signal.SIGTERM)
    errors = await errors_of(process)

    assert errors.startswith(b"presence-async: leave failed")
    assert errors.count(b"\n") == 1
    assert process.returncode == 1


async def test_a_signal_hands_the_user_over(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--hand-over", "24.5", **service)
    await read_line(process)

    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()

    first, second, *more = out.decode().splitlines()
    told = re.fullmatch(
        r"(\w+) stays on lobby until about (\d\d:\d\d:\d\d)"
        r" unless somebody takes over",
        second,
    )
    assert (first, more, told is not None) == ("handing over lobby", [], True)
    assert told is not None
    sent = emulator.requests.of("heartbeat")[-1]
    assert sent.params["heartbeat"] == "25"
    until = datetime.strptime(told[2], "%H:%M:%S") - datetime.now()  # noqa: DTZ005, DTZ007
    assert 20 < until.seconds <= 25
    assert told[1] == sent.user_id
    assert (errors, process.returncode) == (b"", 0)
    assert [e.action for e in emulator.events("lobby")] == ["join"]


async def test_handing_over_that_fails_ends_join_with_1(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--hand-over", "20", **service)
    await read_line(process)
    emulator.inject(Fault(operation="heartbeat", status=403))

    process.send_signal(signal.SIGTERM)
    errors = await errors_of(process)

    assert errors.startswith(b"presence-async: heartbeat failed")
    assert errors.count(b"\n") == 1
    assert process.returncode == 1


async def test_seconds_to_hand_over_are_checked_first(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    code, _, errors = await ask("join", "lobby", "--hand-over", "-1", **service)

    assert code == 2
    assert "--hand-over: must be a number from 0" in errors
    assert emulator.requests.total == 0


@pytest.fixture
def sharing(service: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The variables that point to the emulator and to a register."""
    return service | {"PRESENCE_REGISTER_URL": str(tmp_path / "presence.db")}


async def is_held_by(count: int, file: str) -> None:
    """Wait until so many processes hold bob."""
    register = SqliteRegister(file)
    await register.open()
    async with asyncio.timeout(10):
        while len((await register.holders("demo", "bob")).holders) < count:  # noqa: ASYNC110  # of other processes
            await asyncio.sleep(0.05)
    await register.close()


async def test_a_user_whom_another_process_holds_stays(
    emulator: PresenceEmulator, sharing: dict[str, str]
) -> None:
    first = await start("join", "lobby", **sharing)
    await read_line(first)
    second = await start("join", "lobby", **sharing)
    await read_line(second)
    await is_held_by(2, sharing["PRESENCE_REGISTER_URL"])

    first.send_signal(signal.SIGINT)
    ends = [(await first.communicate(), first.returncode)]
    seen = [e.action for e in emulator.events("lobby")]
    second.send_signal(signal.SIGTERM)
    ends.append((await second.communicate(), second.returncode))

    assert ends == [((b"leaving lobby\n", b""), 0)] * 2
    assert seen == ["join"]
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_a_register_lets_the_user_be_handed_over(
    emulator: PresenceEmulator, sharing: dict[str, str]
) -> None:
    for hand_over in (["--hand-over", "20"], []):
        process = await start("join", "lobby", *hand_over, **sharing)
        await read_line(process)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
        assert (errors, process.returncode) == (b"", 0)

    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_a_register_that_cannot_work_here_is_wrong_usage(
    emulator: PresenceEmulator, service: dict[str, str], tmp_path: Path
) -> None:
    file = str(tmp_path / "missing" / "presence.db")
    code, out, errors = await ask("join", "lobby", "--register", file, **service)

    assert (code, out) == (2, "")
    assert "--register: " in errors
    assert emulator.requests.total == 0


async def test_a_register_that_is_away_at_the_end_ends_join_with_1(
    emulator: PresenceEmulator, sharing: dict[str, str]
) -> None:
    process = await start("join", "lobby", **sharing)
    await read_line(process)
    await is_held_by(1, sharing["PRESENCE_REGISTER_URL"])
    lock = sqlite3.connect(sharing["PRESENCE_REGISTER_URL"], isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")

    process.send_signal(signal.SIGINT)
    errors = await errors_of(process)
    lock.close()

    assert errors.startswith(b"presence-async: the register is away")
    assert errors.count(b"\n") == 1
    assert process.returncode == 1
    assert [e.action for e in emulator.events("lobby")] == ["join"]
