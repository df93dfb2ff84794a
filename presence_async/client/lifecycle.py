"""The life of a client: made, started, used, closed; each once and in this order."""

from __future__ import annotations

import asyncio
import enum

from ..errors import ClientClosedError

__all__ = ["Lifecycle", "check_loop"]


def check_loop(owner: asyncio.AbstractEventLoop | None, what: str) -> None:
    """Reject a use in another event loop than the one something belongs to.

    Nothing here may be touched from another loop, which runs in another thread or
    after the owner has ended: neither may wake what waits in the other.

    Args:
        owner: The loop it belongs to; ``None``: to no loop yet.
        what: What it is, as the error calls it.

    Raises:
        ClientClosedError: The running loop is another.
    """
    if owner is not None and owner is not (running := _running_loop()):
        raise ClientClosedError(
            f"{what} belongs to another event loop ({owner!r}, not {running!r});"
            " make a client for each loop"
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _Stage(enum.Enum):
    MADE = "has not been started; use 'async with', or await start()"
    OPEN = "is open"
    CLOSING = "is being closed"
    CLOSED = "is closed; make another one"


class Lifecycle:
    """Where a client stands, and which event loop it belongs to."""

    def __init__(self) -> None:
        self._stage = _Stage.MADE
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over: asyncio.Event | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls are taken."""
        return self._stage is _Stage.OPEN

    @property
    def is_closed(self) -> bool:
        """Whether the client is closed or about to be."""
        return self._stage in {_Stage.CLOSING, _Stage.CLOSED}

    @property
    def needs_closing(self) -> bool:
        """Whether it was started and nobody has begun to close it."""
        return self._stage is _Stage.OPEN

    def open(self) -> None:
        """Begin, in the running loop.

        Raises:
            ClientClosedError: It was closed before.
        """
        self.refuse_reopening()
        self._loop = asyncio.get_running_loop()
        self._stage = _Stage.OPEN

    def refuse_reopening(self) -> None:
        """Refuse to be opened once it was closed.

        Raises:
            ClientClosedError: It was.
        """
        if self.is_closed:
            raise ClientClosedError(f"the client {self._stage.value}")

    def check(self) -> None:
        """Refuse a call that cannot be served.

        Raises:
            ClientClosedError: Not started, closed, or called from another event loop.
        """
        if self._stage is not _Stage.OPEN:
            raise ClientClosedError(f"the client {self._stage.value}")
        if self._loop is not _running_loop():
            self.check_loop()

    def check_loop(self) -> None:
        """Refuse a call from another event loop.

        Raises:
            ClientClosedError: The running loop is not the client's.
        """
        check_loop(self._loop, "the client")

    def begin_closing(self) -> bool:
        """Claim the closing; false when somebody else has.

        Raises:
            ClientClosedError: Called from another event loop, and not closed yet.
        """
        if self._stage is not _Stage.CLOSED:
            self.check_loop()
        if self.is_closed:
            return False
        self._is_over = asyncio.Event()
        self._stage = _Stage.CLOSING
        return True

    def end_closing(self) -> None:
        """Close, and let those go on who wait for it."""
        self._stage = _Stage.CLOSED
        if self._is_over is not None:
            self._is_over.set()

    async def wait_closed(self) -> None:
        """Wait until the client is closed."""
        if self._is_over is not None:
            await self._is_over.wait()
