"""The way to a Valkey or Redis server: a client, its errors, and scripts it forgot."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Sequence
from typing import Protocol, cast

from ..errors import InvalidArgumentError, RegisterError
from .script_replies import Reply
from .server_commands import SCRIPTS, Argument, Command

__all__ = ["ServerClient", "ServerLink"]

_LIMIT_S = 1.0
_SCHEMES = ("valkey://", "valkeys://", "redis://", "rediss://", "unix://")


class ServerClient(Protocol):
    """A client of ``valkey.asyncio`` or ``redis.asyncio``, for a cluster or not."""

    def execute_command(self, *args: Argument) -> Awaitable[object]:
        """Send one command."""
        ...

    def pipeline(self, *, transaction: bool) -> object:
        """Begin to collect commands that are sent together."""
        ...


class _Pipeline(Protocol):
    def execute_command(self, *args: Argument) -> object: ...

    async def execute(self, *, raise_on_error: bool) -> list[object]: ...


class _Pool(Protocol):
    async def disconnect(self, *, inuse_connections: bool) -> None: ...


class _OwnClient(ServerClient, Protocol):
    connection_pool: _Pool

    async def aclose(self) -> None: ...


class ServerLink:
    """Sends commands to a server, each batch within a second.

    Args:
        target: The server's URL, or a client that somebody else closes.
    """

    def __init__(self, target: str | ServerClient) -> None:
        self._url = target if isinstance(target, str) else None
        self._given = None if isinstance(target, str) else target
        self._own: _OwnClient | None = None
        self._openers = 0
        self._texts = {script.sha: script.text for script in SCRIPTS.values()}
        if self._url is not None and not self._url.startswith(_SCHEMES):
            rule = f"must begin with one of {', '.join(_SCHEMES)}"
            raise InvalidArgumentError("url", rule)

    async def open(self, first: Command) -> None:
        """Make a client of our own, if none is given, and send it a first command.

        Raises:
            ImportError: The package for a client of our own is not installed.
            InvalidArgumentError: The URL is none.
            RegisterError: The server is away.
        """
        if self._url is not None and self._own is None:
            self._own = _client(self._url)
        self._openers += 1
        await self.run([first])

    @property
    def is_open(self) -> bool:
        """Whether anybody has opened it and not closed it again."""
        return self._openers > 0

    async def close(self) -> None:
        """Close our own client when the last opener closes."""
        self._openers = max(0, self._openers - 1)
        own = self._own
        if self._openers or own is None:
            return
        self._own = None
        await own.aclose()

    async def run(self, commands: Sequence[Command]) -> list[Reply]:
        """Send commands together and return their answers.

        Those to the same key are carried out in their order; else there is none.

        Raises:
            RegisterError: The server is away, or refuses one of them.
        """
        if not commands:
            return []
        try:
            async with asyncio.timeout(_LIMIT_S):
                return await self._run(commands)
        except TimeoutError:
            problem = f"no answer within {_LIMIT_S:.0f} s"
        except RegisterError:
            raise
        except Exception as error:  # noqa: BLE001  # any client's, of any package
            problem = f"{type(error).__name__}: {error}"
            await self._turn_away(error)
        # Without the cause: it may quote commands, and these are about users.
        raise RegisterError(f"valkey: {problem}") from None

    async def _turn_away(self, error: Exception) -> None:
        """Connect anew if the server is a replica now: its name may mean another."""
        if self._own is not None and type(error).__name__ == "ReadOnlyError":
            await self._own.connection_pool.disconnect(inuse_connections=False)

    async def _run(self, commands: Sequence[Command]) -> list[Reply]:
        replies = await self._send(commands)
        forgotten = [i for i, x in enumerate(replies) if _is_unknown_script(x)]
        if forgotten:
            # Said in full the server also keeps it, in a cluster each for itself.
            repeated = [self._in_full(commands[i]) for i in forgotten]
            for i, reply in zip(forgotten, await self._send(repeated), strict=True):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return cast("list[Reply]", replies)

    async def _send(self, commands: Sequence[Command]) -> list[object]:
        client = self._client
        pipeline = cast("_Pipeline", client.pipeline(transaction=False))
        for command in commands:
            pipeline.execute_command(*command)
        return await pipeline.execute(raise_on_error=False)

    def _in_full(self, command: Command) -> Command:
        return ("EVAL", self._texts[cast("bytes", command[1])], *command[2:])

    @property
    def _client(self) -> ServerClient:
        client = self._given or self._own
        if client is None:
            raise RegisterError("valkey: the register is not open")
        return client


def _client(url: str) -> _OwnClient:
    try:
        import valkey.asyncio as package  # noqa: PLC0415  # only whoever has a URL
    except ImportError:
        advice = "a register on a server needs: pip install 'presence-async[valkey]'"
        raise ImportError(advice) from None
    client = None
    with contextlib.suppress(ValueError):
        # ``run`` limits each batch as a whole; a limit for each answer costs more.
        client = package.Valkey.from_url(
            url, protocol=2, socket_connect_timeout=_LIMIT_S, socket_timeout=None
        )
    if client is None:
        # Not even in its context: that error may quote the password.
        rule = "is no URL of a server; quote special characters in its password"
        raise InvalidArgumentError("url", rule)
    return cast("_OwnClient", client)


def _is_unknown_script(reply: object) -> bool:
    if not isinstance(reply, Exception):
        return False
    return type(reply).__name__ == "NoScriptError" or str(reply).startswith("NOSCRIPT")
