"""The commands as a user types them: what they print and how they end."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.cells import cell_len

from presence_async import PresenceClient, PresenceConfig, ServiceError
from presence_async.cli.emulate import emulate
from presence_async.emulator import Fault, PresenceEmulator

pytestmark = pytest.mark.real_time

Result = tuple[int | None, str, str]
KEYS = ["--subscribe-key", "k", "--user-id", "u"]


async def start(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PUBNUB_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-m", "presence_async"),
        *arguments,
        env=inherited | {"COLUMNS": "80"} | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def run(*arguments: str, **environment: str) -> Result:
    process = await start(*arguments, **environment)
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


@pytest.fixture
def service(emulator: PresenceEmulator) -> dict[str, str]:
    return {
        "PUBNUB_SUBSCRIBE_KEY": "demo",
        "PUBNUB_ORIGIN": f"http://{emulator.origin}",
        "PUBNUB_USER_ID": "bob",
    }


async def test_here_now_prints_a_table_and_json(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("lobby", state={"mood": "ok"})

    table, as_json = await asyncio.gather(
        run("here-now", "lobby", "--state", **service),
        run("here-now", "lobby", "--state", "--json", **service),
    )

    assert table[0] == 0
    assert '│ lobby   │ 1         │ bob {"mood": "ok"} │' in table[1]
    assert as_json[0] == 0
    assert json.loads(as_json[1])["channels"]["lobby"]["occupants"] == [
        {"user_id": "bob", "state": {"mood": "ok"}, "state_error": None}
    ]


async def test_here_now_without_channels_is_global_and_counts(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join(["lobby", "news"])

    code, out, _ = await run("here-now", "--counts", "--json", **service)

    assert code == 0
    assert json.loads(out)["channels"] == {"lobby": 1, "news": 1}


async def test_states_are_set_and_read(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    written = await run("set-state", '{"a": [1]}', "lobby", "--of", "eve", **service)
    read = await run("get-state", "lobby", "--of", "eve", "--json", **service)

    assert written == (0, 'stored {"a": [1]}\n', "")
    assert json.loads(read[1]) == {"user_id": "eve", "states": {"lobby": {"a": [1]}}}


async def test_join_stays_until_a_signal_then_leaves(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--state", '{"a": 1}', **service)
    assert process.stdout is not None
    first = await process.stdout.readline()
    present = dict(emulator.occupants("lobby"))
    where = await run("where-now", **service)

    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()

    assert first == b"bob on lobby: fresh\n"
    assert present == {"bob": {"a": 1}}
    assert where == (0, "lobby\n", "")
    assert (out, errors, process.returncode) == (b"leaving lobby\n", b"", 0)
    assert not emulator.occupants("lobby")


async def test_join_leaves_when_its_terminal_is_closed(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", **service)
    assert process.stdout is not None
    await process.stdout.readline()

    process.send_signal(signal.SIGHUP)
    _, errors = await process.communicate()

    assert (errors, process.returncode) == (b"", 0)
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_join_leaves_quietly_when_nobody_reads_its_output(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start(
        "join", "lobby", "--json", "--presence-timeout", "4", **service
    )
    await read_a_line_and_close(process)
    emulator.inject(Fault(operation="heartbeat", status=503, times=2))

    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert await process.wait() == 1
    assert [e.action for e in emulator.events("lobby")] == ["join", "leave"]


async def test_join_is_stopped_quietly_when_nobody_reads_its_output(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("join", "lobby", "--json", **service)
    await read_a_line_and_close(process)

    process.send_signal(signal.SIGINT)

    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert await process.wait() == 0
    assert not emulator.occupants("lobby")


async def read_a_line_and_close(process: asyncio.subprocess.Process) -> None:
    """Do as ``head -1`` does."""
    assert process.stdout is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]  # a closed pipe


@pytest.mark.parametrize("arguments", [["here-now"], ["where-now", "--json"], ["-h"]])
@pytest.mark.parametrize(
    ("output", "code", "words"),
    [("pipe", 1, ""), (">&-", 0, ""), (">/dev/full", 1, "No space left on device")],
    ids=["no reader", "closed", "full"],
)
async def test_output_that_cannot_be_written_ends_a_command_without_a_traceback(
    service: dict[str, str], arguments: list[str], output: str, code: int, words: str
) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    redirection = "" if output == "pipe" else output
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f'exec "$@" {redirection}', "sh"),
        *(sys.executable, "-X", "dev", "-m", "presence_async", *arguments),
        env={**os.environ, **service},
        stdout=write_end,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write_end)
    _, errors = await process.communicate()

    assert process.returncode == code
    assert words in errors.decode()
    assert errors.count(b"\n") == bool(words)


WITHOUT_UNIX = """
import asyncio, signal, sys
def add_signal_handler(*_):
    raise NotImplementedError
for loop in (asyncio.SelectorEventLoop, asyncio.AbstractEventLoop):
    loop.add_signal_handler = add_signal_handler
del signal.SIGHUP
from presence_async.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "arguments", [["emulate"], ["join", "lobby"], ["watch", "lobby"]], ids=str
)
async def test_commands_stop_in_order_without_signal_handlers_of_the_loop(
    emulator: PresenceEmulator, service: dict[str, str], arguments: list[str]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-c", WITHOUT_UNIX, *arguments),
        env={**os.environ, **service},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()

    assert (errors, process.returncode) == (b"", 0)
    assert not emulator.occupants("lobby")


async def test_watch_shows_who_is_there_and_each_change_until_ctrl_c(
    client: PresenceClient, emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    alice = await client.join("lobby", user_id="alice\x1b[2J", state={"mood": "ok"})
    process = await start("watch", "lobby", **service)
    assert process.stdout is not None
    first = [(await process.stdout.readline()).decode() for _ in range(2)]
    bob = await client.join("lobby")
    joined = (await process.stdout.readline()).decode()
    await alice.set_state({"mood": "tired"})
    changed = (await process.stdout.readline()).decode()
    await bob.leave()
    left = (await process.stdout.readline()).decode()

    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()

    assert first[0].endswith(" 1 on lobby\n")
    assert first[1].strip() == r'alice\x1b[2J {"mood": "ok"}'
    assert joined.endswith(" join         bob (2 here)\n")
    assert changed.endswith(r'alice\x1b[2J {"mood": "tired"} (2 here)' + "\n")
    assert left.endswith(" leave        bob (1 here)\n")
    assert (out, errors, process.returncode) == (b"", b"", 0)
    assert emulator.requests.of("subscribe")[0].user_id == "bob"


async def test_watch_keeps_to_the_width_of_a_terminal_and_never_steers_it(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.heartbeat("lobby", user_id="漢字" * 30 + "\x9b2J")
    terminal, end = os.openpty()
    arguments = (sys.executable, "-m", "presence_async", "watch", "lobby")
    lines = []
    for option in ([], ["--json"]):
        process = await asyncio.create_subprocess_exec(
            *(*arguments, *option),
            env={**os.environ, **service, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
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


async def test_watch_prints_json_and_tells_when_the_service_is_gone(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    process = await start("watch", "lobby", "--json", **service)
    assert process.stdout is not None
    snapshot = json.loads(await process.stdout.readline())
    await emulator.close()
    gone = json.loads(await process.stdout.readline())

    process.send_signal(signal.SIGTERM)
    _, errors = await process.communicate()

    assert (snapshot["action"], snapshot["occupants"]) == ("snapshot", [])
    assert (gone["action"], gone["health"]) == ("health", "reconnecting")
    assert (errors, process.returncode) == (b"", 0)


async def test_watch_ends_with_1_when_refused_and_when_nobody_reads(
    client: PresenceClient, emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    emulator.inject(Fault(operation="subscribe", status=400, times=1))
    refused = await run("watch", "lobby", **service)
    process = await start("watch", "lobby", **service)
    await read_a_line_and_close(process)
    while process.returncode is None:
        await client.heartbeat("lobby", user_id="alice")
        await client.leave("lobby", user_id="alice")
        await asyncio.sleep(0.05)

    assert refused[0] == 1
    assert refused[2].startswith("presence-async: subscribe failed")
    assert process.returncode == 1
    assert process.stderr is not None
    assert await process.stderr.read() == b""


async def test_emulate_prints_its_url_first_and_stops_on_ctrl_c() -> None:
    process = await start("emulate", "--verbose")
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()

    asked = await run(
        *("where-now", "--origin", url, "--subscribe-key", "any", "--user-id", "bob"),
        PUBNUB_AUTH="top-secret-token",
    )
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()

    assert url.startswith("http://127.0.0.1:")
    assert asked == (0, "", "")
    assert process.returncode == 0
    assert "200 /v2/presence/sub-key/any/uuid/bob" in errors.decode()
    assert "top-secret-token" not in errors.decode()


async def test_emulate_stops_at_once_with_open_requests_and_polls() -> None:
    process = await start("emulate", "--fault", "here-now:delay_s=inf")
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    host, port = url.removeprefix("http://").split(":")
    poll = "/v2/subscribe/any/a-pnpres/0?uuid=bob&tt=5"
    targets = ["/v2/presence/sub-key/any/channel/a", *[poll] * 20]
    opened = [await asyncio.open_connection(host, int(port)) for _ in targets]
    for target, (_, writer) in zip(targets, opened, strict=True):
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await writer.drain()
    await asyncio.sleep(0.1)

    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(3):
        _, errors = await process.communicate()

    assert (process.returncode, errors) == (0, b"")
    for reader, writer in opened:
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize(
    ("host", "words"),
    [("0.0.0.0", b"other machines can reach"), ("127.0.0.1", b"")],  # noqa: S104  # said
)
async def test_emulate_warns_where_other_machines_can_reach_it(
    host: str, words: bytes
) -> None:
    process = await start("emulate", "--host", host, "--json")
    assert process.stdout is not None
    await process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()

    assert words in errors
    assert errors.count(b"\n") == bool(words)


def test_every_option_of_the_emulator_is_a_flag() -> None:
    options = set(inspect.signature(PresenceEmulator).parameters)
    flags = set(inspect.signature(emulate).parameters)

    # The clock is the machine's, the key comes from the environment, and the flag for
    # one valid key is named in the singular.
    assert options - flags == {"clock", "secret_key", "subscribe_keys"}
    assert flags - options == {
        *("fault", "event_fault", "verify_signatures", "valid_key"),
        *("verbose", "as_json"),
    }
    defaults = inspect.signature(PresenceEmulator).parameters
    for name in options & flags:
        flag = inspect.signature(emulate).parameters[name]
        assert flag.default == defaults[name].default, name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"access": Path(__file__)}, "is no JSON"),
        ({"verify_signatures": True}, "set PUBNUB_SECRET_KEY"),
        ({"event_fault": ["[]"]}, "must be a JSON object"),
        ({"fault": ["{"]}, "is not a JSON object"),
        ({"journal_size": -1}, "journal_size"),
    ],
    ids=["access", "secret", "event fault", "fault", "size"],
)
def test_emulate_refuses_what_cannot_be(
    options: dict[str, Any],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PUBNUB_SECRET_KEY", raising=False)

    with pytest.raises(typer.Exit) as caught:
        emulate(**options)

    assert caught.value.exit_code == 2
    assert words in capsys.readouterr().err


async def test_emulate_takes_its_options(tmp_path: Path) -> None:
    access = tmp_path / "access.json"
    access.write_text('{"t": {"channels": ["lobby"]}}')
    process = await start(
        *("emulate", "--access", str(access), "--verify-signatures", "--json"),
        *("--fault", "leave:503", "--fault", '{"operation": "time", "status": 500}'),
        *("--valid-key", "mine", "--publish-key", "pub", "--no-leave-needs-read"),
        PUBNUB_SECRET_KEY="sec",
    )
    assert process.stdout is not None
    url = json.loads(await process.stdout.readline())["url"]

    async def asked(channel: str, signed_with: str = "sec", key: str = "mine") -> str:
        config = PresenceConfig(
            subscribe_key=key,
            publish_key="pub",
            secret_key=signed_with,
            user_id="bob",
            auth="t",
            origin=url,
        )
        async with PresenceClient(config) as client:
            try:
                await client.here_now(channel)
            except ServiceError as error:
                return error.message
            return "OK"

    answers = await asyncio.gather(
        asked("lobby"),
        asked("news"),
        asked("lobby", signed_with="other"),
        asked("lobby", key="other"),
    )
    process.send_signal(signal.SIGINT)
    await process.communicate()

    assert list(answers) == [
        "OK",
        "Forbidden",
        "Signature Does Not Match",
        "Invalid Subscribe Key",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["emulate", "--fault", "beat:503"],
            "unknown operation 'beat'; use None or one of",
        ),
        (["here-now", "lobby", "--user-id", "bob"], "PUBNUB_SUBSCRIBE_KEY: is missing"),
        (
            ["here-now", "a,b", *KEYS],
            "has a comma",
        ),
        (
            ["set-state", "[1]", "x", *KEYS],
            "list",
        ),
        (["here-now", "--limit", "many"], "Invalid value"),
        (["here-now", "--counts", "--limit", "0", *KEYS], "--limit: must be 1 to 1000"),
        (["emulate", "--port", "99999"], "65535"),
        (["no-such-command"], "No such command"),
    ],
    ids=[
        "fault",
        "no key",
        "comma",
        "no object",
        "no number",
        "limit",
        "port",
        "no command",
    ],
)
async def test_wrong_usage_ends_with_2_and_says_why(
    arguments: list[str], words: str
) -> None:
    code, out, errors = await run(*arguments)

    assert (code, out) == (2, "")
    assert words in errors
    assert "Traceback" not in errors


async def test_a_service_that_says_no_ends_with_1_and_one_line(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    emulator.inject(Fault(status=403))

    code, out, errors = await run("where-now", **service)

    assert (code, out) == (1, "")
    assert errors.count("\n") == 1
    assert errors.startswith("presence-async: where now failed after 1 attempt")


async def test_no_service_at_all_ends_with_1_and_one_line() -> None:
    code, _, errors = await run(
        *("where-now", "--origin", "http://127.0.0.1:9"),
        PUBNUB_SUBSCRIBE_KEY="demo",
        PUBNUB_USER_ID="bob",
    )

    assert code == 1
    assert errors.count("\n") == 1
    assert "Connection refused" in errors


@pytest.mark.parametrize("way", ["option", "variable"])
async def test_a_proxy_is_named_by_an_option_or_a_variable(
    emulator: PresenceEmulator, service: dict[str, str], way: str
) -> None:
    # The emulator understands what is sent to a proxy.
    proxy = f"http://someone:hidden@{emulator.origin}"
    service["PUBNUB_ORIGIN"] = "http://service.invalid"
    options = ["--proxy", proxy] if way == "option" else []
    if way == "variable":
        service["PUBNUB_PROXY"] = proxy

    assert await run("where-now", *options, **service) == (0, "", "")
    assert emulator.requests.total == 1


async def test_a_password_of_a_proxy_is_not_shown(service: dict[str, str]) -> None:
    service["PUBNUB_ORIGIN"] = "http://service.invalid"
    service["PUBNUB_PROXY"] = "http://someone:hidden@127.0.0.1:9"
    failed = await run("where-now", **service)
    service["PUBNUB_PROXY"] = "someone:hidden@127.0.0.1:9"
    refused = await run("where-now", **service)

    assert (failed[0], refused[0]) == (1, 2)
    assert "PUBNUB_PROXY: must be the URL of an HTTP proxy" in refused[2]
    assert "hidden" not in "".join((*failed[1:], *refused[1:]))


async def test_control_characters_of_strangers_do_not_reach_the_terminal(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("lobby", user_id="\x1b[31mred\x07")

    _, out, _ = await run("here-now", "lobby", **service)

    assert "\x1b" not in out
    assert "\\x1b[31mred\\x07" in out


async def test_a_terminal_without_the_characters_gets_them_spelt_out(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("日😀")
    service["PYTHONIOENCODING"] = "ascii"

    plain, as_json, table = await asyncio.gather(
        run("where-now", "bob", **service),
        run("where-now", "bob", "--json", **service),
        run("here-now", **service),
    )

    assert plain == (0, "\\u65e5\\U0001f600\n", "")
    assert json.loads(as_json[1])["channels"] == ["日😀"]
    assert "\\u65e5" in table[1]
    assert (table[0], table[2]) == (0, "")


async def test_the_demo_tells_its_story_in_time() -> None:
    async with asyncio.timeout(15):
        code, out, errors = await run("demo")

    assert (code, errors) == (0, "")
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "\x1b" not in out
    assert out.splitlines()[-7:] == [
        "   alice join, 1 there",
        "   bob join, 2 there",
        "   carol join, 3 there",
        "   alice state-change, 3 there",
        "   carol leave, 2 there",
        "   bob timeout, 1 there",
        "   alice leave, 0 there",
    ]


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "here-now",
        "where-now",
        "get-state",
        "set-state",
        "join",
        "watch",
        "emulate",
    ],
)
async def test_help_has_an_example(command: str) -> None:
    code, out, _ = await run(command, "--help")

    assert code == 0
    assert f"presence-async {command}" in " ".join(out.split()).split("Example:")[1]


async def test_help_does_not_wait_for_the_http_stack() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c"),
        "import presence_async, sys; sys.exit('aiohttp' in sys.modules)",
    )

    assert await process.wait() == 0
