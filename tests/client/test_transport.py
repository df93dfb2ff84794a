"""One request on the wire, against raw sockets and canned replies."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses

from presence_async import (
    ConnectError,
    ConnectionLostError,
    NoRetry,
    PresenceClient,
    PresenceConfig,
    ReplyFormatError,
    RequestError,
    UnavailableError,
)
from presence_async.client.direct import DirectGet
from presence_async.client.transport import Transport
from presence_async.protocol.exchange import HttpRequest
from presence_async.testing.virtual_loop import VirtualLoop

OK = b'{"status":200,"payload":{"channels":["lobby"]}}'
Serve = Callable[..., Awaitable["RawServer"]]


def http(body: bytes, *headers: str, status: int = 200) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class RawServer:
    """Answers each request with the next bytes it was given, then cuts."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.heads: list[list[str]] = []
        self.connections = 0

    async def start(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        self._server.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        try:
            while line := await reader.readline():
                self.requests.append(line.decode().split()[1])
                self.heads.append([])
                while (header := await reader.readline()) != b"\r\n":
                    self.heads[-1].append(header.decode().strip())
                answer = self.answers.pop(0) if self.answers else None
                if answer is None:
                    break
                writer.write(answer)
                if b"Connection: close" in answer:
                    break
        finally:
            writer.close()


@pytest.fixture(params=["direct", "session"])
async def serve(
    presence_leak_check: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Serve]:
    """Start raw servers; each test runs over both ways to send."""
    if request.param == "session":
        monkeypatch.setattr(DirectGet, "is_possible", lambda: False)
    servers = []

    async def start(*answers: bytes | None) -> RawServer:
        server = await RawServer(list(answers)).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()
    await asyncio.sleep(0.01)


def config_of(server: RawServer, **settings: Any) -> PresenceConfig:
    settings = {"subscribe_key": "demo", "user_id": "bob"} | settings
    return PresenceConfig(origin=f"http://127.0.0.1:{server.port}", **settings)


async def failure(server: RawServer, **settings: Any) -> RequestError:
    async with PresenceClient(config_of(server, **settings)) as client:
        with pytest.raises(RequestError) as caught:
            await client.where_now()
        return caught.value


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_answers_are_understood(serve: Serve, coding: str) -> None:
    body = gzip.compress(OK) if coding == "gzip" else zlib.compress(OK)
    server = await serve(http(body, f"Content-Encoding: {coding}"))

    async with PresenceClient(config_of(server)) as client:
        assert (await client.where_now()).channels == ("lobby",)


async def test_chunked_answers_are_understood(serve: Serve) -> None:
    half = len(OK) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (OK[:half], OK[half:]))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server = await serve(head + chunks + b"0\r\n\r\n")

    async with PresenceClient(config_of(server)) as client:
        assert (await client.where_now()).channels == ("lobby",)


async def test_hints_before_the_answer_are_skipped(serve: Serve) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    server = await serve(hints + hints + http(OK), http(OK))

    async with PresenceClient(config_of(server)) as client:
        assert (await client.where_now()).channels == ("lobby",)
        await client.where_now()

    assert server.connections == 1


async def test_both_ways_say_the_same(serve: Serve) -> None:
    server = await serve(http(OK))

    async with PresenceClient(config_of(server)) as client:
        await client.where_now()

    assert sorted(server.heads[0]) == [
        "Accept-Encoding: gzip, deflate",
        "Accept: */*",
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: presence-async",
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(b"x" * 70_000), "larger than max_reply_bytes"),
        (
            http(gzip.compress(b"0" * 10_000_000), "Content-Encoding: gzip"),
            "larger than max_reply_bytes",
        ),
        (http(gzip.compress(OK)[:-9], "Content-Encoding: gzip"), "damaged"),
        (http(b"plain", "Content-Encoding: gzip"), "damaged"),
        (http(OK, "Content-Encoding: br"), "not asked for"),
        (http(b""), "empty body"),
        (http(b"<html>captive portal</html>"), "unexpected body"),
    ],
    ids=["large", "bomb", "cut gzip", "no gzip", "br", "empty", "html"],
)
async def test_a_bad_success_is_a_format_error(
    serve: Serve, answer: bytes, words: str
) -> None:
    error = await failure(await serve(answer), max_reply_bytes=65_536)

    assert isinstance(error, ReplyFormatError)
    assert words in str(error)
    assert error.attempts == 1


async def test_a_large_error_page_is_still_that_error(serve: Serve) -> None:
    page = http(b"x" * 70_000, status=404)

    error = await failure(await serve(page), max_reply_bytes=65_536)

    assert type(error).__name__ == "RejectedRequestError"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(OK)[:-5] + b"", "broke"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (None, "broke"),
    ],
    ids=["truncated", "no http", "cut"],
)
async def test_a_broken_answer_is_a_lost_connection(
    serve: Serve, answer: bytes | None, words: str
) -> None:
    cut = answer
    if answer is not None and answer.startswith(b"HTTP"):
        cut = answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)

    error = await failure(await serve(cut, cut, cut, cut))

    assert isinstance(error, ConnectionLostError)
    assert words in str(error)
    assert error.attempts == 4
    assert error.__context__ is None
    assert error.__cause__ is None


async def test_one_attempt_is_one_request(serve: Serve) -> None:
    server = await serve(None, None, http(OK))

    async with PresenceClient(config_of(server)) as client:
        await client.where_now()

    assert len(server.requests) == 3


async def test_a_connection_gone_stale_is_replaced_at_once(serve: Serve) -> None:
    server = await serve(http(OK), None, http(OK))
    loop = asyncio.get_running_loop()

    async with PresenceClient(config_of(server)) as client:
        await client.where_now()
        began_s = loop.time()
        await client.where_now()

    assert loop.time() == began_s
    assert server.connections == 2


async def test_nobody_listening_is_a_connect_error() -> None:
    server = RawServer([])
    server.port = 9

    error = await failure(server)

    assert isinstance(error, ConnectError)
    assert error.cause == "ClientConnectorError: Connection refused"


async def test_what_speaks_no_tls_is_told_in_words() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"no TLS here")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        config = PresenceConfig(
            subscribe_key="demo",
            user_id="bob",
            origin=f"127.0.0.1:{server.sockets[0].getsockname()[1]}",
            retry=NoRetry(),
        )
        async with PresenceClient(config) as client:
            with pytest.raises(ConnectError, match="SSL") as caught:
                await client.where_now()

    assert "not permitted" not in str(caught.value)


async def test_redirects_are_not_followed(serve: Serve) -> None:
    server = await serve(http(b"", "Location: http://127.0.0.1:9/", status=302))

    error = await failure(server)

    assert type(error).__name__ == "RejectedRequestError"
    assert len(server.requests) == 1


async def test_a_given_session_is_used_and_left_open(serve: Serve) -> None:
    server = await serve(http(gzip.compress(OK), "Content-Encoding: gzip"))

    async with aiohttp.ClientSession(raise_for_status=True) as session:
        async with PresenceClient(config_of(server), session=session) as client:
            assert (await client.where_now()).channels == ("lobby",)
        assert not session.closed


class CannedResponse(aiohttp.ClientResponse):
    """aioresponses 0.7 does not know what aiohttp 3.14 asks of a writer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters:
            options.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **options)


async def test_a_given_session_that_was_closed_is_a_connect_error(
    serve: Serve,
) -> None:
    server = await serve(http(b'{"status":200}'), http(OK))
    session = aiohttp.ClientSession()
    async with PresenceClient(config_of(server), session=session) as client:
        lease = await client.join("lobby")

        await session.close()

        with pytest.raises(ConnectError, match="was closed"):
            await client.where_now()
        with pytest.raises(ConnectError, match="was closed"):
            await lease.leave()

    assert len(server.requests) == 1


async def test_the_request_is_sent_exactly_as_escaped() -> None:
    config = PresenceConfig(subscribe_key="demo", user_id="bob")
    path = "/v2/presence/sub-key/demo/channel/a%2Fb,c%2Cd"
    with aioresponses() as canned:
        canned.get(
            re.compile(r"https://ps\.pndsn\.com/.*"),
            body=OK,
            headers={"Age": "3", "Retry-After": "7"},
            response_class=CannedResponse,
        )
        transport = Transport(config, None)
        await transport.open()
        try:
            reply = await transport.send(HttpRequest(path=path, query="x=%2B"))
        finally:
            await transport.close()

    ((_, url),) = canned.requests
    assert str(url) == f"https://ps.pndsn.com{path}?x=%2B"
    assert reply.body == OK
    assert reply.headers == {"age": "3", "retry-after": "7"}


@pytest.mark.parametrize(
    ("date", "waits_s"),
    [
        ("Thu, 01 Jan 1970 00:00:20 GMT", 20),
        ("Wed, 31 Dec 1969 23:00:00 GMT", 0),
        ("soon", None),
        ("Thu, 32 Jan 1970 99:00:00 GMT", None),
    ],
)
async def test_a_date_to_wait_for_counts_from_the_wall_clock(
    serve: Serve, date: str, waits_s: float | None
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.suspend(-loop.wall_time())  # to the beginning of Unix time
    server = await serve(http(b"{}", f"Retry-After: {date}", status=503))
    config = config_of(server, retry=NoRetry())

    async with PresenceClient(config) as client:
        with pytest.raises(UnavailableError) as caught:
            await client.where_now()

    assert caught.value.retry_after_s == waits_s
