"""A factory of started clients, which closes all of them at the end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from ..client.client import PresenceClient
from ..emulator import PresenceEmulator

__all__ = ["MakePresenceClient"]


class MakePresenceClient:
    """Makes clients of an emulator: ``alice = await make_presence_client("alice")``.

    The fixture ``make_presence_client`` is one. Without the plugin, write ``async with
    MakePresenceClient(emulator) as make:``; the end of the block closes the clients,
    the newest first.
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
            user_id: The client's own user.
            overrides: Other arguments of ``PresenceConfig``. Clients with different
                ``subscribe_key`` see nothing of each other.

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
