"""Answers read without a parser: only those that aiohttp's parser reads the same."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError
from hypothesis import given, settings
from hypothesis import strategies as st

from presence_async.client.plain_answer import plain_answer

BODY = b'{"status": 200}'
HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Tue, 24 Nov 2026 08:00:00 GMT\r\n"
    b'Content-Type: text/javascript; charset="UTF-8"\r\n'
    b"Content-Length: 15\r\n"
    b"Connection: keep-alive\r\n"
    b"Age: 0\r\n"
    b"Server: Pubnub Presence\r\n\r\n"
)


class Bodies:
    """What a body asks of the protocol that reads it."""

    connected = True
    _reading_paused = False

    def pause_reading(self) -> None:
        raise AssertionError("a small body needs no pause")

    def resume_reading(self, *, resume_parser: bool = True) -> None:
        pass


def parsed(data: bytes) -> bytes | None:
    """Return the body if the parser finds a plain answer and nothing else."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpResponseParser(
            Bodies(),  # type: ignore[arg-type]
            loop,
            2**16,
            payload_exception=aiohttp.ClientPayloadError,
            read_until_eof=True,
            auto_decompress=False,
        )
        try:
            messages, is_upgraded, tail = parser.feed_data(data)
        except HttpProcessingError:
            return None
        if len(messages) != 1 or is_upgraded or tail:
            return None
        ((head, content),) = messages
        is_plain = (
            head.code == 200
            and not head.should_close
            and head.headers.get("Age", "0") == "0"
            and not {"Retry-After", "Content-Encoding"} & set(head.headers)
            and content.is_eof()
            and parser.feed_eof() is None
        )
        return content.read_nowait() if is_plain else None
    finally:
        loop.close()


def test_a_plain_answer_is_read() -> None:
    assert plain_answer(HEAD + BODY) == BODY
    assert parsed(HEAD + BODY) == BODY


def test_an_empty_body_and_a_bare_head_are_plain() -> None:
    assert plain_answer(b"HTTP/1.1 200 \r\ncontent-length:0\r\n\r\n") == b""


UNUSUAL = {
    "another status": HEAD.replace(b"200 OK", b"204 OK") + BODY,
    "HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + BODY,
    "a part of the head": HEAD[:-2],
    "a part of the body": HEAD + BODY[:-1],
    "more than the body": HEAD + BODY + b"\r\n",
    "two answers": (HEAD + BODY) * 2,
    "no length": HEAD.replace(b"Content-Length", b"X-Length") + BODY,
    "two lengths": HEAD.replace(b"Age: 0", b"Content-Length: 15") + BODY,
    "two other lengths": HEAD.replace(b"Age: 0", b"Content-Length: 5") + BODY,
    "a second length with a tab": HEAD.replace(b"Age: 0", b"Content-Length:\t1") + BODY,
    "a signed length": HEAD.replace(b"15", b"+15") + BODY,
    "a length of two": HEAD.replace(b"15", b"15, 15") + BODY,
    "a length without end": HEAD.replace(b"15", b"0" * 5000 + b"15") + BODY,
    "chunks": HEAD.replace(b"Age: 0", b"Transfer-Encoding: chunked") + BODY,
    "compression": HEAD.replace(b"Age: 0", b"Content-Encoding: gzip") + BODY,
    "an age": HEAD.replace(b"Age: 0", b"Age: 3") + BODY,
    "an age in capitals": HEAD.replace(b"Age: 0", b"AGE: 3") + BODY,
    "a second age": HEAD.replace(b"Age: 0", b"Age: 0\r\nAge: 3") + BODY,
    "a wait": HEAD.replace(b"Age: 0", b"retry-after: 3") + BODY,
    "a close": HEAD.replace(b"keep-alive", b"close") + BODY,
    "a close besides": HEAD.replace(b"keep-alive", b"keep-alive, close") + BODY,
    "an upgrade": HEAD.replace(b"Age: 0", b"Upgrade: h2c") + BODY,
    "a folded line": HEAD.replace(b"Age: 0", b" Age: 0") + BODY,
    "a space before a colon": HEAD.replace(b"Age:", b"Age :") + BODY,
    "a line without a colon": HEAD.replace(b"Age: 0", b"Age") + BODY,
    "a bare line feed": HEAD.replace(b"Age: 0\r\n", b"Age: 0\n") + BODY,
    "a bare carriage return": HEAD.replace(b"Age: 0", b"Age: 0\rX: 1") + BODY,
    "a null byte": HEAD.replace(b"Presence", b"\0") + BODY,
    "a byte above ASCII": HEAD.replace(b"Presence", b"\xe9") + BODY,
    "a long head": HEAD.replace(b"Presence", b"x" * 4096) + BODY,
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL)
def test_anything_unusual_is_left_to_the_parser(data: bytes) -> None:
    assert plain_answer(data) is None


NAMES = st.sampled_from([
    b"Content-Length",
    b"content-length",
    b"Transfer-Encoding",
    b"Content-Encoding",
    b"Connection",
    b"Age",
    b"Retry-After",
    b"Upgrade",
    b"Date",
    b"X-Content-Length",
])
VALUES = st.sampled_from([
    b"0",
    b"15",
    b"015",
    b"3",
    b" 15",
    b"15 ",
    b"\t15",
    b"chunked",
    b"gzip",
    b"close",
    b"keep-alive",
    b"Keep-Alive",
    b"x",
    b"",
])
LINES = st.lists(st.tuples(NAMES, st.sampled_from([b":", b": "]), VALUES), max_size=6)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Answers of usual and unusual headers, a byte or two of them changed."""
    lines = [b"".join(line) for line in draw(LINES)]
    lines.insert(draw(st.integers(0, len(lines))), b"Content-Length: 15")
    data = b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""]) + BODY
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(changed) - 1))
        changed[place] = draw(st.sampled_from(list(b"\r\n :\0\t0159aA,;\xff")))
    return bytes(changed)


@settings(max_examples=500)
@given(answers())
def test_the_parser_reads_every_plain_answer_the_same(data: bytes) -> None:
    body = plain_answer(data)

    if body is not None:
        assert parsed(data) == body
