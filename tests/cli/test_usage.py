"""Help and wrong usage: what a user reads before anything is sent."""

from __future__ import annotations

import asyncio
import sys

import pytest

from .commands import invoke, run

KEYS = ["--subscribe-key", "k", "--user-id", "u"]
COMMANDS = [
    *("demo", "here-now", "where-now", "get-state", "set-state"),
    *("join", "watch", "holders", "emulate", "doctor", "verify-emulator"),
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
        (["no-such-command"], "No such command"),
    ],
    ids=[
        *("fault", "no key", "comma", "no object", "no number", "limit"),
        *("proxy", "port", "no command"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(arguments: list[str], words: str) -> None:
    code, out, errors = invoke(*arguments)

    assert (code, out) == (2, "")
    assert words in errors


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    code, out, _ = invoke(command, "--help")

    assert code == 0
    assert f"presence-async {command}" in " ".join(out.split()).split("Example:")[1]


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
