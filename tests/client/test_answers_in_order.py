"""Each answer belongs to its question, whatever a server sends on a kept connection.

Every answer names the user it is about, so that an answer to the wrong question shows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from presence_async import (
    DeadlineError,
    ExponentialRetry,
    NoRetry,
    PresenceClient,
    PresenceConfig,
    RequestError,
)
from presence_async.client.direct import DirectGet

Writer = asyncio.StreamWriter
Script = Callable[[Writer, bytes], Awaitable[None]]
Open = Callable[..., Awaitable[PresenceClient]]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def answer(user_id: str, status: int = 200) -> bytes:
    body = json.dumps({"status": status, "payload": {"channels": [user_id]}}).encode()
    head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Server:
    """Answers each question rightly; the first one as its script says."""

    def __init__(self, script: Script | None, greeting: bytes = b"") -> None:
        self._script = script
        self._greeting = greeting
        self.writers: list[Writer] = []
        self.asked: list[tuple[int, str]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        number = len(self.writers)
        self.writers.append(writer)
        if self._greeting and number == 0:
            writer.write(self._greeting)
        try:
            while line := await reader.readline():
                while await reader.readline() != b"\r\n":
                    pass
                user_id = line.split(b"?")[0].rpartition(b"/")[2].decode()
                self.asked.append((number, user_id))
                script, self._script = self._script, None
                if script is None:
                    writer.write(answer(user_id))
                else:
                    await script(writer, answer(user_id))
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture(params=["direct", "session", "given session"])
async def open_client(
    presence_leak_check: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Open]:
    """Make clients of a server; each test runs over every way to send."""
    if request.param == "session":
        monkeypatch.setattr(DirectGet, "is_possible", lambda: False)
    closing: list[Any] = []

    async def make(server: Server, **settings: Any) -> PresenceClient:
        await server.start()
        session = None
        if request.param == "given session":
            session = aiohttp.ClientSession()
        config = PresenceConfig(
            subscribe_key="demo",
            user_id="bob",
            origin=f"http://127.0.0.1:{server.port}",
            **settings,
        )
        client = PresenceClient(config, session=session)
        closing.extend([server, *([session] if session else []), client])
        return await client.start()

    yield make
    for thing in reversed(closing):
        await thing.close()
    await asyncio.sleep(1)


async def ask(client: PresenceClient, user_id: str) -> str:
    (channel,) = (await client.where_now(user_id)).channels
    return channel


async def doubled_late(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine)
    await asyncio.sleep(0.05)
    writer.write(genuine)


async def doubled_at_once(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine + genuine)


async def tripled_in_parts(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine + genuine[:30])
    await asyncio.sleep(0.05)
    writer.write(genuine[30:] + genuine)


async def partial_head_late(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine)
    await asyncio.sleep(0.05)
    writer.write(genuine[:20])


async def partial_head_at_once(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine + genuine[:20])


async def partial_body_late(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine)
    await asyncio.sleep(0.05)
    writer.write(genuine[:-5])


async def empty_line_late(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine)
    await asyncio.sleep(0.05)
    writer.write(b"\r\n")


async def junk_late(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine)
    await asyncio.sleep(0.05)
    writer.write(b"and more than announced")


async def interim_late(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine)
    await asyncio.sleep(0.05)
    writer.write(CONTINUE)


async def interim_at_once(writer: Writer, genuine: bytes) -> None:
    writer.write(genuine + CONTINUE)


async def chunked_and_more(writer: Writer, genuine: bytes) -> None:
    body = genuine.partition(b"\r\n\r\n")[2]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    writer.write(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    await asyncio.sleep(0.05)
    writer.write(genuine)


LEFTOVERS: list[Script] = [
    doubled_late,
    doubled_at_once,
    tripled_in_parts,
    partial_head_late,
    partial_head_at_once,
    partial_body_late,
    junk_late,
    interim_late,
    interim_at_once,
    chunked_and_more,
]


@pytest.mark.parametrize("script", LEFTOVERS, ids=lambda script: script.__name__)
async def test_a_connection_with_leftovers_is_never_used_again(
    open_client: Open, script: Script
) -> None:
    server = Server(script)
    client = await open_client(server)

    answers = [await ask(client, "a")]
    await asyncio.sleep(0.2)
    answers += [await ask(client, user_id) for user_id in "bcd"]

    assert answers == ["a", "b", "c", "d"]
    assert {number for number, user_id in server.asked if user_id in "bcd"} == {1}


async def test_an_empty_line_between_answers_shifts_none(open_client: Open) -> None:
    """aiohttp's parser skips it without a trace, so the connection may be used."""
    client = await open_client(Server(empty_line_late))

    answers = [await ask(client, "a")]
    await asyncio.sleep(0.2)

    assert [*answers, await ask(client, "b"), await ask(client, "c")] == ["a", "b", "c"]


async def test_leftovers_not_read_yet_spoil_a_connection_too(
    open_client: Open,
) -> None:
    server = Server(None)
    client = await open_client(server)
    first = await ask(client, "a")

    # The bytes lie in the system's buffer when the next question is asked.
    server.writers[0].write(answer("a"))
    second = await ask(client, "b")

    assert (first, second) == ("a", "b")
    assert await ask(client, "c") == "c"


async def test_an_answer_before_any_question_shifts_no_later_one(
    open_client: Open,
) -> None:
    server = Server(None, greeting=answer("nobody"))
    client = await open_client(server)

    # On the wire it looks like the answer to the first question, but to no other.
    await ask(client, "a")
    await asyncio.sleep(1)

    assert [await ask(client, user_id) for user_id in "bc"] == ["b", "c"]


@pytest.mark.parametrize("is_in_body", [False, True], ids=["before", "in the body"])
async def test_an_answer_after_a_timeout_answers_nothing_else(
    open_client: Open, *, is_in_body: bool
) -> None:
    async def late(writer: Writer, genuine: bytes) -> None:
        at = len(genuine) - 5 if is_in_body else 0
        writer.write(genuine[:at])
        await asyncio.sleep(3)
        writer.write(genuine[at:] + genuine)

    client = await open_client(Server(late), attempt_timeout_s=2, retry=NoRetry())

    with pytest.raises(DeadlineError):
        await ask(client, "a")
    answers = [await ask(client, "b")]
    await asyncio.sleep(5)

    assert [*answers, await ask(client, "c")] == ["b", "c"]


@pytest.mark.parametrize("is_in_body", [False, True], ids=["before", "in the body"])
async def test_an_answer_after_a_cancel_answers_nothing_else(
    open_client: Open, *, is_in_body: bool
) -> None:
    async def late(writer: Writer, genuine: bytes) -> None:
        at = len(genuine) - 5 if is_in_body else 0
        writer.write(genuine[:at])
        await asyncio.sleep(3)
        writer.write(genuine[at:])

    client = await open_client(Server(late))

    task = asyncio.create_task(ask(client, "a"))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    answers = [await ask(client, "b")]
    await asyncio.sleep(5)

    assert [*answers, await ask(client, "c")] == ["b", "c"]


async def test_interim_answers_without_end_end_with_the_attempt(
    open_client: Open,
) -> None:
    async def endless(writer: Writer, _: bytes) -> None:
        while not writer.is_closing():
            writer.write(CONTINUE)
            await asyncio.sleep(0.1)

    client = await open_client(Server(endless), attempt_timeout_s=2, retry=NoRetry())

    with pytest.raises(DeadlineError):
        await ask(client, "a")

    assert [await ask(client, user_id) for user_id in "bc"] == ["b", "c"]


async def test_a_refused_join_is_not_answered_by_an_older_success(
    open_client: Open,
) -> None:
    server = Server(doubled_late)
    client = await open_client(server, retry=NoRetry())
    await ask(client, "a")
    await asyncio.sleep(0.2)

    async def refuse(writer: Writer, _: bytes) -> None:
        writer.write(answer("refused", status=403))

    server._script = refuse

    with pytest.raises(RequestError, match="403"):
        await client.join("private")


@pytest.mark.parametrize("retry", [NoRetry(), ExponentialRetry()], ids=["no", "yes"])
async def test_a_whole_pool_reset_costs_one_repetition(
    open_client: Open, retry: NoRetry | ExponentialRetry
) -> None:
    """A restarted balancer resets each old connection at its next request."""
    server = Server(None)
    client = await open_client(server, retry=retry)
    await asyncio.gather(*[ask(client, f"u{n}") for n in range(6)])
    old = list(server.writers)

    async def reset(writer: Writer, _: bytes) -> None:
        if writer in old:
            server._script = reset
            writer.transport.abort()
        else:
            writer.write(answer("again"))

    server._script = reset

    assert await ask(client, "again") == "again"
    # On a session of the user's, aiohttp itself repeats the first request once.
    assert len([1 for _, user_id in server.asked if user_id == "again"]) <= 3
