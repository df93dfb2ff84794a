"""Help and wrong usage: what a user reads before anything is sent."""

from __future__ import annotations

import asyncio
import sys

import pytest
import typer

from presence_async.cli.options import seconds_of
from presence_async.cli.set_state import state_and_channels
from presence_async.errors import InvalidArgumentError

from .commands import invoke, run

KEYS = ["--subscribe-key", "k", "--user-id", "u"]
COMMANDS = [
    *("demo", "here-now", "where-now", "get-state", "set-state"),
    *("join", "watch", "holders", "plan", "emulate", "doctor", "verify-emulator"),
]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["emulate", "--fault", "beat:503"], "unknown operation 'beat'; use None or"),
        (["here-now", "lobby", "--user-id", "bob"], "PUBNUB_SUBSCRIBE_KEY: is missing"),
        (["here-now", "a,b", *KEYS], "has a comma"),
        (["set-state", "[1]", "x", *KEYS], "list"),
        (["here-now", "--limit", "many"], "Invalid value"),
        (["here-now", "--counts", "--limit", "0", *KEYS], "--limit: must be 1 to 1000"),
        (
            ["here-now", "--proxy", "proxy:3128", *KEYS],
            "--proxy: must be the URL of an",
        ),
        (["emulate", "--port", "99999"], "65535"),
        (["watch", "lobby", "--duration", "5x"], "such as 90, 90s, 5m or 1.5h"),
        (["here-now", "--all", "--counts"], "--all goes without --counts"),
        (["no-such-command"], "No such command"),
        (["--no-such-option"], "No such option"),
    ],
    ids=[
        *("fault", "no key", "comma", "no object", "no number", "limit"),
        *("proxy", "port", "duration", "all", "no command", "no option"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(arguments: list[str], words: str) -> None:
    code, out, errors = invoke(*arguments)

    assert (code, out) == (2, "")
    assert words in errors
    assert errors.startswith("presence-async")
    assert errors.count("\n") == 1


def test_wrong_usage_names_the_command_and_its_help() -> None:
    _, _, of_command = invoke("here-now", "--limit", "many")
    _, _, of_none = invoke("no-such-command")

    assert of_command.startswith("presence-async here-now: Invalid value for '--limit'")
    assert of_command.endswith(". See presence-async here-now --help\n")
    assert of_none.startswith("presence-async: No such command 'no-such-command'")
    assert of_none.endswith(". See presence-async --help\n")


@pytest.mark.parametrize(
    ("words", "state", "channels"),
    [
        ("lobby mood=ok news", {"mood": "ok"}, ["lobby", "news"]),
        (
            "n=3 x=1.5 on=true no=null c",
            {"n": 3, "x": 1.5, "on": True, "no": None},
            "c",
        ),
        ('id="7" l=[1] e= u=a=b c', {"id": "7", "l": [1], "e": "", "u": "a=b"}, "c"),
        ("x=NaN y=-Infinity z={ c", {"x": "NaN", "y": "-Infinity", "z": "{"}, "c"),
        ('{"a":1} lobby x=y', {"a": 1}, ["lobby", "x=y"]),
        ('lobby {"a":1}', {"a": 1}, ["lobby"]),
        ("{} lobby", {}, ["lobby"]),
    ],
    ids=["text", "JSON", "more", "no JSON", "first", "last", "clear"],
)
def test_a_state_is_pairs_or_an_object(
    words: str, state: dict[str, object], channels: list[str]
) -> None:
    assert state_and_channels(words.split()) == (state, list(channels))


def test_a_value_that_is_too_deep_for_json_is_a_text() -> None:
    deep = "[" * 100_000

    assert state_and_channels(["lobby", f"a={deep}"]) == ({"a": deep}, ["lobby"])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ('lobby a=1 {"a":1}', "is given twice"),
        ('lobby {"a":1} {"b":1}', "is given twice"),
        ("lobby a=1 a=2", "has 'a' twice"),
        ("lobby =1", "has no key before '=1'"),
        ("lobby news", "is missing"),
    ],
    ids=["both", "objects", "key", "no key", "none"],
)
def test_what_is_no_state_is_refused_with_an_example(words: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        state_and_channels(words.split())

    assert reason in str(caught.value)
    assert "such as: set-state lobby mood=ok, or: set-state '{" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1.5H", 5400), (" .5 s", 0.5)],
)
def test_a_span_of_time_has_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["0", "-1", "5x", "", "inf", "nan", "1e9", "9" * 400])
def test_what_is_no_span_of_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write seconds"):
        seconds_of(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    code, out, _ = invoke(command, "--help")

    assert code == 0
    assert f"presence-async {command}" in " ".join(out.split()).split("Example:")[1]


def test_the_list_of_commands_cuts_no_description() -> None:
    code, out, _ = invoke("--help")

    assert code == 0
    assert "..." not in out.split("Commands:")[1]


@pytest.mark.real_time
async def test_wrong_usage_ends_a_process_with_2() -> None:
    code, out, errors = await run("here-now", "a,b", *KEYS)

    assert (code, out) == (2, "")
    assert errors.startswith("presence-async: channels: ")
    assert errors.count("\n") == 1


@pytest.mark.real_time
async def test_importing_the_package_does_not_import_the_http_stack() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c"),
        "import presence_async, sys; sys.exit('aiohttp' in sys.modules)",
    )

    assert await process.wait() == 0
