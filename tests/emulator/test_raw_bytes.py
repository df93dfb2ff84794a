"""Any bytes get a 4xx or a closed connection: never a 5xx, never a traceback.

``PRESENCE_ASYNC_NOISE=20000:7`` runs that many requests from that seed on.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from presence_async.emulator import Grant, PresenceEmulator

KEY = "/v2/presence/sub-key/demo"
REGISTRY = "/v1/channel-registration/sub-key/demo/channel-group"
TARGETS = [
    KEY,
    f"{KEY}/channel/a,b?state=1&limit=1000&offset=0&uuid=bob",
    f"{KEY}/channel/,?channel-group=g&disable_uuids=1&uuid=bob",
    f"{KEY}/uuid/bob?uuid=bob",
    f"{KEY}/channel/a/uuid/bob?channel-group=g&uuid=bob",
    f"{KEY}/channel/a/uuid/bob/data?state=%7B%22a%22%3A1%7D&uuid=bob",
    f"{KEY}/channel/a/heartbeat?heartbeat=300&uuid=bob&state=%7B%22a%22%3A%7B%7D%7D",
    f"{KEY}/channel/a/leave?channel-group=g&uuid=bob",
    "/v2/subscribe/demo/a,a-pnpres/0?tt=0&tr=1&uuid=bob&heartbeat=20",
    f"{REGISTRY}",
    f"{REGISTRY}/g?add=a,b&uuid=bob",
    f"{REGISTRY}/g?remove=a",
    f"{REGISTRY}/g/remove",
    "/publish/demo/demo/0/a/0/%22hi%22?uuid=bob",
    "/publish/demo/demo/0/a/0?uuid=bob",
    "/signal/demo/demo/0/a/0/%22hi%22?uuid=bob&custom_message_type=x",
    "/subscribe/demo/a,a-pnpres/0/0?uuid=bob&heartbeat=20&channel-group=g",
    "/time/0",
    "/_emulator/faults",
    "/",
    "/_emulator/health",
    "/_emulator/console?channel=a&since=1.2",
    "/_emulator/requests?limit=1",
    "/_emulator/occupants?channel=a",
]
METHODS = [*["GET"] * 12, "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]
METHODS += ["CONNECT", "PATCH", "get", "G\x00T", "PRI", "X" * 300]
VALUES = ["", "-1", "0", "1e309", "nan", "99999999999999999999", "0x10", "1_0", "١٢"]
VALUES += [
    "%zz",
    "%",
    "%e",
    "%ff",
    "%C3",
    "%00",
    "%0d%0a",
    "+",
    "%2B",
    ",",
    "%2C",
    "..",
]
VALUES += ["%2e%2e", "%ED%A0%80", "\xff", "日", "a" * 3000, "{", "[]", "null", "%7B%7D"]
VALUES += ['{"a":{"\\ud800":1}}', '{"a":"\\ud800"}', '{"a":{"x":1,"x":2}}', '{"a":1}']
VALUES += ['{"a":{"x":1e999}}', '{"a":{"x":NaN}}', '{"":{}}', '{"a":{"b":' * 50]
VALUES += ["[" * 30_000, '{"a":' * 5_000 + "1" + "}" * 5_000, "-pnpres", "*", "a.*"]
NAMES = ["uuid", "heartbeat", "limit", "offset", "state", "channel-group", "add", "tt"]
NAMES += ["tr", "remove", "disable_uuids", "auth", "timestamp", "signature", "%zz", ""]
NAMES += ["filter-expr", "callback", "ee", "subscribe_key", "channel", "t", "since"]
HEADERS = ["Content-Length: -1", "Content-Length: x", "Content-Length: 5"]
HEADERS += ["Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "\x00: a"]
HEADERS += ["Expect: 100-continue", "Expect: x", "Upgrade: websocket", "Connection: "]
HEADERS += [
    "Content-Encoding: gzip",
    "Content-Encoding: br",
    "Host: ",
    "no colon",
    ": x",
]
HEADERS += ["X: " + "y" * 9_000, "X: \xff", "Cookie: " + "a=b; " * 9, "X: a\r\n folded"]
HEADERS += ["Content-Type: application/json", "Range: bytes=0-1", "Origin: null"]
BODIES = [
    "",
    "{",
    "0\r\n\r\n",
    "zz\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "FFFFFFFFFFFFFFFF\r\n",
]
BODIES += ["-1\r\n", "\x1f\x8b\x08\x00", "GET / HTTP/1.1\r\n\r\n", '{"status": 500}']


def mutated_target(rng: random.Random) -> str:
    """Return a target of some operation with strange values, names or bytes."""
    path, _, query = rng.choice(TARGETS).partition("?")
    for _ in range(rng.choice([0, 0, 1, 2])):
        segments = path.split("/")
        segments[rng.randrange(1, len(segments))] = rng.choice(VALUES)
        path = "/".join(segments)
    for _ in range(rng.randrange(4)):
        query += f"&{rng.choice(NAMES)}={rng.choice(VALUES)}"
    return f"{path}?{query}" if query else path


def asked(rng: random.Random) -> bytes:
    """Return sound HTTP around a strange target."""
    target = mutated_target(rng).encode("ascii", "replace").decode()
    start = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return start.encode()


def request(rng: random.Random) -> bytes:
    """Return a request that is nearly, or not at all, one."""
    version = rng.choice(["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/9.9", "HTTP/", ""])
    lines = [
        f"{rng.choice(METHODS)} {mutated_target(rng)} {version}",
        "Host: localhost",
    ]
    lines += rng.sample(HEADERS, rng.choice([0, 0, 0, 1, 2]))
    ending = rng.choice(["\r\n"] * 9 + ["\n"])
    # aiohttp refuses all that arrived together if a part of it is wrong.
    body = rng.choice(["", "", "", *BODIES])
    return ending.join([*lines, "", body]).encode("utf-8", "surrogatepass")


def spoilt(rng: random.Random) -> bytes:
    """Return a request with bytes changed, lost or doubled."""
    data = bytearray(request(rng))
    for _ in range(rng.randrange(1, 9)):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.choice([0, 1, 9])] = rng.randbytes(rng.choice([0, 1, 5]))
    return bytes(data)


def pipelined(rng: random.Random) -> bytes:
    """Return several requests at once."""
    return b"".join(
        rng.choice([asked, request])(rng).replace(b"Connection: close\r\n", b"")
        for _ in range(rng.randrange(2, 6))
    )


def garbage(rng: random.Random) -> bytes:
    """Return anything."""
    return rng.randbytes(rng.choice([0, 1, 9, 300, 5_000]))


def oversized(rng: random.Random) -> bytes:
    """Return too much of something."""
    size = rng.choice([9_000, 33_000, 70_000, 1_100_000])
    kind = rng.randrange(4)
    target = f"{KEY}/channel/{'x' * size}" if kind == 0 else KEY
    header = "X: " + "y" * size if kind == 1 else "X: y"
    many = "X: y\r\n" * (size // 9) if kind == 2 else ""
    start = f"GET {target} HTTP/1.1\r\nHost: x\r\n{header}\r\n{many}\r\n"
    return start.encode() + (b"\x00" * size if kind == 3 else b"")


KINDS: list[Callable[[random.Random], bytes]] = [asked] * 6
KINDS += [request, request, request, spoilt, pipelined, garbage]


def statuses(answer: bytes) -> list[int]:
    first_lines = re.findall(rb"^HTTP/1\.[01] (\d{3})", answer, re.MULTILINE)
    return [int(code) for code in first_lines]


async def hammer(
    wire: Any, requests: int, seed: int, kinds: list[Callable[[random.Random], bytes]]
) -> set[int]:
    """Send noise; returns the statuses seen."""
    seen: set[int] = set()
    for number in range(seed, seed + requests):
        rng = random.Random(number)  # noqa: S311  # repeatable noise
        noise = rng.choice(kinds)(rng)
        found = statuses(await wire.exchange(noise, ends=rng.random() < 0.1))
        assert all(status < 500 for status in found), (number, noise)
        seen.update(found)
    return seen


@pytest.mark.parametrize("options", ["plain", "strict"])
async def test_any_bytes_get_a_4xx_or_a_closed_connection(
    wire: Any, caplog: pytest.LogCaptureFixture, options: str
) -> None:
    count, seed = os.environ.get("PRESENCE_ASYNC_NOISE", "500:0").split(":")
    settings: dict[str, Any] = {}
    if options == "strict":
        grants = Grant(channels="*", channel_groups="*", manage=True)
        settings = {"secret_key": "s", "access": {"": grants}, "heartbeat_cache_s": 3}

    async with PresenceEmulator(**settings) as emulator:
        caplog.set_level("INFO", "presence_async.emulator")
        seen = await hammer(wire.to(emulator), int(count), int(seed), KINDS)
        alive, _ = await wire.to(emulator).get("/time/0")

    assert alive == 200
    assert seen >= {400, 404, 405}
    assert [r for r in caplog.records if r.levelno >= 40] == []


async def test_too_much_of_anything_is_refused(
    wire: Any, caplog: pytest.LogCaptureFixture
) -> None:
    seen = await hammer(wire, 24, 0, [oversized])

    assert {400, 414} <= seen <= {200, 400, 414}
    assert [r for r in caplog.records if r.levelno >= 40] == []


@pytest.mark.parametrize(
    "line",
    [
        b"CONNECT a:b/c HTTP/1.1",
        b"CONNECT /v1/\xe6\x97\xa5 HTTP/1.1",
        b"CONNECT [::1 HTTP/1.1",
        b"GET //[x:y HTTP/1.1",
        b"GET http://x:port/ HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=ascii,
)
async def test_a_strange_first_line_is_answered(
    wire: Any, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    answer = await wire.exchange(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert all(400 <= status < 500 for status in statuses(answer))
    assert statuses(answer)
    assert [r for r in caplog.records if r.levelno >= 40] == []
