"""``explain``: the story out of files, and out of an emulator."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from presence_async import PresenceClient
from presence_async.emulator import PresenceEmulator
from presence_async.explain.circumstances import Closed, Started
from presence_async.explain.facts import Joined, Left
from presence_async.explain.file import FactFile

from .commands import ask, invoke, start

pytestmark = pytest.mark.real_time

NOON = 1_795_780_800.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What a process wrote that kept two users."""
    path = tmp_path / "decisions"
    file = FactFile(path)
    file.open()
    for fact in (
        Started(at=NOON, host="web1", pid=7),
        Joined(at=NOON, user="alice", names=("lobby",), timeout_s=300),
        Joined(at=NOON, user="bob", names=("lobby",), timeout_s=300),
        Left(at=NOON + 60, user="alice", names=("lobby",)),
        Closed(at=NOON + 90),
    ):
        file.write(fact, "one")
    file.close()
    return path


def test_it_tells_the_story_in_a_file(file: Path) -> None:
    code, out, errors = invoke("explain", "alice", str(file), TZ="UTC")

    assert (code, errors) == (0, "")
    assert out.startswith("alice has been shown offline on lobby since ")
    assert "Joined lobby with a timeout of 300 s." in out


def test_it_tells_programs_too_and_the_environment_names_the_file(file: Path) -> None:
    code, out, _ = invoke(
        "explain", "alice", "--at", "2026-11-27T12:00:30+00:00", "--json",
        PRESENCE_EXPLAIN_FILE=str(file),
    )  # fmt: skip

    told = json.loads(out)
    assert code == 0
    assert told["verdict"].startswith("alice was shown online on lobby at ")
    assert [d["kind"] for d in told["decisions"]] == ["joined", "left"]


def test_several_files_are_one_story(file: Path, tmp_path: Path) -> None:
    more = FactFile(tmp_path / "more")
    more.open()
    more.write(Started(at=NOON + 100, host="web2", pid=8), "two")
    more.write(
        Joined(at=NOON + 120, user="alice", names=("lobby",), timeout_s=60), "two"
    )
    more.write(Closed(at=NOON + 121), "two")
    more.close()

    _, out, _ = invoke("explain", "alice", str(tmp_path / "more"), str(file))

    assert out.index("web1:7  Joined lobby") < out.index("web1:7  Left lobby")
    assert out.index("web1:7  Left lobby") < out.index("web2:8  Joined lobby")


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["carol", "FILE"], 1, "nothing is told of 'carol'; there are decisions about"),
        (["alice"], 2, "FILE|URL: is missing; name a file that a program"),
        ([""], 2, "USER: is missing; name the user"),
        (["alice", "/nowhere"], 1, "cannot read '/nowhere': No such file"),
        (["alice", "/nowhere"], 1, "name a file that a program writes with explain_to"),
        (["alice", "FILE", "--at", "soon"], 2, "--at: must be like 2026-11-27T12:05"),
        (["alice", "FILE", "--at", "2999-01-01"], 2, "--at: is in the future"),
        (["alice", "OTHER"], 2, "is not written by explain_to"),
        (["alice", "http://127.0.0.1:1"], 1, "Connection refused; check that it runs"),
    ],
)
def test_what_cannot_be_told_is_said(
    file: Path, tmp_path: Path, arguments: list[str], code: int, problem: str
) -> None:
    (tmp_path / "other").write_text("hello\n")
    places = {"FILE": str(file), "OTHER": str(tmp_path / "other")}

    found, out, errors = invoke("explain", *[places.get(x, x) for x in arguments])

    assert (found, out) == (code, "")
    assert problem in errors


def test_lines_that_cannot_be_read_are_counted(file: Path) -> None:
    with file.open("ab") as more:
        more.write(b"hello\n")

    code, out, errors = invoke("explain", "alice", str(file))

    assert code == 0
    assert out
    assert "1 line of" in errors


async def test_an_emulator_tells_what_it_saw(emulator: PresenceEmulator) -> None:
    config = emulator.config(user_id="alice")
    async with PresenceClient(config) as client, client.join("lobby"):
        pass
    origin = f"http://{emulator.origin}"

    code, out, errors = await ask("explain", "alice", origin)
    nobody, _, problem = await ask("explain", "carol", "--origin", origin)
    _, _, other = await ask("explain", "alice", origin, PUBNUB_SUBSCRIBE_KEY="k2")

    assert (code, errors) == (0, "")
    assert out.startswith("alice has been shown offline on lobby since ")
    assert "because a leave arrived." in out
    assert "A heartbeat for lobby arrived and was answered with 200." in out
    assert "The service announced that alice joined lobby." in out
    assert "A leave for lobby arrived and was answered with 200." in out
    assert nobody == 1
    seen = f"the emulator at '{origin}' has seen nothing of"
    assert f"{seen} 'carol' (any subscribe key); check the name\n" in problem
    assert (
        f"{seen} 'alice' (subscribe key 'k2'); check the name and --subscribe-key\n"
    ) in other


async def test_an_emulator_is_asked_about_the_key_that_the_user_uses(
    emulator: PresenceEmulator,
) -> None:
    config = emulator.config(user_id="alice", subscribe_key="other")
    async with PresenceClient(config) as client, client.join("lobby"):
        pass
    origin = f"http://{emulator.origin}"

    for environment in {}, {"PUBNUB_SUBSCRIBE_KEY": "other"}:
        _, out, _ = await ask("explain", "alice", origin, **environment)
        assert out.startswith("alice has been shown offline on lobby since ")


async def test_an_emulator_is_sent_the_control_token_of_the_environment() -> None:
    async with PresenceEmulator(control_token="opens") as emulator:
        config = emulator.config(user_id="alice")
        async with PresenceClient(config) as client, client.join("lobby"):
            pass
        told, problems = [], []
        for environment in (
            {},
            {"PRESENCE_EMULATOR_CONTROL_TOKEN": "wrong"},
            {"PRESENCE_EMULATOR_CONTROL_TOKEN": "opens"},
        ):
            code, out, problem = await ask(
                "explain", "alice", emulator.url, **environment
            )
            told.append((code, bool(out)))
            problems.append(problem)

    assert told == [(1, False), (1, False), (0, True)]
    remedy = "; put its control token into PRESENCE_EMULATOR_CONTROL_TOKEN\n"
    assert problems[0].endswith(remedy)
    assert problems[1].endswith(remedy)


def test_an_address_that_is_none_is_one_line() -> None:
    code, _, errors = invoke("explain", "alice", "http://no such host/")

    assert code == 1
    assert "there is no emulator at 'http://no such host/'" in errors
    assert len(errors.splitlines()) == 1


async def test_a_pipe_that_says_nothing_is_waited_for_until_a_signal(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = await start("explain", "alice", str(pipe))
    # Returns when the command has opened it for reading.
    writing = await asyncio.to_thread(os.open, pipe, os.O_WRONLY)
    try:
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    finally:
        os.close(writing)

    assert (process.returncode, errors) == (130, b"")
