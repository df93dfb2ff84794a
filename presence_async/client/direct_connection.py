"""A connection of aiohttp's, spoken to without aiohttp's session, request and response.

aiohttp's connector makes it, TLS included. While it is lent out, its transport reports
to this protocol, which hands each answer on as bytes when it is complete. What is not
plain goes through aiohttp's parser, of which there is one for each connection.
"""

from __future__ import annotations

import asyncio
import functools
import select
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias

import aiohttp
from aiohttp.http import HttpResponseParser
from aiohttp.http_exceptions import HttpProcessingError

from .plain_answer import plain_answer

__all__ = [
    "DirectAnswer",
    "DirectConnection",
    "OnEnd",
    "is_between_messages",
    "readable_check",
]

_OK: Final = 200
_FINAL_STATUS: Final = 200
_SWITCHING_PROTOCOLS: Final = 101
_NO_HEADERS: Final[Mapping[str, str]] = {}
# With more than this unread, aiohttp would ask to pause the connection. Bodies are
# emptied after each read of the socket, which is 256 KiB at most.
_BUFFER_BYTES: Final = 2**20


class DirectAnswer(NamedTuple):
    """A complete answer, its body as it was received.

    A body of more than the limit is cut there, and so is its connection. The headers
    of a plain answer are left out: they say nothing that anybody looks at.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


OnEnd: TypeAlias = Callable[[DirectAnswer | Exception], None]


class DirectConnection(asyncio.Protocol):
    """Carries one GET at a time.

    Args:
        lent: The connection, as the connector lends it; nothing is under way on it.
        loop: The running event loop.
        max_body_bytes: How much of a body is read.
        on_free: Called before an answer is handed on, if the connection may carry
            another request.

    Attributes:
        was_used: Whether it has served a request before the current one.
        is_resting: For its owner: whether it was idle already at the last look.
    """

    # What the parser's bodies look at; they never ask for a pause.
    connected: Final = True
    _reading_paused: Final = False

    def __init__(
        self,
        lent: aiohttp.connector.Connection,
        loop: asyncio.AbstractEventLoop,
        *,
        max_body_bytes: int,
        on_free: Callable[[DirectConnection], None],
    ) -> None:
        handler = lent.protocol
        if handler is None or handler.transport is None or handler.should_close:
            raise aiohttp.ServerDisconnectedError
        self._lent = lent
        self._handler = handler
        self._transport: asyncio.Transport = handler.transport
        self._max_body_bytes = max_body_bytes
        self._on_free = on_free
        self._on_end: OnEnd | None = None
        self._head: Any = None
        self._content: Any = None
        self._pieces = bytearray()
        # Whether the parser has had the beginning of the answer under way.
        self._is_parsing = False
        self._parser: Any = HttpResponseParser(
            self,  # type: ignore[arg-type]  # what bodies look at is above
            loop,
            _BUFFER_BYTES,
            payload_exception=aiohttp.ClientPayloadError,
            read_until_eof=True,
            auto_decompress=False,
        )
        self._is_readable = readable_check(self._transport)
        self.was_used: bool = False
        self.is_resting: bool = False
        self._transport.set_protocol(self)

    # What its owner does with it.

    def ask(self, request: bytes, on_end: OnEnd) -> None:
        """Send a request; ``on_end`` is called once, with the answer or an error."""
        self._on_end = on_end
        self._transport.write(request)

    @property
    def is_silent(self) -> bool:
        """Return True if it is open and nothing waits in its socket."""
        return not (self._transport.is_closing() or self._is_readable())

    def cut(self) -> None:
        """End the connection at once; whoever waits for an answer hears nothing."""
        self._on_end = None
        self._transport.abort()

    def give_up(self, on_end: OnEnd) -> None:
        """Cut it, unless the answer that ``on_end`` waits for has come.

        Then it is idle, or carries the request of somebody else.
        """
        if self._on_end is on_end:
            self.cut()

    def give_back(self) -> None:
        """Return an idle connection to the connector's own pool."""
        self._transport.set_protocol(self._handler)
        self._lent.release()

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; bytes that nobody asked for end the connection."""
        on_end = self._on_end
        if on_end is None:
            self._transport.abort()
            return
        body = None if self._is_parsing else plain_answer(data)
        if body is None:
            self._parse(data)
            return
        self._on_end, self.was_used = None, True
        self._on_free(self)
        on_end(DirectAnswer(_OK, _NO_HEADERS, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits for an answer, and aiohttp."""
        try:
            if self._on_end is not None:
                self._end(exc)
        finally:
            self._handler.connection_lost(exc)
            self._lent.close()

    def pause_reading(self) -> None:
        """Do nothing: bodies are emptied after each read."""

    def resume_reading(self, *, resume_parser: bool = True) -> None:
        """Do nothing."""

    # An answer that is not plain.

    def _parse(self, data: bytes) -> None:
        self._is_parsing = True
        messages, is_over = None, True
        # Errors of many kinds, all about the bytes, which no error of ours may carry.
        with suppress(Exception):
            messages, is_over, _ = self._parser.feed_data(data)
        if messages is None:
            self._fail_to_parse()
            return
        for head, content in messages:
            if self._head is not None:
                # A second answer. The first one counts, and no other request can.
                is_over = True
            elif head.code >= _FINAL_STATUS or head.code == _SWITCHING_PROTOCOLS:
                self._head, self._content = head, content
        if self._head is not None:
            self._read_on(is_over=is_over)

    def _fail_to_parse(self) -> None:
        """End with what came before the bytes that cannot be read, if it is whole."""
        if self._head is None:
            self._fail(HttpProcessingError())
        elif self._content.is_eof():
            self._read_on(is_over=True)
        else:
            self._fail(aiohttp.ClientPayloadError())

    def _read_on(self, *, is_over: bool) -> None:
        """Take in what has come of the body, and finish if that is all of it.

        Args:
            is_over: Whether the connection can carry nothing more.
        """
        head, content = self._head, self._content
        if content.exception() is not None:
            # The parser written in Python may leave it there instead of raising it.
            self._fail(aiohttp.ClientPayloadError())
            return
        body = content.read_nowait()
        is_complete = content.is_eof()
        if self._pieces or not is_complete:
            self._pieces += body
            is_cut = len(self._pieces) > self._max_body_bytes
            if not (is_complete or is_cut or is_over):
                return
            is_over |= is_cut
            body = bytes(self._pieces)
        on_end, self._on_end = self._on_end, None
        self._head = self._content = None
        if is_over or head.should_close or not is_between_messages(self._parser):
            self._transport.abort()
        else:
            self._pieces.clear()
            self._is_parsing = False
            self.was_used = True
            self._on_free(self)
        if on_end is not None:
            on_end(DirectAnswer(head.code, head.headers, body))

    def _end(self, exc: Exception | None) -> None:
        """Finish a body that the end of the connection ends; else fail."""
        if self._head is None:
            lost: Exception = aiohttp.ServerDisconnectedError()
            if isinstance(exc, OSError):
                lost = aiohttp.ClientOSError(*exc.args)
            self._fail(lost)
            return
        if exc is None:
            # It raises, errors of many kinds, if the body is too short.
            with suppress(Exception):
                self._parser.feed_eof()
            if self._content.is_eof():
                self._read_on(is_over=True)
                return
        self._fail(aiohttp.ClientPayloadError())

    def _fail(self, error: Exception) -> None:
        on_end, self._on_end = self._on_end, None
        self._transport.abort()
        if on_end is not None:
            on_end(error)


def is_between_messages(parser: Any) -> bool:  # noqa: ANN401  # aiohttp's, not documented
    """Return True if a parser has kept nothing beyond the last message."""
    try:
        # Only the parser knows that a message has begun, and tells it at the end of
        # input. The parser written in Python keeps lines that it cannot read.
        return parser.feed_eof() is None and not getattr(parser, "_lines", ())
    except Exception:  # noqa: BLE001  # whatever it read, it was not silence
        return False


def readable_check(transport: asyncio.BaseTransport) -> Callable[[], object]:
    """Return a check for bytes, an end or an error that wait in a socket."""
    sock = transport.get_extra_info("socket")
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return bool
    if not hasattr(select, "poll"):
        return lambda: select.select([number], [], [], 0)[0]
    poller = select.poll()
    poller.register(number, select.POLLIN)
    return functools.partial(poller.poll, 0)
