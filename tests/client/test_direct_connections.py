"""Connections that are spoken to directly: what they carry, rest and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from presence_async import (
    ConnectionLostError,
    DeadlineError,
    NoRetry,
    PresenceClient,
    PresenceConfig,
)
from presence_async.client.direct import DirectGet
from presence_async.client.direct_connection import DirectConnection

BODY = b'{"status":200,"payload":{"channels":["lobby"]}}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n"
PLAIN = HEAD % len(BODY) + b"\r\n" + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\n\r\n"
)
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\n" + BODY

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Service:
    """Answers each request by the next of its scripts, else plainly."""

    def __init__(self) -> None:
        self.scripts: list[Answer] = []
        self.connections = 0
        self.requests = 0
        self.open = 0

    async def start(self) -> Service:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.origin = f"http://127.0.0.1:{port}"
        return self

    def client(self, **settings: Any) -> PresenceClient:
        settings = {"retry": NoRetry()} | settings
        return PresenceClient(
            PresenceConfig(
                subscribe_key="demo", user_id="bob", origin=self.origin, **settings
            )
        )

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        # The event loop has to come round for transports to close their sockets.
        await asyncio.sleep(0.01)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.requests += 1
                script = self.scripts.pop(0) if self.scripts else written(PLAIN)
                await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


def written(answer: bytes) -> Answer:
    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return write


def in_bytes(answer: bytes) -> Answer:
    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(len(answer)):
            writer.write(answer[number : number + 1])
            await asyncio.sleep(0.001)

    return write


def then_closed(answer: bytes) -> Answer:
    async def write(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    return write


async def never(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.fixture
async def service(presence_leak_check: None) -> AsyncIterator[Service]:
    service = await Service().start()
    yield service
    await service.close()


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED], ids=["plain", "chunked"])
async def test_an_answer_may_come_byte_by_byte(service: Service, answer: bytes) -> None:
    async with service.client() as client:
        await client.where_now()
        service.scripts = [in_bytes(answer), in_bytes(answer)]

        for _ in range(3):
            assert (await client.where_now()).channels == ("lobby",)

    assert service.connections == 1


async def test_a_body_may_end_with_its_connection(service: Service) -> None:
    async with service.client() as client:
        for _ in range(2):
            service.scripts = [then_closed(UNTIL_CLOSE)]

            assert (await client.where_now()).channels == ("lobby",)

    assert service.connections == 2


@pytest.mark.parametrize("answer", [PLAIN[:-1], PLAIN[:20], CHUNKED[:-3]])
@pytest.mark.parametrize("is_first", [True, False])
async def test_an_answer_cut_short_is_a_lost_connection(
    service: Service, answer: bytes, *, is_first: bool
) -> None:
    async with service.client() as client:
        if not is_first:
            await client.where_now()
        service.scripts = [then_closed(answer)] * 2

        with pytest.raises(ConnectionLostError):
            await client.where_now()
        service.scripts = []
        assert (await client.where_now()).channels == ("lobby",)


async def test_a_resting_connection_is_kept_by_the_connector(service: Service) -> None:
    async with service.client() as client:
        direct = client._core.transport._direct
        assert direct is not None
        for _ in range(3):
            await client.where_now()
            assert len(direct._idle) == 1
            await asyncio.sleep(3)
            assert direct._idle == []

    assert (service.connections, service.requests) == (1, 3)


async def test_a_busy_connection_is_not_given_away(service: Service) -> None:
    async with service.client() as client:
        for _ in range(40):
            await client.where_now()
            await asyncio.sleep(0.4)
        assert len(client._core.transport._direct._idle) == 1  # type: ignore[union-attr]

    assert (service.connections, service.requests) == (1, 40)


async def test_nothing_of_a_closed_connection_stays(service: Service) -> None:
    async with service.client() as client:
        service.scripts = [then_closed(PLAIN)]
        await client.where_now()
        await asyncio.sleep(3)

        assert client._core.transport._direct._idle == []  # type: ignore[union-attr]
        await client.where_now()

    assert service.connections == 2


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_call_out_of_time_cuts_its_connection(
    service: Service, *, is_first: bool
) -> None:
    async with service.client(attempt_timeout_s=2) as client:
        if not is_first:
            await client.where_now()
        service.scripts = [never]

        with pytest.raises(DeadlineError, match="no answer within 2 s"):
            await client.where_now()
        await asyncio.sleep(0.01)
        assert service.open == 0
        assert (await client.where_now()).channels == ("lobby",)

    assert service.connections == 2


@pytest.mark.parametrize("is_first", [True, False])
async def test_a_cancelled_call_cuts_its_connection_and_no_other(
    service: Service, *, is_first: bool
) -> None:
    async with service.client() as client:
        if not is_first:
            await asyncio.gather(client.where_now(), client.where_now())
        service.scripts = [never]
        task = asyncio.create_task(client.where_now())
        other = asyncio.create_task(client.where_now())
        await asyncio.sleep(0.1)

        task.cancel()
        await asyncio.wait({task})

        assert task.cancelled()
        assert (await other).channels == ("lobby",)
        assert (await client.where_now()).channels == ("lobby",)

    assert service.connections == 2


async def test_a_call_cancelled_as_its_answer_comes_cuts_nobody_else_off(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    others: list[asyncio.Task[Any]] = []
    keep = DirectGet.keep

    def keep_then_cancel(direct: DirectGet, connection: DirectConnection) -> None:
        keep(direct, connection)
        if not others:
            # Its first step, on this connection, comes before the cancelled one's last.
            others.append(asyncio.create_task(client.where_now()))
            task.cancel()

    monkeypatch.setattr(DirectGet, "keep", keep_then_cancel)
    async with service.client(attempt_timeout_s=2) as client:
        task = asyncio.create_task(client.where_now())
        await asyncio.wait({task})

        assert task.cancelled()
        assert (await others[0]).channels == ("lobby",)

    assert (service.connections, service.requests) == (1, 2)


async def test_closing_ends_requests_and_connections(service: Service) -> None:
    client = await service.client().start()
    await client.where_now()
    service.scripts = [never]
    task = asyncio.create_task(client.where_now())
    await asyncio.sleep(0.1)

    await client.close()

    with pytest.raises(Exception, match="closed while where now was under way"):
        await task


async def test_a_connection_that_rested_serves_the_session_too(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with service.client() as client:
        await client.where_now()
        await asyncio.sleep(3)
        monkeypatch.setattr(DirectGet, "is_intercepted", lambda *_: True)

        assert (await client.where_now()).channels == ("lobby",)

    assert (service.connections, service.requests) == (1, 2)
