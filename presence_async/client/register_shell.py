"""RegisterShell: what the heartbeat loop asks of whatever speaks to a register."""

from __future__ import annotations

from typing import Protocol

__all__ = ["RegisterShell"]


class RegisterShell(Protocol):
    """What speaks to a register beside the loop: ``RegisterLoop`` is the only one.

    Attributes:
        hand_over_s: Seconds in which users of a client that closes may come back.
    """

    hand_over_s: float

    def start(self) -> None:
        """Start to speak."""
        ...

    def hasten(self) -> None:
        """Say what there is to say."""
        ...

    async def begin_closing(self) -> bool:
        """Say that no more users are taken; return if other clients take them."""
        ...

    async def see_off(self) -> bool:
        """Take departures that would come later; return if there may be more."""
        ...

    async def flush(self) -> None:
        """Have noted what is still to be noted."""
        ...

    def abort(self) -> None:
        """End, without waiting."""
        ...

    async def finish(self) -> None:
        """Wait for the end."""
        ...
