"""Clients by the dozen: each made with one call, all of them closed at the end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from ..client.client import PresenceClient
from ..emulator import PresenceEmulator

__all__ = ["MakePresenceClient"]


class MakePresenceClient:
    """Makes clients of an emulator: ``alice = await make_presence_client("alice")``.

    What the fixture ``make_presence_client`` gives. Elsewhere it is a context manager,
    ``async with MakePresenceClient(emulator) as make:``, at whose end the clients are
    closed, the newest first.
    """

    def __init__(self, emulator: PresenceEmulator) -> None:
        self._emulator = emulator
        self._clients = AsyncExitStack()

    async def __call__(
        self,
        user_id: str = "tester",
        **overrides: Any,  # noqa: ANN401  # PresenceConfig's
    ) -> PresenceClient:
        """Make a client and start it.

        Args:
            user_id: Whom it speaks for by default.
            overrides: Arguments of ``PresenceConfig`` beside those that point to the
                emulator; another ``subscribe_key`` is another world.

        Raises:
            InvalidArgumentError: An argument is out of range.
        """
        config = self._emulator.config(user_id=user_id, **overrides)
        return await self._clients.enter_async_context(PresenceClient(config))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._clients.aclose()
