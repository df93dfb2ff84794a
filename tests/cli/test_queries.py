"""Commands that ask once and end, and the demo."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from presence_async import ChannelOccupancy, HereNow, PresenceClient
from presence_async.cli.here_now import print_here
from presence_async.emulator import Fault, PresenceEmulator

from .commands import ask, run

pytestmark = pytest.mark.real_time


async def test_here_now_prints_a_table_and_json(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join("lobby", state={"mood": "ok"})

    table = await run("here-now", "lobby", "--state", **service)
    as_json = await ask("here-now", "lobby", "--state", "--json", **service)

    assert table[0] == 0
    assert '│ lobby   │ 1         │ bob {"mood": "ok"} │' in table[1]
    assert as_json[0] == 0
    assert json.loads(as_json[1])["channels"]["lobby"]["occupants"] == [
        {"user_id": "bob", "state": {"mood": "ok"}, "state_error": None}
    ]


def test_users_count_once_and_presences_for_each_channel(
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = {"demo": ("amy", "bob", "kim"), "lobby": ("amy", "bob")}
    channels = {name: ChannelOccupancy.of(name, m) for name, m in members.items()}
    numbers = {"total_channels": 2, "total_occupancy": 5}

    print_here(HereNow(channels=channels, **numbers), with_state=False)
    title = capsys.readouterr().out.splitlines()[0]

    assert title.strip() == "5 presences on 2 channels, 3 users"


async def test_here_now_without_channels_is_global_and_counts(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join(["lobby", "news"])

    code, out, _ = await ask("here-now", "--counts", "--json", **service)

    assert code == 0
    assert json.loads(out)["channels"] == {"lobby": 1, "news": 1}


async def test_here_now_reads_everybody_page_by_page(
    emulator: PresenceEmulator, client: PresenceClient, service: dict[str, str]
) -> None:
    users = {f"user-{n}" for n in range(1001)}
    await asyncio.gather(*[client.heartbeat("big", user_id=user) for user in users])
    await client.join("lobby", state={"mood": "ok"})
    every = ("here-now", "big", "lobby", "none", "--all", "--state", "--json")

    code, out, errors = await ask(*every, **service)

    here = json.loads(out)
    assert (code, errors) == (0, "")
    assert set(here["channels"]["big"]["user_ids"]) == users
    assert here["channels"]["big"]["is_complete"]
    assert here["channels"]["lobby"]["occupants"][0]["state"] == {"mood": "ok"}
    assert here["channels"]["none"]["user_ids"] == []
    assert (here["total_channels"], here["total_occupancy"]) == (2, 1002)
    assert len(emulator.requests.of("here now")) == 4


async def test_where_now_prints_a_channel_on_each_line(
    client: PresenceClient, service: dict[str, str]
) -> None:
    await client.join(["news", "lobby"])

    assert await run("where-now", "bob", **service) == (0, "lobby\nnews\n", "")


async def test_states_are_set_and_read(service: dict[str, str]) -> None:
    written = await run("set-state", '{"a": [1]}', "lobby", "--of", "eve", **service)
    read = await run("get-state", "lobby", "--of", "eve", "--json", **service)

    pairs = await ask("set-state", "lobby", "mood=ok", "n=3", **service)

    assert written == (0, 'stored {"a": [1]}\n', "")
    assert pairs == (0, 'stored {"mood": "ok", "n": 3}\n', "")
    assert json.loads(read[1]) == {"user_id": "eve", "states": {"lobby": {"a": [1]}}}


async def test_a_refusal_ends_with_1_and_one_line(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    emulator.inject(Fault(status=403))

    code, out, errors = await ask("where-now", **service)

    assert (code, out) == (1, "")
    assert errors.count("\n") == 1
    assert errors.startswith("presence-async: where now failed after 1 attempt")


async def test_an_unreachable_service_ends_with_1_and_one_line(
    service: dict[str, str],
) -> None:
    code, _, errors = await ask(
        "where-now", "--origin", "http://127.0.0.1:9", **service
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

    assert await ask("where-now", *options, **service) == (0, "", "")
    assert emulator.requests.total == 1


async def test_a_password_of_a_proxy_is_not_shown(service: dict[str, str]) -> None:
    service["PUBNUB_ORIGIN"] = "http://service.invalid"
    service["PUBNUB_PROXY"] = "http://someone:hidden@127.0.0.1:9"
    failed = await ask("where-now", **service)
    service["PUBNUB_PROXY"] = "someone:hidden@127.0.0.1:9"
    refused = await ask("where-now", **service)

    assert (failed[0], refused[0]) == (1, 2)
    assert "PUBNUB_PROXY: must be the URL of an HTTP proxy" in refused[2]
    assert "hidden" not in "".join((*failed[1:], *refused[1:]))


async def test_the_demo_shows_each_event_and_ends_within_seconds() -> None:
    async with asyncio.timeout(15):
        code, out, errors = await run("demo")

    assert (code, errors) == (0, "")
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "\x1b" not in out
    # A heartbeat may carry the new state before the request that sets it arrives.
    assert [line for line, _ in itertools.groupby(out.splitlines())][-7:] == [
        "   alice join, 1 there",
        "   bob join, 2 there",
        "   carol join, 3 there",
        "   alice state-change, 3 there",
        "   carol leave, 2 there",
        "   bob timeout, 1 there",
        "   alice leave, 0 there",
    ]
