"""A server that answers with canned bytes, fast enough not to be what is measured.

Run as a process of its own: prints its port, then takes commands, a line each, and
prints how many requests it has answered with success so far; ends when its stdin does.
``fail`` makes it answer 503, ``answer`` ends that, ``count`` changes nothing.

Channels called ``ids-N`` and ``states-N`` have as many occupants. Every poll for events
is answered at once with ``EVENTS`` new ones.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import re
import sys
from collections.abc import Callable
from typing import Any

HEADERS = (
    b"HTTP/1.1 %s\r\n"
    b"Date: Tue, 24 Nov 2026 08:00:00 GMT\r\n"
    b'Content-Type: text/javascript; charset="UTF-8"\r\n'
    b"Content-Length: %d\r\n"
    b"Connection: keep-alive\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Accept-Ranges: bytes\r\n"
    b"Access-Control-Allow-Origin: *\r\n"
    b"Access-Control-Allow-Methods: OPTIONS, GET, POST\r\n"
    b"Age: 0\r\n"
    b"Server: Pubnub Presence\r\n\r\n"
)
OK = {"status": 200, "message": "OK", "service": "Presence"}
BODIES = 16
EVENTS = 50
START = 17_950_000_000_000_000
REQUEST_END = re.compile(rb"\r\n\r\n")
LARGE = re.compile(rb"/channel/(ids|states)-(\d+)\b")
TIMETOKEN = re.compile(rb"[?&]tt=(\d+)")


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return HEADERS % (status, len(body)) + body


def several(make: Callable[[int], dict[str, Any]]) -> Callable[[], bytes]:
    """Return what gives some different answers in turn, as caches would flatter."""
    answers = [answer(json.dumps(OK | make(n)).encode()) for n in range(BODIES)]
    return functools.partial(next, itertools.cycle(answers))


def occupants(number: int, *, with_state: bool) -> list[object]:
    ids: list[object] = [f"user-{n:06}-abcdef" for n in range(number)]
    if not with_state:
        return ids
    return [
        {"uuid": user, "state": {"mood": "ok", "count": n, "tags": ["a", "b"]}}
        for n, user in enumerate(ids)
    ]


where_now = several(lambda n: {"payload": {"channels": ["lobby", f"news-{n}"]}})
here_now = several(lambda n: {"uuids": ["alice", "bob", f"user-{n}"], "occupancy": 3})
heartbeat = several(lambda _: {})
leave = several(lambda _: {"action": "leave"})
FAILURE = answer(b'{"status": 503, "message": "down"}', b"503 Service Unavailable")


@functools.cache
def large(kind: bytes, number: int) -> bytes:
    users = occupants(number, with_state=kind == b"states")
    return answer(json.dumps(OK | {"uuids": users, "occupancy": number}).encode())


def event(position: int) -> dict[str, object]:
    """Return one event as the service sends it: joins, leaves and timeouts."""
    action = ("join", "leave", "timeout")[position % 3]
    at_ms = position // 10_000
    payload: dict[str, object] = {
        "action": action,
        "uuid": f"user-{position % 1000:04}",
        "timestamp": at_ms // 1000,
        "precise_timestamp": at_ms,
        "occupancy": position % 1000,
    }
    metadata = {f"pn_{name}": value for name, value in payload.items()}
    if action == "timeout":
        payload["data"] = {}
    return {
        "a": "5",
        "f": 0,
        "p": {"t": str(position), "r": 23},
        "k": "demo",
        "c": "lobby-pnpres",
        "u": metadata | {"pn_ispresence": 1, "pn_channel": "lobby"},
        "d": payload,
        "b": "lobby-pnpres",
    }


@functools.lru_cache(maxsize=1000)
def events(since: int) -> bytes:
    """Return a poll's answer; many ask for the same, each from the start."""
    until = max(since, START) + EVENTS
    found = (
        [] if not since else [event(n) for n in range(until - EVENTS + 1, until + 1)]
    )
    cursor = until if since else START
    reply = {"t": {"t": str(cursor), "r": 23}, "m": found}
    return answer(json.dumps(reply, separators=(",", ":")).encode())


def answer_to(request: bytes) -> bytes:
    path = request.partition(b"?")[0]
    if path.endswith(b"/heartbeat"):
        return heartbeat()
    if path.endswith(b"/leave"):
        return leave()
    if b"/subscribe/" in path:
        found = TIMETOKEN.search(request)
        return events(int(found[1]) if found else 0)
    if b"/uuid/" in path:
        return where_now()
    match = LARGE.search(path)
    return large(match[1], int(match[2])) if match else here_now()


class Counter:
    """How many requests were answered with success, and whether any are."""

    answered = 0
    fails = False


class Canned(asyncio.Protocol):
    """Splits requests at their empty line and answers each."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.buffer = REQUEST_END.split(self.buffer + data)
        if Counter.fails:
            self.transport.write(FAILURE * len(requests))
        elif requests:
            Counter.answered += len(requests)
            self.transport.write(b"".join(map(answer_to, requests)))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Canned, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    while command := await loop.run_in_executor(None, sys.stdin.readline):
        Counter.fails = {"fail": True, "answer": False}.get(
            command.strip(), Counter.fails
        )
        print(Counter.answered, flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
