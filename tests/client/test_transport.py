"""One request on the wire, against raw sockets and canned replies."""

from __future__ import annotations

import asyncio
import contextlib
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
    DeadlineError,
    NoRetry,
    PresenceClient,
    PresenceConfig,
    ReplyFormatError,
    RequestError,
    UnavailableError,
)
from presence_async.client.bodies import UnreadableError, decompressed
from presence_async.client.direct import DirectGet
from presence_async.client.transport import Transport
from presence_async.protocol.exchange import HttpRequest
from presence_async.testing.virtual_loop import VirtualLoop

SILENCE = b""
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
        self.writers: list[asyncio.StreamWriter] = []
        self.cut_when_asked: list[asyncio.StreamWriter] = []
        self.mute: list[asyncio.StreamWriter] = []

    async def start(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        self._server.close()

    def _answer(self, writer: asyncio.StreamWriter) -> bytes | None:
        if writer in self.mute:
            return SILENCE
        if writer in self.cut_when_asked or not self.answers:
            return None
        return self.answers.pop(0)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while line := await reader.readline():
                self.requests.append(line.decode().split()[1])
                self.heads.append([])
                while (header := await reader.readline()) != b"\r\n":
                    self.heads[-1].append(header.decode().strip())
                answer = self._answer(writer)
                if answer == SILENCE:
                    continue
                if answer is None:
                    break
                writer.write(answer)
                if b"Connection: close" in answer:
                    break
        except ConnectionResetError:
            pass  # The client threw away what it had not asked for.
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


def bare_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


GZIP = gzip.compress(OK)
COMPRESSED = {
    "gzip": ("gzip", GZIP),
    "capitals": ("GZip", GZIP),
    "x-gzip": ("x-gzip", GZIP),
    "two members": ("gzip", gzip.compress(OK[:20]) + gzip.compress(OK[20:])),
    "a member a byte": ("gzip", b"".join(gzip.compress(bytes([x])) for x in OK)),
    "an empty member": ("gzip", gzip.compress(b"") + GZIP),
    "zeros behind": ("gzip", GZIP + bytes(512)),
    "zeros between": ("gzip", gzip.compress(b"") + bytes(512) + GZIP),
    "zlib": ("deflate", zlib.compress(OK)),
    "bare deflate": ("deflate", bare_deflate(OK)),
    "twice": ("deflate, gzip", gzip.compress(zlib.compress(OK))),
    "identity": ("identity", OK),
    "identity too": ("gzip, identity", GZIP),
}


@pytest.mark.parametrize(("coding", "body"), COMPRESSED.values(), ids=COMPRESSED)
async def test_compressed_answers_are_understood(
    serve: Serve, coding: str, body: bytes
) -> None:
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
        (
            http(gzip.compress(b"0" * 50_000) * 2, "Content-Encoding: gzip"),
            "larger than max_reply_bytes",
        ),
        (
            http(bare_deflate(b"0" * 10_000_000), "Content-Encoding: deflate"),
            "larger than max_reply_bytes",
        ),
        (http(GZIP[:-9], "Content-Encoding: gzip"), "damaged"),
        (http(GZIP + GZIP[:-9], "Content-Encoding: gzip"), "damaged"),
        (http(GZIP + b"more", "Content-Encoding: gzip"), "damaged"),
        (http(bare_deflate(OK)[:-3], "Content-Encoding: deflate"), "damaged"),
        (http(zlib.compress(OK) + b"x", "Content-Encoding: deflate"), "damaged"),
        (http(GZIP, "Content-Encoding: " + "gzip," * 9), "not asked for"),
        (http(b"plain", "Content-Encoding: gzip"), "damaged"),
        (http(OK, "Content-Encoding: br"), "not asked for"),
        (http(b""), "empty body"),
        (http(b"<html>captive portal</html>"), "unexpected body"),
    ],
    ids=[
        "large",
        "bomb",
        "bomb of members",
        "bare bomb",
        "cut gzip",
        "cut member",
        "more behind",
        "cut deflate",
        "more behind deflate",
        "nine times",
        "no gzip",
        "br",
        "empty",
        "html",
    ],
)
async def test_a_bad_success_is_a_format_error(
    serve: Serve, answer: bytes, words: str
) -> None:
    error = await failure(await serve(answer), max_reply_bytes=65_536)

    assert isinstance(error, ReplyFormatError)
    assert words in str(error)
    assert error.attempts == 1


def test_many_empty_members_are_given_up() -> None:
    # Eight megabytes of them, each copying the rest, would take minutes.
    members = gzip.compress(b"") * 400_000

    with pytest.raises(UnreadableError, match="damaged"):
        decompressed(members, "gzip", 8 * 2**20)


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


def on(channel: str) -> bytes:
    """Return the answer to a where now of somebody who is on one channel."""
    return http(b'{"status":200,"payload":{"channels":["%s"]}}' % channel.encode())


@pytest.fixture(params=["direct", "session", "given session"])
async def client_of(
    presence_leak_check: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Callable[..., PresenceClient]]:
    """Make clients that send in each of the ways there are."""
    if request.param != "direct":
        monkeypatch.setattr(DirectGet, "is_possible", lambda: False)
    async with contextlib.AsyncExitStack() as stack:
        session = None
        if request.param == "given session":
            session = await stack.enter_async_context(aiohttp.ClientSession())
        yield lambda config: PresenceClient(config, session=session)


@pytest.fixture
async def raw(presence_leak_check: None) -> AsyncIterator[RawServer]:
    """A raw server; tests say what it answers."""
    server = await RawServer([]).start()
    yield server
    await server.close()
    await asyncio.sleep(0.01)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9"
UNASKED = {
    "doubled": (on("a"), b""),
    "doubled later": (b"", on("a")),
    "pipelined": (on("a") + on("a"), on("a")),
    "in two parts": (on("a")[:30], on("a")[30:]),
    "a part later": (b"", HEAD),
    "a part with it": (HEAD, b""),
    "one byte": (b"H", b""),
    "too long later": (b"", b"}"),
    "a hint": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
    "a hint without end": (b"HTTP/1.1 103 Early Hints\r\nLink: ", b""),
    "no http": (b"", b"SSH-2.0-OpenSSH\r\n"),
}


@pytest.mark.parametrize("is_read", [True, False], ids=["read", "not read yet"])
@pytest.mark.parametrize(("at_once", "later"), UNASKED.values(), ids=UNASKED)
async def test_no_answer_goes_to_the_wrong_question(
    raw: RawServer,
    client_of: Callable[..., PresenceClient],
    at_once: bytes,
    later: bytes,
    *,
    is_read: bool,
) -> None:
    raw.answers = [on("a") + at_once, on("b"), on("c")]

    async with client_of(config_of(raw, retry=NoRetry())) as client:
        assert (await client.where_now()).channels == ("a",)
        # It lies in the socket from here on, or in aiohttp's hands.
        raw.writers[0].write(later)
        if is_read:
            await asyncio.sleep(0.05)
        assert (await client.where_now()).channels == ("b",)
        assert (await client.where_now()).channels == ("c",)

    assert len(raw.requests) == 3
    assert raw.connections == 2


async def test_an_answer_longer_than_it_says_spoils_its_connection(
    raw: RawServer, client_of: Callable[..., PresenceClient]
) -> None:
    raw.answers = [on("a") + b"}", on("b")]

    async with client_of(config_of(raw, retry=NoRetry())) as client:
        # aiohttp's parser in C refuses the whole of it, the one in Python does not.
        with contextlib.suppress(ConnectionLostError):
            assert (await client.where_now()).channels == ("a",)
        assert (await client.where_now()).channels == ("b",)


async def test_a_connection_with_nothing_on_it_is_used_again(
    raw: RawServer, client_of: Callable[..., PresenceClient]
) -> None:
    raw.answers = [on(channel) for channel in "abcdef"]

    async with client_of(config_of(raw)) as client:
        for channel in "abcdef":
            assert (await client.where_now()).channels == (channel,)

    assert raw.connections == 1


@pytest.mark.parametrize("begun", [SILENCE, on("a")[:20], on("a")[:-5]])
async def test_an_answer_after_a_timeout_or_a_cancel_goes_nowhere(
    raw: RawServer, client_of: Callable[..., PresenceClient], begun: bytes
) -> None:
    raw.answers = [begun, begun, on("b"), on("c")]

    config = config_of(raw, attempt_timeout_s=2, retry=NoRetry())
    async with client_of(config) as client:
        with pytest.raises(DeadlineError):
            await client.where_now()
        raw.writers[0].write(on("a")[len(begun) :])
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.wait([asking])
        raw.writers[1].write(on("a")[len(begun) :])
        await asyncio.sleep(0.05)
        assert (await client.where_now()).channels == ("b",)
        assert (await client.where_now()).channels == ("c",)

    assert raw.connections == 3


async def test_hints_without_end_end_with_the_attempt(
    raw: RawServer, client_of: Callable[..., PresenceClient]
) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20
    raw.answers = [hints, on("b")]

    config = config_of(raw, attempt_timeout_s=2, retry=NoRetry())
    async with client_of(config) as client:
        with pytest.raises(DeadlineError):
            await client.where_now()
        raw.writers[0].write(on("a"))
        assert (await client.where_now()).channels == ("b",)


async def test_a_connection_waited_for_is_looked_at_too(raw: RawServer) -> None:
    connector = aiohttp.TCPConnector(limit=4)
    raw.answers = [SILENCE, SILENCE, SILENCE, on("a")[:-5], on("b")]
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        PresenceClient(config_of(raw, retry=NoRetry()), session=session) as client,
    ):
        url = f"http://127.0.0.1:{raw.port}/"
        others = [asyncio.create_task(session.get(url)) for _ in range(4)]
        await asyncio.sleep(0.05)
        asking = asyncio.create_task(client.where_now())
        await asyncio.sleep(0.05)
        raw.writers[3].write(on("a")[-5:] + on("a"))

        assert (await asking).channels == ("b",)

        for other in others:
            other.cancel()
        await asyncio.wait(others)


async def fill_pool(raw: RawServer, client: PresenceClient, size: int) -> None:
    """Leave so many idle connections."""
    first = len(raw.writers)
    raw.answers = [SILENCE] * size
    asking = [asyncio.create_task(client.where_now()) for _ in range(size)]
    await asyncio.sleep(0.05)
    for writer in raw.writers[first:]:
        writer.write(on("a"))
    await asyncio.gather(*asking)
    assert raw.connections == first + size


@pytest.mark.parametrize("call", ["where_now", "heartbeat"])
async def test_the_repeat_takes_none_of_the_other_dead_connections(
    raw: RawServer, client_of: Callable[..., PresenceClient], call: str
) -> None:
    async with client_of(config_of(raw, retry=NoRetry())) as client:
        await fill_pool(raw, client, 6)
        raw.cut_when_asked = [*raw.writers]
        raw.requests.clear()
        raw.answers = [http(b'{"status":200,"payload":{"channels":["b"]}}')]

        if call == "where_now":
            assert (await client.where_now()).channels == ("b",)
        else:
            await client.heartbeat("b")

    assert len(raw.requests) == 2
    assert raw.connections == 7


async def test_after_a_timeout_no_idle_connection_is_trusted(
    raw: RawServer, client_of: Callable[..., PresenceClient]
) -> None:
    async with client_of(config_of(raw, attempt_timeout_s=2)) as client:
        await fill_pool(raw, client, 6)
        raw.mute = [*raw.writers]
        raw.requests.clear()
        raw.answers = [on("b")]

        assert (await client.where_now()).channels == ("b",)

    assert len(raw.requests) == 2


async def test_dead_connections_are_dropped_at_no_cost_to_others(
    raw: RawServer, serve: Serve
) -> None:
    elsewhere = await serve(on("x"), on("y"))
    async with aiohttp.ClientSession() as session:
        config = config_of(raw, retry=NoRetry())
        async with PresenceClient(config, session=session) as client:
            await (await session.get(f"http://127.0.0.1:{elsewhere.port}/")).read()
            await fill_pool(raw, client, 3)
            raw.answers = [SILENCE, on("b")]
            other = asyncio.create_task(session.get(f"http://127.0.0.1:{raw.port}/"))
            await asyncio.sleep(0.05)
            raw.cut_when_asked = raw.writers[1:]

            assert (await client.where_now()).channels == ("b",)

            raw.writers[0].write(on("c"))
            assert b"c" in await (await other).read()
            await (await session.get(f"http://127.0.0.1:{elsewhere.port}/")).read()

    assert elsewhere.connections == 1
