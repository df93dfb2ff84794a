"""``watch``: who is there, each change, and how the stream is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

import pytest
from rich.cells import cell_len

from presence_async import PresenceClient
from presence_async.emulator import Fault, PresenceEmulator

from .commands import ask, errors_of, read_line, read_line_and_close, start

pytestmark = pytest.mark.real_time


async def test_watch_shows_who_is_there_and_each_change_until_ctrl_c(
    client: PresenceClient, emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    alice = await client.join("lobby", user_id="alice\x1b[2J", state={"mood": "ok"})
    process = await start("watch", "lobby", **service)
    first = [await read_line(process) for _ in range(2)]
    bob = await client.join("lobby")
    joined = await read_line(process)
    await alice.set_state({"mood": "tired"})
    changed = await read_line(process)
    await bob.leave()
    left = await read_line(process)

    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()

    assert first[0].endswith(" 1 on lobby\n")
    assert first[1].strip() == r'alice\x1b[2J {"mood": "ok"}'
    assert joined.endswith(" join         bob (2 here)\n")
    assert changed.endswith(r'alice\x1b[2J {"mood": "tired"} (2 here)' + "\n")
    assert left.endswith(" leave        bob (1 here)\n")
    assert (out, errors, process.returncode) == (b"", b"", 0)
    assert emulator.requests.of("subscribe")[0].user_id == "bob"


async def test_watch_fits_lines_to_a_dumb_terminal_and_escapes_control_characters(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.heartbeat("lobby", user_id="漢字" * 30 + "\x9b2J")
    terminal, end = os.openpty()
    arguments = (sys.executable, "-m", "presence_async", "watch", "lobby")
    lines = []
    for option in ([], ["--json"]):
        process = await asyncio.create_subprocess_exec(
            *(*arguments, *option),
            env={
                **os.environ,
                **service,
                "COLUMNS": "80",
                "PYTHONIOENCODING": "utf-8",
                "TERM": "dumb",
            },
            stdout=end,
        )
        read = asyncio.get_running_loop().run_in_executor
        text = b""
        while text.count(b"\n") < (1 if option else 2):
            text += await read(None, os.read, terminal, 65536)
        process.send_signal(signal.SIGINT)
        await process.wait()
        lines += text.decode().splitlines()
    os.close(terminal)
    os.close(end)

    assert all(line.isprintable() for line in lines)
    assert [cell_len(line) for line in lines[:2]] == [len(lines[0]), 80]
    assert json.loads(lines[2])["occupants"][0]["user_id"].endswith("\x9b2J")


async def test_watch_prints_json_and_reports_a_lost_service(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("watch", "lobby", "--json", **service)
    snapshot = json.loads(await read_line(process))
    await emulator.close()
    gone = json.loads(await read_line(process))

    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()

    assert (snapshot["action"], snapshot["occupants"]) == ("snapshot", [])
    assert (gone["action"], gone["health"]) == ("health", "reconnecting")
    assert (errors, process.returncode) == (b"", 0)


async def test_watch_ends_with_1_when_refused(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    emulator.inject(Fault(operation="subscribe", status=400, times=1))

    code, _, errors = await ask("watch", "lobby", **service)

    assert code == 1
    assert errors.startswith("presence-async: subscribe failed")


async def test_watch_ends_quietly_with_1_when_nobody_reads_its_output(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.heartbeat("lobby", user_id="kim")
    process = await start("watch", "lobby", **service)
    await read_line_and_close(process)
    while process.returncode is None:
        await client.heartbeat("lobby", user_id="alice")
        await client.leave("lobby", user_id="alice")
        await asyncio.sleep(0.05)

    assert process.returncode == 1
    assert await errors_of(process) == b""


async def test_who_watches_an_empty_channel_is_told_once_what_to_try(
    service: dict[str, str],
) -> None:
    watching = ("watch", "lobby", "--duration", "0.1s")

    _, out, errors = await ask(*watching, **service)
    _, _, of_json = await ask(*watching, "--json", **service)

    assert out.endswith(" 0 on lobby\n")
    assert errors == (
        "presence-async: nobody is on lobby; if somebody should be: presence-async"
        " doctor lobby\n"
    )
    assert of_json == ""


async def test_several_channels_are_watched_for_a_while(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join(["lobby", "news"])
    watching = ("watch", "lobby", "news", "lobby", "--duration")

    plain = await ask(*watching, "0.1s", **service)
    as_json = await ask(*watching, "0.1s", "--json", **service)

    heads = [line[9:] for line in plain[1].splitlines() if line[0] != " "]
    assert (plain[0], plain[2]) == (0, "")
    assert sorted(heads) == ["1 on lobby", "1 on news"]
    events = [json.loads(line) for line in as_json[1].splitlines()]
    assert {event["channel"] for event in events} == {"lobby", "news"}
