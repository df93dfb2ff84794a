"""``emulate``: a service in a process of its own."""

from __future__ import annotations

import asyncio
import inspect
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
import typer

from presence_async import PresenceClient, PresenceConfig, ServiceError
from presence_async.cli.emulate import emulate
from presence_async.emulator import EmulatorProfile, PresenceEmulator

from .commands import ask, errors_of, read_line, start

pytestmark = pytest.mark.real_time


async def test_emulate_prints_its_url_first_and_stops_on_ctrl_c() -> None:
    process = await start("emulate", "--verbose")
    url = (await read_line(process)).strip()
    console = await read_line(process)

    asked = await ask(
        *("where-now", "--origin", url, "--subscribe-key", "any", "--user-id", "bob"),
        PUBNUB_AUTH="top-secret-token",
    )
    process.send_signal(signal.SIGINT)
    _, errors = await process.communicate()

    assert url.startswith("http://127.0.0.1:")
    assert console == f"console: {url}/\n"
    assert asked == (0, "", "")
    assert process.returncode == 0
    assert "200 /v2/presence/sub-key/any/uuid/bob" in errors.decode()
    assert "top-secret-token" not in errors.decode()


async def test_emulate_stops_at_once_with_open_requests_and_polls() -> None:
    process = await start("emulate", "--fault", "here-now:delay_s=inf")
    url = (await read_line(process)).strip()
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


async def test_emulate_takes_a_control_token_from_the_environment() -> None:
    process = await start(
        "emulate", "--verbose", PRESENCE_EMULATOR_CONTROL_TOKEN="c0ntr0l"
    )
    url = (await read_line(process)).strip()
    headers = {"Content-Type": "application/json"}

    async def asked(method: str, name: str, token: str = "") -> int:
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        async with session.request(
            method, f"{url}/_emulator/{name}", headers=headers | sent
        ) as reply:
            return reply.status

    async with aiohttp.ClientSession() as session:
        statuses = [
            await asked("POST", "reset"),
            await asked("POST", "reset", "c0ntr0l"),
            await asked("GET", "health"),
        ]
    process.send_signal(signal.SIGINT)
    errors = await errors_of(process)

    assert statuses == [401, 200, 200]
    assert b"/_emulator/reset" in errors
    assert b"c0ntr0l" not in errors


async def test_emulate_warns_when_other_machines_can_reach_it() -> None:
    process = await start("emulate", "--host", "0.0.0.0", "--json")  # noqa: S104  # the point
    told = json.loads(await read_line(process))

    process.send_signal(signal.SIGINT)
    errors = await errors_of(process)

    port = told["url"].removeprefix("http://0.0.0.0:")
    assert told["console"] == f"http://127.0.0.1:{port}/"
    assert b"other machines can reach" in errors
    assert errors.count(b"\n") == 1


def test_every_option_of_the_emulator_is_a_flag() -> None:
    signature = inspect.signature(PresenceEmulator).parameters
    parameters = inspect.signature(emulate).parameters
    fields = {field.name for field in attrs.fields(EmulatorProfile)}
    options = {*signature, *fields} - {"options"}
    flags = set(parameters)

    # The clock is the machine's, the key comes from the environment, and the flag for
    # one valid key is named in the singular.
    assert options - flags == {"clock", "secret_key", "subscribe_keys"}
    assert flags - options == {
        *("fault", "event_fault", "verify_signatures", "valid_key"),
        *("verbose", "as_json"),
    }
    for name in flags & set(signature):
        assert parameters[name].default == signature[name].default, name
    # Not given, they come from ``--profile``.
    assert {parameters[name].default for name in fields} == {None}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"access": Path(__file__)}, "is not JSON"),
        ({"profile": Path(__file__)}, "is not JSON"),
        ({"announce_max": -1}, "announce_max: must be a whole number"),
        ({"verify_signatures": True}, "set PUBNUB_SECRET_KEY"),
        ({"event_fault": ["[]"]}, "must be a JSON object"),
        ({"fault": ["{"]}, "is not a JSON object"),
        ({"journal_size": -1}, "journal_size"),
        ({"control_token": "two words"}, "visible ASCII"),
        ({"event_fault": ["[" * 100_000]}, "must be a JSON object"),
    ],
    ids=[
        *("access", "profile", "number", "secret", "event fault", "fault", "size"),
        *("token", "deep"),
    ],
)
def test_emulate_rejects_invalid_options(
    options: dict[str, Any],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as caught:
        emulate(**options)

    assert caught.value.exit_code == 2
    assert words in capsys.readouterr().err


async def test_emulate_applies_its_options(tmp_path: Path) -> None:
    access = tmp_path / "access.json"
    access.write_text('{"t": {"channels": ["lobby"]}}')
    profile = tmp_path / "profile.json"
    EmulatorProfile(announce_max=3, debounce_s=2, global_here_now=False).save(profile)
    process = await start(
        *("emulate", "--access", str(access), "--verify-signatures", "--json"),
        *("--fault", "leave:503", "--fault", '{"operation": "time", "status": 500}'),
        *("--valid-key", "mine", "--publish-key", "pub", "--no-leave-needs-read"),
        *("--profile", str(profile), "--debounce-s", "1", "--leave-on-disconnect"),
        *("--tracked-channel", "lobby", "--tracked-channel", "a.*"),
        PUBNUB_SECRET_KEY="sec",
    )
    url = json.loads(await read_line(process))["url"]

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
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/_emulator/profile") as reply,
    ):
        fields = await reply.json()
    process.send_signal(signal.SIGINT)

    assert await errors_of(process) == b""
    assert list(answers) == [
        "OK",
        "Forbidden",
        "Signature Does Not Match",
        "Invalid Subscribe Key",
    ]
    # Flags win over the file; ``--access`` turns Access Manager on.
    assert EmulatorProfile.from_dict(fields) == EmulatorProfile(
        announce_max=3,
        debounce_s=1,
        global_here_now=False,
        leave_on_disconnect=True,
        leave_needs_read=False,
        tracked_channels=["lobby", "a.*"],
        access_manager=True,
    )
