"""A server that answers with canned bytes, fast enough not to be what is measured.

Run as a process of its own: prints its port, then serves until its stdin closes.
"""

from __future__ import annotations

import asyncio
import re
import sys

HEADERS = (
    b"HTTP/1.1 200 OK\r\n"
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
HERE_NOW = (
    b'{"status": 200, "message": "OK", "service": "Presence",'
    b' "uuids": ["alice", "bob", "carol"], "occupancy": 3}'
)
WHERE_NOW = (
    b'{"status": 200, "message": "OK", "payload": {"channels": ["lobby", "news"]},'
    b' "service": "Presence"}'
)
HEARTBEAT = b'{"status": 200, "message": "OK", "service": "Presence"}'
REQUEST_END = re.compile(rb"\r\n\r\n")


def answer(body: bytes) -> bytes:
    return HEADERS % len(body) + body


ANSWERS = {
    b"heartbeat": answer(HEARTBEAT),
    b"where_now": answer(WHERE_NOW),
    b"here_now": answer(HERE_NOW),
}


def answer_to(request: bytes) -> bytes:
    path = request.partition(b"?")[0]
    if path.endswith(b"/heartbeat"):
        return ANSWERS[b"heartbeat"]
    return ANSWERS[b"where_now" if b"/uuid/" in path else b"here_now"]


class Canned(asyncio.Protocol):
    """Splits requests at their empty line and answers each."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.buffer = REQUEST_END.split(self.buffer + data)
        if requests:
            self.transport.write(b"".join(map(answer_to, requests)))


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Canned, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
