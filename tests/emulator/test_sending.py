"""Publish by GET and POST, and signals: what subscribers receive, and refusals."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import hmac
import json
from typing import Any

import pytest

from presence_async.emulator import PresenceEmulator
from presence_async.emulator.options import Options
from presence_async.emulator.request_guard import RequestGuard
from presence_async.protocol.exchange import HttpReply, HttpRequest
from presence_async.protocol.signature import signature_v2

POST = "/publish/demo/demo/0/a/0?uuid=bob"
SIGNAL = "/signal/demo/demo/0/a/0"


async def test_a_publish_by_post_and_a_signal_reach_subscribers(
    sdk: Any, wire: Any, emulator: PresenceEmulator
) -> None:
    cursor, _ = await sdk.subscribe("a")

    by_post = await wire.ask(POST, method="POST", body=b'{"x": "\xc3\xbc"}')
    zipped = await wire.ask(
        POST,
        method="POST",
        body=gzip.compress(b"2"),
        headers={"Content-Encoding": "gzip"},
    )
    await sdk.get(f"{SIGNAL}/%22s%22?uuid=bob&custom_message_type=typing")
    await sdk.get("/publish/demo/demo/0/a/0/3?uuid=bob&norep=true")
    _, messages = await sdk.subscribe("a", tt=cursor)

    assert (by_post[0], zipped[0]) == (200, 200)
    assert json.loads(by_post[2])[:2] == [1, "Sent"]
    found = [(m["d"], m["i"], m.get("e"), m.get("cmt")) for m in messages]
    assert found == [
        ({"x": "ü"}, "bob", None, None),
        (2, "bob", None, None),
        ("s", "bob", 1, "typing"),
    ]
    assert [(e.method, e.status) for e in emulator.requests.of("publish")] == [
        ("POST", 200),
        ("POST", 200),
        ("GET", 200),
    ]
    assert [e.status for e in emulator.requests.of("signal")] == [200]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "said"),
    [
        ("POST", POST, b"{", 400, [0, "Invalid JSON"]),
        ("POST", POST, b"", 400, [0, "Invalid JSON"]),
        ("POST", POST, b"\xff", 400, [0, "Invalid JSON"]),
        ("POST", POST, b'"' + b"x" * 32766 + b'"', 200, [1, "Sent"]),
        ("POST", POST, b'"' + b"x" * 32767 + b'"', 413, [0, "Message Too Large"]),
        ("POST", POST, b"x" * 200_000, 413, [0, "Message Too Large"]),
        ("GET", f"{SIGNAL}/x?uuid=bob", b"", 400, [0, "Invalid JSON"]),
        (
            "GET",
            f"{SIGNAL}/%22{'0' * 64}%22?uuid=bob",
            b"",
            400,
            [0, "Signal size too large"],
        ),
    ],
    ids=["cut", "empty", "bytes", "32 KiB", "more", "much more", "signal", "large"],
)
async def test_a_refusal_is_a_list_as_recorded(
    wire: Any, method: str, target: str, body: bytes, status: int, said: list[Any]
) -> None:
    found, _, answer = await wire.ask(target, method=method, body=body)

    assert (found, json.loads(answer)[:2]) == (status, said)
    assert int(json.loads(answer)[2]) > 10**16


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("GET", POST, "POST, OPTIONS"),
        ("POST", "/publish/demo/demo/0/a/0/5?uuid=bob", "GET, OPTIONS"),
        ("POST", f"{SIGNAL}/5?uuid=bob", "GET, OPTIONS"),
    ],
)
async def test_another_method_is_refused_by_name(
    wire: Any, method: str, target: str, allowed: str
) -> None:
    status, headers, _ = await wire.ask(target, method=method, body=b"5")

    assert (status, headers["allow"]) == (405, allowed.lower())


async def test_a_body_that_never_comes_is_given_up(wire: Any) -> None:
    head = f"POST {POST} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1"

    answer = await wire.exchange(head.encode())

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"Invalid JSON" in answer


async def test_no_more_of_a_body_is_read_than_may_be(wire: Any) -> None:
    head = f"POST {POST} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"

    answer = await wire.exchange(head.encode() + b"1" * 40_000)

    assert answer.startswith(b"HTTP/1.1 413")


async def test_closing_does_not_wait_for_a_body(wire: Any) -> None:
    head = f"POST {POST} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1"
    async with PresenceEmulator() as emulator:
        asking = asyncio.create_task(wire.to(emulator).exchange(head.encode()))
        await asyncio.sleep(1)
        closed_from_s = asyncio.get_running_loop().time()
    took_s = asyncio.get_running_loop().time() - closed_from_s

    assert await asking == b""
    assert took_s < 5


def as_documented(path: str, params: Any) -> str:
    return signature_v2(
        path=path,
        params=params,
        publish_key="demo",
        secret_key="sec",
        method="POST",
        body="5",
    )


def as_javascript(path: str, params: Any) -> str:
    return signature_v2(path=path, params=params, publish_key="demo", secret_key="sec")


def as_python(path: str, params: Any) -> str:
    query = "&".join(f"{name}={value}" for name, value in params)
    text = f"demo\ndemo\n{path}\n{query}"
    digest = hmac.new(b"sec", text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()


def as_a_get_would(path: str, params: Any) -> str:
    return as_python(path, params).rstrip("=")


@pytest.mark.parametrize(
    ("signed", "status"),
    [
        (as_documented, None),
        (as_javascript, None),
        (as_python, None),
        (as_a_get_would, 403),
    ],
)
def test_a_publish_by_post_may_be_signed_in_three_ways(
    signed: Any, status: int | None
) -> None:
    guard = RequestGuard(
        Options(publish_key="demo", secret_key="sec"), clock=lambda: 1_700_000_000
    )
    path = POST.partition("?")[0]
    params = [("timestamp", "1700000000"), ("uuid", "bob")]
    query = f"timestamp=1700000000&uuid=bob&signature={signed(path, params)}"
    request = HttpRequest(path=path, query=query, body=b"5")

    operation, refusal = guard.check(request, method="POST", now_s=0)

    assert operation is not None
    assert (None if refusal is None else refusal.status) == status


def test_an_unknown_key_is_refused_as_recorded() -> None:
    guard = RequestGuard(Options(subscribe_keys=["mine"]), clock=lambda: 1.0)
    path, _, query = POST.partition("?")
    request = HttpRequest(path=path, query=query, body=b"5")

    _, refusal = guard.check(request, method="POST", now_s=0)

    assert isinstance(refusal, HttpReply)
    assert (refusal.status, refusal.body) == (400, b'[0,"Invalid Key","10000000"]')
