"""Joining: what ``join`` returns, to be awaited or used as a block."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any

from .lease import Lease

__all__ = ["Joining"]


class Joining(Coroutine[Any, Any, Lease]):
    """A ``join`` under way, for one use.

    ``lease = await client.join(…)`` or ``async with client.join(…) as lease``, whose
    end leaves. As a coroutine it also goes into ``create_task`` and ``gather``.
    """

    __slots__ = ("_coroutine", "_lease")

    def __init__(self, coroutine: Coroutine[Any, Any, Lease]) -> None:
        self._coroutine = coroutine
        self._lease: Lease | None = None

    def send(self, value: Any) -> Any:  # noqa: ANN401  # the coroutine protocol
        """Go on, as coroutines do."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:  # noqa: ANN401  # the coroutine protocol
        """Raise inside, as coroutines do."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """End without result, as coroutines do."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Lease]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> Lease:
        self._lease = await self._coroutine
        return self._lease

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lease is not None:
            await self._lease.__aexit__(kind, error, traceback)
