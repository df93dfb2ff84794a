"""Errors of newcomers: each ends in one line that says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from presence_async.cli.remedies import problem_of
from presence_async.emulator import Fault, PresenceEmulator
from presence_async.errors import (
    AccessDeniedError,
    ConnectError,
    ConnectionLostError,
    DeadlineError,
    RejectedRequestError,
    RequestError,
)

from .commands import ask

SAMPLES = Path(__file__).parent.parent / "samples"


def denied(message: str = "Forbidden", channels: tuple[str, ...] = ()) -> RequestError:
    error = AccessDeniedError("answered 403", status=403, message=message)
    error.channels = channels
    return error


def rejected(status: int, message: str = "") -> RequestError:
    problem = f"answered {status} {message!r}"
    return RejectedRequestError(problem, status=status, message=message)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (rejected(400, "Invalid Subscribe Key"), "Check --subscribe-key or PUBNUB_"),
        (rejected(400, "Invalid Timestamp"), "set PUBNUB_SECRET_KEY, and this machine"),
        (rejected(402, "This feature is not turned on"), "Turn on Presence for this"),
        (rejected(404), "check --origin or PUBNUB_ORIGIN."),
        (rejected(414), "The same request will be refused again."),
        (denied("Signature Does Not Match"), "Check PUBNUB_SECRET_KEY and PUBNUB_PUB"),
        (denied("Token is expired"), "Get a new token and put it into PUBNUB_AUTH."),
        (denied("Token is revoked"), "Get a new token and put it into PUBNUB_AUTH."),
        (denied(channels=("lobby",)), "that allows access to lobby into PUBNUB_AUTH."),
        (
            ConnectError("no", cause="ClientConnectorSSLError: WRONG_VERSION_NUMBER"),
            "The port does not speak TLS: write http://HOST:PORT.",
        ),
        (ConnectError("no route"), "a firewall wants a proxy (--proxy), and --origin"),
        (DeadlineError("no answer"), "or allow more time with --timeout."),
        (ConnectionLostError("cut"), "Try again; the service may or may not"),
        (OSError(98, "in use"), "choose another --port, or 0"),
        (OSError(2, "No such file", "a.json"), "a.json: No such file"),
        (ImportError("no valkey"), "no valkey"),
        (None, ""),
    ],
    ids=[
        *("wrong key", "unsigned", "Presence off", "origin", "too long", "signature"),
        *(
            "expired",
            "revoked",
            "no token",
            "no TLS",
            "blocked",
            "slow",
            "cut",
            "port",
        ),
        *("file", "extra", "none"),
    ],
)
def test_an_error_ends_with_a_remedy(error: BaseException | None, remedy: str) -> None:
    line = problem_of(error)

    assert remedy in line
    assert "\n" not in line
    assert "timeout_s" not in line


def test_who_has_a_token_needs_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBNUB_AUTH", "planted-secret")
    line = problem_of(denied(channels=("lobby", "news")))

    assert line.endswith(
        "The token in PUBNUB_AUTH does not allow access to lobby, news: get one that"
        " does."
    )
    assert "planted-secret" not in line


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (
            "t",
            "The token in PUBNUB_AUTH does not allow the events of lobby: it needs the"
            " right to read lobby-pnpres.",
        ),
        (
            None,
            "Put a token that allows the events of lobby into PUBNUB_AUTH, with the"
            " right to read lobby-pnpres.",
        ),
    ],
)
def test_events_need_a_right_of_their_own(
    monkeypatch: pytest.MonkeyPatch, token: str | None, words: str
) -> None:
    if token is not None:
        monkeypatch.setenv("PUBNUB_AUTH", token)
    refused = denied(channels=("lobby",))
    refused.operation = "subscribe"

    assert problem_of(refused).endswith(f": answered 403. {words}")


@pytest.mark.real_time
async def test_a_here_now_of_all_channels_may_be_off(
    emulator: PresenceEmulator, service: dict[str, str]
) -> None:
    emulator.inject(Fault(status=402, body=b'{"status": 402, "error": 1}'))

    _, _, of_all = await ask("here-now", **service)
    _, _, of_one = await ask("here-now", "lobby", **service)

    assert "Name a channel: a here now of all channels needs Global Here Now" in of_all
    assert "Turn on Presence" in of_one


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("error_402_in_200", "Turn on Presence for this key set"),
        ("error_403_revoked", "Get a new token and put it into PUBNUB_AUTH"),
        ("error_400_subscribe_key", "Check --subscribe-key or PUBNUB_SUBSCRIBE_KEY"),
    ],
)
async def test_recorded_refusals_end_a_command_with_one_line(
    emulator: PresenceEmulator, service: dict[str, str], sample: str, words: str
) -> None:
    reply = json.loads((SAMPLES / f"{sample}.json").read_text())["reply"]
    emulator.inject(Fault(status=reply["status"], body=reply["body"].encode()))

    for command in ("here-now", "join", "watch"):
        code, out, errors = await ask(command, "lobby", **service)

        assert (code, out) == (1, "")
        assert errors.count("\n") == 1
        assert words in errors


@pytest.mark.real_time
async def test_an_empty_channel_is_no_error_and_no_hint_for_programs(
    service: dict[str, str],
) -> None:
    code, out, errors = await ask("here-now", "lobby", **service)

    assert (code, errors) == (0, "")
    assert "nobody is present" in out
