"""Control from elsewhere: the token, the health of the emulator, and large bodies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from presence_async import InvalidArgumentError
from presence_async.emulator import PresenceEmulator
from presence_async.emulator.control import MAX_BODY_BYTES, Control, ControlRequest
from presence_async.emulator.options import Options
from presence_async.emulator.service import Service
from presence_async.protocol.exchange import HttpReply, HttpRequest

TOKEN = "c0ntr0l-t0ken"
SENT = {"authorization": f"Bearer {TOKEN}"}
JSON = {"content-type": "application/json"}
ELSEWHERE = {"host": "emulator:8080"}


@pytest.fixture
def presence_emulator_options() -> dict[str, Any]:
    return {"control_token": TOKEN}


def ask(
    target: str,
    headers: dict[str, str],
    *,
    method: str = "POST",
    peer: str = "10.1.2.3",
    token: str | None = TOKEN,
    body: bytes | None = b"",
) -> HttpReply:
    control = Control(
        Service(Options(), clock=lambda: 0.0), "demo", token=token, started_s=5
    )
    request = ControlRequest(
        method=method,
        http=HttpRequest(path=f"/_emulator/{target}"),
        headers=ELSEWHERE | JSON | headers,
        peer=peer,
        body=body,
    )
    assert TOKEN not in repr(request)
    return control.answer(request, now_s=12.5)


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("10.1.2.3", SENT, 200),
        ("10.1.2.3", {"authorization": f"bearer  {TOKEN}"}, 200),
        ("127.0.0.1", SENT | {"host": "localhost"}, 200),
        ("10.1.2.3", SENT | {"origin": "http://emulator:8080"}, 200),
        ("10.1.2.3", SENT | {"origin": "https://emulator:8080"}, 200),
        ("10.1.2.3", {}, 401),
        ("127.0.0.1", {"host": "localhost"}, 401),
        ("10.1.2.3", {"authorization": TOKEN}, 401),
        ("10.1.2.3", {"authorization": f"Basic {TOKEN}"}, 401),
        ("10.1.2.3", {"authorization": f"Bearer {TOKEN}x"}, 401),
        ("10.1.2.3", {"authorization": f"Bearer {TOKEN}, Bearer {TOKEN}"}, 401),
        ("10.1.2.3", {"authorization": "Bearer "}, 401),
        ("10.1.2.3", {"authorization": "Bearer \udcff\udc80"}, 401),
        ("10.1.2.3", SENT | {"origin": "http://evil.example"}, 403),
        ("10.1.2.3", SENT | {"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_with_a_token_everyone_needs_it_and_nothing_else(
    peer: str, headers: dict[str, str], status: int
) -> None:
    reply = ask("reset", headers, peer=peer)

    assert reply.status == status
    assert ("www-authenticate" in reply.headers) is (status == 401)
    assert TOKEN.encode() not in reply.body


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_health_is_for_everybody_but_other_pages(
    token: str | None, method: str
) -> None:
    def asked(headers: dict[str, str]) -> HttpReply:
        return ask("health", headers, method=method, token=token)

    reply = asked({"host": "10.0.0.9:8080"})

    assert reply.status == 200
    assert json.loads(reply.body) == {"status": "ok", "uptime_s": 7.5, "requests": 0}
    assert asked({"origin": "http://evil.example"}).status == 403
    assert asked({"sec-fetch-site": "cross-site"}).status == 403
    assert ask("health", SENT, method="POST", token=token).status == 404


def test_a_body_is_bounded_and_whole() -> None:
    large = b" " * (MAX_BODY_BYTES + 1)

    assert ask("reset", SENT, body=large[1:]).status == 200
    assert ask("reset", SENT, body=large).status == 413
    assert ask("reset", SENT, body=None).status == 400


async def test_it_holds_over_sockets_and_counts_from_the_start(
    wire: Any, emulator: PresenceEmulator
) -> None:
    await asyncio.sleep(3600)
    await wire.get("/time/0")

    def reset(headers: dict[str, str]) -> Any:
        return wire.ask("/_emulator/reset", method="POST", headers=JSON | headers)

    refused, challenge, _ = await reset({})
    _, _, health = await wire.ask(
        "/_emulator/health", headers={"Host": "emulator:8080"}
    )
    allowed, _, _ = await reset(SENT)

    assert (refused, allowed) == (401, 200)
    assert challenge["www-authenticate"].startswith("bearer")
    said = json.loads(health)
    assert (said["status"], said["requests"]) == ("ok", 1)
    assert said["uptime_s"] >= 3600
    assert TOKEN not in f"{emulator!r}{emulator.requests!r}{vars(emulator)}"


async def test_who_may_not_ask_is_refused_before_the_body(wire: Any) -> None:
    head = "POST /_emulator/reset HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    loop = asyncio.get_running_loop()
    started_s = loop.time()

    answer = await wire.exchange(head.encode())

    assert answer.startswith(b"HTTP/1.1 401")
    assert loop.time() - started_s < 5


async def test_a_slow_body_is_given_up(wire: Any) -> None:
    head = (
        "POST /_emulator/reset HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        f"Content-Type: application/json\r\nAuthorization: Bearer {TOKEN}\r\n\r\n{{"
    )

    answer = await wire.exchange(head.encode())

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"in time" in answer


@pytest.mark.parametrize("token", ["", "sp ace", "line\n", "tökén", 5, b"x"])
def test_a_token_is_text_that_fits_into_a_header(token: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        PresenceEmulator(control_token=token)

    assert str(caught.value) == (
        "control_token: must be visible ASCII characters without spaces"
    )


async def test_a_malformed_header_is_not_logged(
    wire: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    header = f"Authorization: Bearer {TOKEN}\x01"
    await wire.exchange(f"GET / HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n".encode())

    assert "malformed request" in caplog.text
    assert TOKEN not in caplog.text
