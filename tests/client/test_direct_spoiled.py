"""Answers that are spoiled: what of them counts, and what an error keeps of them."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import http_parser

from presence_async import ConnectionLostError, DeadlineError, RequestError
from presence_async.client import direct_connection

from .test_direct_connections import (
    CHUNKED,
    PLAIN,
    UNTIL_CLOSE,
    Answer,
    Service,
    never,
    service,
    written,
)

__all__ = ["service"]

AIOHTTP = tuple(int(part) for part in aiohttp.__version__.split(".")[:2])
TOKEN = "token-of-bob"
TAIL_OF_BODY = 9
ODD_HEADER = b"HTTP/1.1 200 OK\r\nSec-WebSocket-Key1: x\r\nA"


def in_two(first: bytes, second: bytes) -> Answer:
    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await asyncio.sleep(0.001)
        writer.write(second)

    return write


def then_reset(answer: bytes) -> Answer:
    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await asyncio.sleep(0.001)
        linger = struct.pack("ii", 1, 0)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    return write


@pytest.fixture
async def loop_errors() -> AsyncIterator[list[dict[str, Any]]]:
    errors: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    yield errors
    loop.set_exception_handler(None)


@pytest.fixture
def parser_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = http_parser.HttpResponseParserPy
    monkeypatch.setattr(direct_connection, "HttpResponseParser", parser)


def everything_of(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        yield from everything_of(error.__context__)
        yield from everything_of(error.__cause__)
        error = getattr(error, "last_failure", None)


async def test_no_error_keeps_the_bytes_that_were_not_http(service: Service) -> None:
    async with service.client(auth=TOKEN, attempt_timeout_s=2) as client:
        await client.where_now()
        service.scripts = [written(f"HTTQ auth={TOKEN}\r\n\r\n".encode()), never]

        with pytest.raises(DeadlineError) as caught:
            await client.where_now()

    kept = list(everything_of(caught.value))
    assert all(isinstance(error, RequestError) for error in kept)
    assert "(HttpProcessingError)" in str(caught.value.last_failure)


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_whole_answer_counts_whatever_comes_after_it(
    service: Service, *, is_first: bool
) -> None:
    async with service.client() as client:
        if not is_first:
            await client.where_now()
        service.scripts = [in_two(PLAIN[:-TAIL_OF_BODY], PLAIN[-TAIL_OF_BODY:] + b"x")]

        assert (await client.where_now()).channels == ("lobby",)
        assert (await client.where_now()).channels == ("lobby",)

    assert service.connections == 2


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (PLAIN[:20], "ClientOSError: Connection reset by peer"),
        (PLAIN[:-1], "ClientPayloadError"),
        (UNTIL_CLOSE, "ClientPayloadError"),
    ],
)
async def test_a_reset_says_how_far_the_answer_had_come(
    service: Service, answer: bytes, cause: str
) -> None:
    async with service.client() as client:
        service.scripts = [then_reset(answer)]

        with pytest.raises(ConnectionLostError) as caught:
            await client.where_now()

    assert caught.value.cause == cause


async def test_a_broken_chunk_is_a_lost_connection(service: Service) -> None:
    head, _, _ = CHUNKED.partition(b"5\r\n")
    async with service.client() as client:
        service.scripts = [in_two(head, b"zz\r\n")]

        with pytest.raises(ConnectionLostError, match="ClientPayloadError"):
            await client.where_now()


async def test_the_end_of_an_answer_never_raises_in_the_event_loop(
    service: Service, loop_errors: list[dict[str, Any]]
) -> None:
    async with service.client(attempt_timeout_s=2) as client:
        service.scripts = [written(PLAIN + ODD_HEADER)]

        assert (await client.where_now()).channels == ("lobby",)
        assert (await client.where_now()).channels == ("lobby",)

    assert (loop_errors, service.connections) == ([], 2)


@pytest.mark.usefixtures("parser_in_python")
@pytest.mark.skipif(AIOHTTP < (3, 14), reason="aiohttp takes such a line before 3.14")
async def test_a_body_that_the_parser_in_python_refuses_is_a_lost_connection(
    service: Service, loop_errors: list[dict[str, Any]]
) -> None:
    head, _, _ = CHUNKED.partition(b"5\r\n")
    async with service.client() as client:
        service.scripts = [written(head + b"5;" + b"a" * 20_000 + b"\r\nabcde\r\n")]

        with pytest.raises(ConnectionLostError, match="ClientPayloadError"):
            await client.where_now()

    assert loop_errors == []


@pytest.mark.usefixtures("parser_in_python")
async def test_the_parser_in_python_keeps_no_line_for_the_next_answer(
    service: Service,
) -> None:
    async with service.client() as client:
        service.scripts = [written(PLAIN + b"HTT")]

        assert (await client.where_now()).channels == ("lobby",)
        assert (await client.where_now()).channels == ("lobby",)

    assert service.connections == 2
