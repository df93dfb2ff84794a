"""A subscribe request that waits for messages. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from ..protocol.subscribe import SubscribeOperation
from .message_log import QueuedMessage

__all__ = ["End", "PendingPoll"]

End = Literal["answer", "cut"]
"""How a poll ends: with an answer, or with its connection."""


@attrs.define(eq=False)
class PendingPoll:
    """A subscribe request that waits, or that is about to be answered.

    Attributes:
        operation: The request.
        cursor: The position after which messages are news to it.
        present_on: The channels on which it made its user present.
        pending: The messages to deliver, each with the name that matched.
        on_end: Called to end the waiting; ``None`` while nobody waits.
    """

    operation: SubscribeOperation
    cursor: int
    present_on: tuple[str, ...]
    pending: list[tuple[QueuedMessage, str]] = attrs.field(factory=list)
    on_end: Callable[[End], None] | None = None

    def deliver(self, queued: QueuedMessage, name: str) -> None:
        """Add a message, which ends the waiting."""
        self.pending.append((queued, name))
        self.finish("answer")

    def finish(self, end: End) -> None:
        """End the waiting, if anybody waits."""
        if self.on_end is not None:
            self.on_end(end)
