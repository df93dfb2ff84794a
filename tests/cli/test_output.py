"""Output: characters that the reader cannot take, and readers that are gone."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import sys

import pytest

from presence_async import PresenceClient
from presence_async.cli import app
from presence_async.cli.output import OutputClosedError, complain, print_json, say
from presence_async.emulator import PresenceEmulator

from .commands import ask

pytestmark = pytest.mark.real_time


async def test_control_characters_of_strangers_do_not_reach_the_terminal(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("lobby", user_id="\x1b[31mred\x07")

    _, out, _ = await ask("here-now", "lobby", **service)

    assert "\x1b" not in out
    assert "\\x1b[31mred\\x07" in out


async def test_characters_that_the_terminal_lacks_are_escaped(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("日😀")

    plain = await ask("where-now", "bob", charset="ascii", **service)
    as_json = await ask("where-now", "bob", "--json", charset="ascii", **service)
    table = await ask("here-now", charset="ascii", **service)

    assert plain == (0, "\\u65e5\\U0001f600\n", "")
    assert json.loads(as_json[1])["channels"] == ["日😀"]
    assert "\\u65e5" in table[1]
    assert (table[0], table[2]) == (0, "")


@pytest.mark.parametrize(
    ("output", "code", "words"),
    [("pipe", 1, ""), (">/dev/full", 1, "No space left on device")],
    ids=["no reader", "full"],
)
async def test_output_that_cannot_be_written_ends_a_command_without_a_traceback(
    service: dict[str, str], output: str, code: int, words: str
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    redirection = "" if output == "pipe" else output
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {redirection}', "sh"),
        *(sys.executable, "-m", "presence_async", "here-now"),
        env={**os.environ, **service},
        stdout=write_end,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write_end)
    _, errors = await process.communicate()

    assert process.returncode == code
    assert words in errors.decode()
    assert errors.count(b"\n") == bool(words)


@pytest.mark.parametrize(
    ("command", "silenced"),
    [
        ("doctor", ""),
        ("doctor", "2>&-"),
        ("join lobby", ""),
        ("join lobby", "2>&-"),
        ("emulate", ""),
        ("--help", ""),
    ],
)
async def test_no_command_runs_whose_output_was_closed_at_its_start(
    emulator: PresenceEmulator, service: dict[str, str], command: str, silenced: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" >&- {silenced}', "sh"),
        *(sys.executable, "-m", "presence_async", *command.split()),
        env={**os.environ, **service},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        _, errors = await process.communicate()

    assert process.returncode == 1
    expected = b"" if silenced else b"presence-async: stdout is closed; "
    assert errors.startswith(expected)
    assert errors.count(b"\n") == (0 if silenced else 1)
    assert emulator.requests.total == 0


async def test_a_command_without_stderr_works(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("lobby")
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'exec "$@" 2>&-', "sh"),
        *(sys.executable, "-m", "presence_async", "where-now", "bob"),
        env={**os.environ, **service},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert (process.returncode, out) == (0, b"lobby\n")


class Unwritable(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def write(self, _: str) -> int:
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    "number", [errno.EPIPE, errno.EIO, errno.EINVAL], ids=errno.errorcode.get
)
def test_a_reader_that_is_gone_is_told_from_other_errors(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(sys, "stdout", Unwritable(number))

    with pytest.raises(OutputClosedError):
        say("hello")


def test_a_full_disk_is_no_reader_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", Unwritable(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        say("hello")


def test_a_help_text_that_cannot_be_written_is_reported_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Unwritable(errno.ENOSPC))
    monkeypatch.setattr(sys, "argv", ["presence-async", "--help"])

    with pytest.raises(SystemExit) as caught:
        app.run()

    assert caught.value.code == 1
    assert capsys.readouterr().err == (
        "presence-async: [Errno 28] No space left on device\n"
    )


@pytest.mark.parametrize("stderr", [None, Unwritable(errno.EIO)], ids=["none", "gone"])
def test_problems_are_dropped_when_nobody_can_read_them(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stderr: io.StringIO | None,
) -> None:
    monkeypatch.setattr(sys, "stderr", stderr)

    complain("a problem")

    assert capsys.readouterr().out == ""


def test_json_without_a_stdout_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)

    print_json({"a": 1})
