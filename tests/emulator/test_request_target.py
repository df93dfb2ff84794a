"""Every form of request target that a client may send, RFC 9112, section 3.2."""

from __future__ import annotations

import json
from typing import Any

import pytest

from presence_async.emulator import PresenceEmulator
from presence_async.emulator.request_target import RequestTarget

KEY = "/v2/presence/sub-key/demo"
HERE_NOW = f"{KEY}/channel/a%2Fb,c?uuid=bob&state=1"
ORIGINS = [
    "http://127.0.0.1:8080",
    "http://ps.pndsn.com",
    "HTTP://LocalHost:80",
    "https://ps.pndsn.com:443",
    "http://[::1]:8080",
    "http://127.0.0.1:",
]


@pytest.mark.parametrize(
    ("text", "path", "query", "host"),
    [
        ("/a/b?x=1", "/a/b", "x=1", None),
        ("/a?x=?&y=http://h/b", "/a", "x=?&y=http://h/b", None),
        ("http://h:80/a?x=1", "/a", "x=1", "h"),
        ("HtTpS://H/a", "/a", "", "H"),
        ("http://h:/a", "/a", "", "h"),
        ("http://[::1]:80/a", "/a", "", "::1"),
        ("http://h", "/", "", "h"),
        ("http://h:80?x=1", "/", "x=1", "h"),
        ("http://h//a//b", "//a//b", "", "h"),
        ("//h/a?x=1", "//h/a", "x=1", None),
        ("/a//b", "/a//b", "", None),
        ("/a#b?c", "/a", "", None),
        ("/a?x=1#b", "/a", "x=1", None),
        ("http://h/a#b", "/a", "", "h"),
        ("http://h#b", "/", "", "h"),
        ("/a%2Fb%23c%3Fd", "/a%2Fb%23c%3Fd", "", None),
        ("*", "*", "", None),
        ("h:443", "h:443", "", None),
        ("http://user:word@h/a?x=1", "http://user:word@h/a", "x=1", None),
        (
            "http://localhost@evil.example/a",
            "http://localhost@evil.example/a",
            "",
            None,
        ),
        ("http:///a", "http:///a", "", None),
        ("http://h:port/a", "http://h:port/a", "", None),
        ("http://[::1/a", "http://[::1/a", "", None),
        ("ftp://h/a", "ftp://h/a", "", None),
        ("a/b", "a/b", "", None),
        ("", "", "", None),
    ],
)
def test_a_target_is_split(text: str, path: str, query: str, host: str | None) -> None:
    expected = RequestTarget(path=path, query=query, host=host)

    assert RequestTarget.parse(text) == expected


@pytest.mark.parametrize("origin", ORIGINS)
async def test_the_absolute_form_is_answered_as_the_origin_form(
    wire: Any, emulator: PresenceEmulator, origin: str
) -> None:
    for target in (
        f"{KEY}/channel/a%2Fb,c/heartbeat?uuid=bob",
        HERE_NOW,
        KEY,
        f"{KEY}/uuid/bob",
        f"{KEY}/channel//uuid/bob?channel-group=",
        "/v1/channel-registration/sub-key/demo/channel-group",
        "/nowhere?x=1",
    ):
        assert await wire.get(origin + target) == await wire.get(target)

    absolute, plain = emulator.requests[0], emulator.requests[1]
    assert (absolute.path, absolute.query) == (plain.path, plain.query)
    assert set(emulator.occupants("a/b")) == {"bob"}


async def test_a_signature_holds_in_the_absolute_form(wire: Any) -> None:
    # Worked example of the documentation's recipe, signed without scheme and host.
    target = (
        "/v2/presence/sub-key/demo-sub/channel/lobby/leave?pnsdk=PubNub-Demo%2F1.0.0"
        "&timestamp=1700000000&uuid=user%201"
        "&signature=v2.yhLhXMXE1u8Ty6QbdUosBdIUZ318h6he-oxAldRtpyg"
    )
    async with PresenceEmulator(
        publish_key="demo-pub", secret_key="demo-secret", clock=lambda: 1_700_000_000
    ) as emulator:
        status, _ = await wire.to(emulator).get(f"http://h:80{target}")

    assert status == 200


@pytest.mark.parametrize("origin", ["", *ORIGINS])
async def test_the_control_path_is_protected_in_every_form(
    wire: Any, origin: str
) -> None:
    target = f"{origin}/_emulator/requests"
    is_local = "pndsn" not in origin

    status, _ = await wire.get(target)
    named, _, _ = await wire.ask(target, headers={"Host": "evil.example"})
    of_page, _, _ = await wire.ask(target, headers={"Origin": "http://localhost"})

    assert status == (200 if is_local else 403)
    assert (named, of_page) == (403, 403)


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/_emulator/reset",
        "http://localhost@evil.example/_emulator/reset",
        "//localhost/_emulator/reset",
        "http://localhost//_emulator/reset",
        "//_emulator/reset",
    ],
)
async def test_no_odd_target_reaches_the_control_path(
    wire: Any, emulator: PresenceEmulator, target: str
) -> None:
    await wire.get(f"{KEY}/channel/a/heartbeat?uuid=bob")

    status, _, _ = await wire.ask(
        target, method="POST", headers={"Content-Type": "application/json"}
    )

    assert status in {403, 404, 405}
    assert set(emulator.occupants("a")) == {"bob"}


async def test_every_host_header_is_checked(wire: Any) -> None:
    answer = await wire.exchange(
        b"GET /_emulator/requests HTTP/1.1\r\nHost: evil.example\r\n"
        b"Host: localhost\r\nConnection: close\r\n\r\n"
    )

    assert answer.split()[1] in {b"400", b"403"}


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("OPTIONS", "*", 200),
        ("OPTIONS", "http://127.0.0.1:8080", 200),
        ("OPTIONS", f"http://h{HERE_NOW}", 200),
        ("CONNECT", "127.0.0.1:8080", 405),
        ("HEAD", f"http://h{HERE_NOW}", 405),
        ("GET", "http://127.0.0.1:8080", 200),
        ("GET", "http://h", 403),  # the console, which is not for others
        ("GET", "http://h:80?uuid=bob", 403),
        ("GET", f"/{HERE_NOW}", 404),
        ("GET", f"http://h/{HERE_NOW}", 404),
        ("GET", f"//h{HERE_NOW}", 404),
        ("GET", f"{HERE_NOW}#fragment", 200),
        ("GET", "*", 400),
        ("GET", f"http://user:word@h{HERE_NOW}", 400),
        ("GET", f"ftp://h{HERE_NOW}", 400),
        ("GET", f"http://h:port{HERE_NOW}", 400),
        ("GET", HERE_NOW.removeprefix("/"), 400),
    ],
)
async def test_other_forms_are_answered_as_their_method_allows(
    wire: Any, method: str, target: str, status: int
) -> None:
    found, headers, _ = await wire.ask(target, method=method)

    assert found == status
    assert ("allow" in headers) is (status == 405)


async def test_a_refused_target_says_what_is_expected(wire: Any) -> None:
    _, _, body = await wire.ask("http://user:word@h/time/0")

    assert "without user information" in json.loads(body)["message"]
